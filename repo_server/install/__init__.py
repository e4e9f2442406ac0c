"""``make install-server`` and ``make uninstall-server``: a server of Debian 12 or 13, made what docs/SERVER.md says.

``prepare`` comes first, in shell: packages and Python environment. What is there already is left as it is, so that the
same command installs, upgrades and mends. ``up`` and ``down`` have the order; each other module does one kind of thing.
"""
