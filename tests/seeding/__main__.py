"""``python -m tests.seeding STATE [DEVICES]``: a fleet to look at, as of now, and the keys to sign in with."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.seeding import seed


def main() -> None:
    """Make it, and tell how to see it."""
    state, size = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 5_000
    begin = time.perf_counter()
    made = seed(state, size, datetime.now(UTC))
    print(f"{size} devices in {state}, made in {time.perf_counter() - begin:.1f} s. To see them:")
    print(f"  .venv/bin/python -m repo_server serve --state {state} --host 127.0.0.1")
    for role, secret in made.keys.items():
        print(f"  {role:10} {secret}")


if __name__ == "__main__":
    main()
