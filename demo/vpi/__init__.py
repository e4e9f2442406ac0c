"""The virtual Pi: a Debian 13 machine with systemd in QEMU, which stands for a Raspberry Pi in a home."""
