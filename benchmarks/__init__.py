"""What `make bench-device` measures; the figures go into docs/PERFORMANCE.md."""
