"""The desk: the server's web interface for those who operate a fleet."""
