"""The device's tokens: the one in use, the next one while it is exchanged, and the one before.

Exchanging it takes these steps, and the device may lose power between any two of them: the next token is durable beside
the one in use before the server hears of it; the server takes its hash; the next one is the one in use, durably, with
the old one kept; apt is told; the server is spoken to with it, which ends the old one there. At every instant the
server knows one of the tokens that are on the disk, and where it refuses the one in use the others are tried.

The one before is kept on: a server that was restored from a backup knows no other.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pi_hook.identity import new_token, write

if TYPE_CHECKING:
    from pathlib import Path

    from pi_hook.identity import Identity


class Tokens:
    """``identity`` is what the server is to be spoken to with. Raises ``OSError`` where the disk refuses."""

    def __init__(self, path: Path, identity: Identity) -> None:
        self._path, self._kept = path, identity
        self.identity = identity
        self._tried: set[str] = set()
        self.asked = False
        """Somebody at the device has asked for a new token."""
        self.unconfirmed = False
        """The server has not been spoken to yet with the token that was switched to."""

    @property
    def begun(self) -> bool:
        """Whether a new token is asked for here, or was made and may not have reached the server."""
        return self.asked or self._kept.next_token is not None

    def prepare(self) -> Identity:
        """The device as it will be: its next token is on the disk."""
        if self._kept.next_token is None:
            self._keep(replace(self._kept, next_token=new_token()))
        self.asked = False
        return replace(self._kept, token=self._kept.next_token or "")

    def switch(self) -> None:
        """The server knows the next token: go by it from now on."""
        kept = self._kept
        if kept.next_token is not None:
            self._keep(replace(kept, token=kept.next_token, next_token=None, previous_token=kept.token))
            self.identity, self.unconfirmed = self._kept, True

    def abandon(self) -> None:
        """The server will not take it."""
        self._keep(replace(self._kept, next_token=None))

    def another(self) -> bool:
        """The token was refused: go by another one of the device's; False, and back to the first, where all were."""
        self._tried.add(self.identity.token)
        for token in (self._kept.token, self._kept.next_token, self._kept.previous_token):
            if token is not None and token not in self._tried:
                self.identity = replace(self._kept, token=token)
                return True
        self._tried.clear()
        self.identity = self._kept
        return False

    def accepted(self) -> bool:
        """The server has taken the token; True where that is news for the disk and for apt."""
        self._tried.clear()
        self.unconfirmed = False
        token = self.identity.token
        if token == self._kept.token:
            return False
        self._keep(replace(self._kept, token=token, next_token=None, previous_token=self._kept.token))
        self.identity = self._kept
        return True

    def _keep(self, identity: Identity) -> None:
        write(self._path, identity)
        self._kept = identity
