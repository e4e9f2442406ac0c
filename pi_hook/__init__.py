"""The device agent: decides when an update of the assistant may start, proves it, and goes back where it must."""

__version__ = "0.2.0"
