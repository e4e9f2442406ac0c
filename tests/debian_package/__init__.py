"""What `make check-debian` does: the agent's source package, looked at as Debian people would."""
