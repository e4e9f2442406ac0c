"""Telling repo_server of a published release: ``POST /api/v1/updates/`` (docs/INTERFACES.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias
from urllib.parse import quote

import requests

from pkgbuild.errors import Kind, PkgbuildError

if TYPE_CHECKING:
    from pkgbuild.config import Settings

Wire: TypeAlias = Any
"""What requests takes; it does not say its type."""

_PATH = "/api/v1/updates/"
_REFUSALS = frozenset({400, 409, 413, 422})
_OK, _CREATED, _UNAUTHORIZED, _FORBIDDEN, _SERVER_ERROR = 200, 201, 401, 403, 500


class AnnouncementRefusedError(PkgbuildError):
    """The server has looked at the announcement and will not take it: asking again is no use."""


class Announcer:
    """Announces to one server with one builder's key. Raises ``ANNOUNCE_FAILED``."""

    @classmethod
    def of(cls, settings: Settings) -> Announcer | None:
        """To the server that the settings name, or None where they name none. Raises ``BAD_INPUT``."""
        server = settings.file.server
        if server is None:
            return None
        return cls(server.url, settings.api_key, timeout_seconds=server.timeout_seconds)

    def __init__(self, url: str, api_key: str, *, timeout_seconds: float) -> None:
        self._url = url
        self._headers = {"X-API-Key": api_key}
        self._timeout = timeout_seconds

    def check(self) -> None:
        """See that the server answers and knows the key, before anything is published."""
        answer = self._call("GET", _PATH, params={"limit": "1"})
        # 403: the key is known but may not list; whether it may announce, only announcing tells
        if answer.status_code == _UNAUTHORIZED or answer.status_code >= _SERVER_ERROR:
            raise self._refused(answer)

    def releases(self, name: str, version: str | None = None) -> dict[str, Any]:
        """What the server says of the releases of an assistant: its updates, the versions in use and on offer.

        With a version only its updates, with their packages.
        """
        answer = self._call("GET", f"/api/v1/releases/{quote(name)}", params={"version": version} if version else {})
        return self._content(answer, {_OK})

    def withdraw(self, update_id: str) -> None:
        """Let nobody be granted the update any more. Again changes nothing."""
        self._content(self._call("POST", f"{_PATH}{update_id}/withdraw"), {_OK})

    def announce(self, update: dict[str, Any]) -> dict[str, Any]:
        """Announce; returns the update as the server recorded it. The very same announced again is no error."""
        return self._content(self._call("POST", _PATH, json=update), {_OK, _CREATED})

    def _content(self, answer: requests.Response, good: set[int]) -> dict[str, Any]:
        if answer.status_code not in good:
            raise self._refused(answer)
        try:
            content = answer.json()
        except requests.JSONDecodeError as error:
            raise self._refused(answer) from error
        if not isinstance(content, dict):
            raise self._refused(answer)
        return content

    def _call(self, method: str, path: str, **values: Wire) -> requests.Response:
        try:
            return requests.request(
                method, self._url + path, headers=self._headers, timeout=self._timeout, allow_redirects=False, **values
            )
        except requests.RequestException as error:
            raise PkgbuildError(
                Kind.ANNOUNCE_FAILED,
                f"The server does not answer at {self._url}: start it (`make serve`) or correct server.url,"
                " then run the same release again.",
            ) from error

    def _refused(self, answer: requests.Response) -> PkgbuildError:
        if answer.status_code in {_UNAUTHORIZED, _FORBIDDEN}:
            return PkgbuildError(
                Kind.ANNOUNCE_FAILED,
                f"The server at {self._url} refuses the builder's API key (status {answer.status_code}):"
                " set one with the role builder in the settings, then run the same release again.",
            )
        kind = AnnouncementRefusedError if answer.status_code in _REFUSALS else PkgbuildError
        return kind(
            Kind.ANNOUNCE_FAILED,
            f"The server at {self._url} did not take the announcement"
            f" (status {answer.status_code}: {_message(answer)}). Mend that, then run the same release again.",
        )


class Packaged(Protocol):
    """A package, whether it was just built or aptly holds it."""

    @property
    def package(self) -> str:
        """Its name."""

    @property
    def version(self) -> str:
        """Its version."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def sha256(self) -> str:
        """In hexadecimal digits."""


def package_row(one: Packaged, debian: str, architecture: str) -> dict[str, Any]:
    """A package as it is announced: once for each target that installs it (docs/INTERFACES.md)."""
    return {
        "package": one.package,
        "version": one.version,
        "debian": debian,
        "architecture": architecture,
        "size": one.size,
        "sha256": one.sha256,
    }


def _message(answer: requests.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (requests.JSONDecodeError, KeyError, TypeError):
        return " ".join(answer.text.split())[:200] or "no explanation"
