"""``python -m repo_server`` is ``repo-server``."""

from __future__ import annotations

from repo_server.cli import main

if __name__ == "__main__":
    main(prog_name="repo-server")
