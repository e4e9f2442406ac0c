"""What `make bench-server` sets side by side: the servers, their fleets, and the load on them."""
