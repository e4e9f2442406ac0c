"""The fleet's list of further packages that come from its repository: brought by ``pi-ota-keyring``, one name a line.

They must carry the builder's signature as our own packages do, and are upgraded with the agent at night.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pi_hook.files import Root

LIST = "/usr/share/pi-ota/packages"
_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]+\Z")


def listed(root: Root) -> tuple[str, ...]:
    """The names, sorted; none where there is no list. Raises ``ValueError`` where one is none of a package."""
    try:
        lines = root.at(LIST).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{LIST} cannot be read: {error}; install pi-ota-keyring again") from error
    names = sorted({line.strip() for line in lines if line.strip() and not line.startswith("#")})
    for name in names:
        if not _NAME.match(name):
            raise ValueError(f"{LIST} names {name!r}, which is no package; install pi-ota-keyring again")
    return tuple(names)
