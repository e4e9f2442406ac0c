"""The agent's errors: one small root, a kind for programs and a sentence for people that says what to do next."""

from __future__ import annotations

EXIT_OK = 0
EXIT_NOT_NOW = 1
"""``pi-hook gate``: not now. Any command: it could not do what was asked."""
EXIT_USAGE = 2
EXIT_NO_DAEMON = 69
EXIT_SETTINGS = 78
"""The settings cannot be used; starting again without a change to them is no help (sysexits' EX_CONFIG)."""
EXIT_GATE_FAILED = 255
"""systemd's ExecCondition fails the unit only at this status."""


class PiHookError(Exception):
    """Something that a person or the server can put right; ``str()`` is a sentence that says how."""

    kind = "error"
    exit_status = EXIT_NOT_NOW

    def __init__(self, message: str, *, kind: str | None = None) -> None:
        super().__init__(message)
        if kind is not None:
            self.kind = kind


class SettingsError(PiHookError):
    """A settings file cannot be used; names file, key and remedy."""

    kind = "settings"
    exit_status = EXIT_SETTINGS


class IdentityError(PiHookError):
    """The device's identity cannot be read or made."""

    kind = "identity"


class BadMessageError(PiHookError):
    """A message (control socket, server's answer) does not have the agreed shape."""

    kind = "bad_request"


class NoDaemonError(PiHookError):
    """Nobody answers on the control socket."""

    kind = "no_daemon"
    exit_status = EXIT_NO_DAEMON


class OverrideError(PiHookError):
    """What a person asked for cannot or must not be done now; says why."""

    kind = "refused"


class ServerError(PiHookError):
    """The server could not be asked, or did not do what was asked; trying again later may help."""

    kind = "unreachable"

    def __init__(
        self, message: str, *, kind: str | None = None, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, kind=kind)
        self.status = status
        """The HTTP status; None where there was no usable answer."""
        self.retry_after = retry_after
        """Seconds that the server asked to wait."""


class RefusedError(ServerError):
    """The server will refuse the very same request again (4xx other than 429)."""

    kind = "refused"

    @property
    def means_stop(self) -> bool:
        """Whether the device is not welcome any more (DESIGN.md: 401, 403 and 410 mean stop, not unreachable)."""
        return self.status in {401, 403, 410}
