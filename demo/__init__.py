"""The embedded default: everything on one machine, for `make demo`, `make serve` and the end-to-end tests."""
