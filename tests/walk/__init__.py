"""The way of docs/GETTING_STARTED.md, walked on two clean Debian systems: `make walk`."""
