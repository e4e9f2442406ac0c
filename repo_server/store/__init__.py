"""All SQL of the server. Functions take a connection (inside ``Database.write`` where they write) and plain values."""
