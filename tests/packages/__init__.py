"""What `make check-packages` does: build for every target, and look at the packages as Debian people would."""
