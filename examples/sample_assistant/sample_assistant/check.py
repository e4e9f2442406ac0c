"""The health check: the running assistant answers, and with the release that this check belongs to."""

from __future__ import annotations

import json
import os
import sys
from socket import create_connection

from sample_assistant.service import port


def main() -> int:
    """Exit status 0: healthy."""
    expected = os.environ.get("PI_OTA_RELEASE")
    try:
        with create_connection(("127.0.0.1", port()), timeout=5) as line:
            line.sendall(b"version\n")
            answer = json.loads(line.makefile().readline())
    except (OSError, ValueError) as error:
        print(f"unhealthy: {error}", file=sys.stderr)
        return 1
    if answer.get("version") != expected:
        print(f"unhealthy: {answer.get('version')} is running instead of {expected}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
