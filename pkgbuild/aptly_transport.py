"""How calls reach aptly: the sections of aptly-api-client over one session that also speaks to sockets.

What changes something runs in aptly as a task that outlives its caller. So whoever comes after a builder that was
killed can wait for what aptly is still doing for the dead one, before looking at what it has left.
"""

from __future__ import annotations

import json
import threading
import uuid
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from io import SEEK_END, BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias
from urllib.parse import quote

import requests
from aptly_api.base import AptlyAPIException  # type: ignore[import-untyped]  # ships no py.typed
from aptly_api.parts.files import FilesAPISection  # type: ignore[import-untyped]
from aptly_api.parts.misc import MiscAPISection  # type: ignore[import-untyped]
from aptly_api.parts.packages import PackageAPISection  # type: ignore[import-untyped]
from aptly_api.parts.publish import PublishAPISection  # type: ignore[import-untyped]
from aptly_api.parts.repos import ReposAPISection  # type: ignore[import-untyped]
from aptly_api.parts.snapshots import SnapshotAPISection  # type: ignore[import-untyped]
from requests_unixsocket.adapters import UnixAdapter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

Wire: TypeAlias = Any
"""What requests takes and aptly-api-client hands over; neither says its type."""

_CONNECT_SECONDS = 10
_ACCEPTED, _OK = 202, 200
_SUCCEEDED = 2
_FAILURE = "Task failed with error: "
_NEVER = "pi-ota-never"
"""A snapshot that is never there."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One aptly server and how to speak to it."""

    session: requests.Session
    base: str
    timeout_seconds: float
    tasks: list[int] = field(default_factory=list)
    """Those of this connection that are over, which aptly remembers."""

    @classmethod
    def to(cls, url: str, timeout_seconds: float, login: tuple[str, str] | None = None) -> Connection:
        """``url`` is http(s) or ``unix:///path``; ``login`` is user and password of basic authentication."""
        session = requests.Session()
        session.auth = login
        base = url
        if url.startswith("unix://"):
            session.mount("http+unix://", UnixAdapter(timeout=timeout_seconds))  # type: ignore[no-untyped-call]
            base = f"http+unix://{quote(url.removeprefix('unix://'), safe='')}"
        session.trust_env = not url.startswith("unix://")  # no proxy between us and a socket
        return cls(session, base, timeout_seconds)

    def call(self, method: str, path: str, **values: Wire) -> requests.Response:
        """One call. Raises ``AptlyAPIException`` where aptly refuses, and what requests raises."""
        timeout = (_CONNECT_SECONDS, self.timeout_seconds)
        answer = self.session.request(method, f"{self.base}/{path}", timeout=timeout, **values)
        if not answer.ok:
            raise AptlyAPIException(_words(answer), status_code=answer.status_code)
        return answer

    def change(self, method: str, path: str, **values: Wire) -> Wire:
        """One call that changes something, as a task of aptly's; its answer once that is over. Raises as ``call``."""
        params = {**(values.pop("params", None) or {}), "_async": "true"}
        answer = self.call(method, path, params=params, **values)
        if answer.status_code != _ACCEPTED:  # what is quick is no task
            return answer
        task = answer.json()["ID"]
        self.tasks.append(task)
        ended = self.call("GET", f"api/tasks/{task}/wait").json()
        if ended["State"] != _SUCCEEDED:
            said = str(self.call("GET", f"api/tasks/{task}/output").json())
            raise AptlyAPIException(said.rpartition(_FAILURE)[2].strip(), status_code=500)
        return _Returned(self, task)

    def close(self) -> None:
        """Let aptly forget the tasks that are over, and hang up. Raises nothing: whatever was to be done is done."""
        self._forget_tasks()
        self.session.close()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Give aptly one call that lasts as long, so that it keeps its database open for all others meanwhile.

        Served with ``-no-lock`` it opens and closes it for each call that comes alone, which takes longer than most
        calls. Whatever becomes of the lasting one: without it the others take longer, and that is all.
        """
        over = threading.Event()
        threading.Thread(target=self._last, args=(over,), name="aptly-busy", daemon=True).start()
        try:
            yield
        finally:
            self._forget_tasks()
            over.set()

    def _last(self, over: threading.Event) -> None:
        def body() -> Iterator[bytes]:
            yield b"{"
            over.wait()
            yield b"}"

        with suppress(requests.RequestException, AptlyAPIException):  # 404: there is no such snapshot
            self.call("PUT", f"api/snapshots/{_NEVER}", data=body(), headers={"Content-Type": "application/json"})

    def _forget_tasks(self) -> None:
        with suppress(requests.RequestException, AptlyAPIException):
            while self.tasks:  # one by one: another builder may still ask for its own
                self.call("DELETE", f"api/tasks/{self.tasks.pop()}")

    def upload(self, folder: str, paths: Sequence[Path], advance: Callable[[int], None]) -> None:
        """Send files, a piece at a time; ``advance`` hears how many bytes have gone. Raises as ``call``."""
        with ExitStack() as opened:
            body = _Multipart([(path, opened.enter_context(path.open("rb"))) for path in paths], advance)
            self.call("POST", f"api/files/{quote(folder)}", data=body, headers={"Content-Type": body.content_type})

    def wait_until_idle(self) -> None:
        """Wait for every task that aptly is at, whoever asked for it. Raises as ``call``."""
        self.call("GET", "api/tasks-wait")


@dataclass(frozen=True, slots=True)
class _Returned:
    """What a task answered, for the sections that look at a response; fetched where one does."""

    connection: Connection
    task: int
    status_code: int = _OK

    def json(self) -> Wire:
        returned = self.connection.call("GET", f"api/tasks/{self.task}/return_value").json() or {}
        return returned.get("Value")


class _Multipart:
    """Files as a form, read as they are sent: requests itself would hold all of them in memory."""

    def __init__(self, files: Sequence[tuple[Path, BinaryIO]], advance: Callable[[int], None]) -> None:
        boundary = uuid.uuid4().hex
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._parts: list[BinaryIO] = []
        for number, (path, file) in enumerate(files):
            disposition = f'Content-Disposition: form-data; name="file"; filename="{path.name}"'
            head = f"--{boundary}\r\n{disposition}\r\nContent-Type: application/octet-stream\r\n\r\n"
            self._parts += [BytesIO((("\r\n" if number else "") + head).encode()), file]
        self._parts.append(BytesIO(f"\r\n--{boundary}--\r\n".encode()))
        self._length = sum(part.seek(0, SEEK_END) for part in self._parts)
        for part in self._parts:
            part.seek(0)
        self._advance = advance

    def __len__(self) -> int:
        return self._length

    def read(self, size: int) -> bytes:
        """The next piece, of at most ``size`` bytes; empty at the end."""
        while self._parts:
            if piece := self._parts[0].read(size):
                if not isinstance(self._parts[0], BytesIO):
                    self._advance(len(piece))
                return piece
            del self._parts[0]
        return b""


class _Transport:
    """The four calls under every section of aptly-api-client."""

    def __init__(self, connection: Connection) -> None:
        # Sets what the client's error texts use; the client's own requests.get() and so on are not called.
        super().__init__(base_url=connection.base)  # type: ignore[call-arg]  # the section beside us in the bases
        self._connection = connection

    def do_get(self, urlpath: str, params: Wire = None) -> Wire:
        return self._connection.call("GET", urlpath, params=params)

    def do_post(
        self, urlpath: str, data: Wire = None, params: Wire = None, files: Wire = None, json: Wire = None
    ) -> Wire:
        return self._connection.change("POST", urlpath, data=data, params=params, files=files, json=json)

    def do_put(self, urlpath: str, data: Wire = None, files: Wire = None, json: Wire = None) -> Wire:
        return self._connection.change("PUT", urlpath, data=data, files=files, json=json)

    def do_delete(self, urlpath: str, params: Wire = None, data: Wire = None, json: Wire = None) -> Wire:
        return self._connection.change("DELETE", urlpath, params=params, data=data, json=json)


class Files(_Transport, FilesAPISection):  # type: ignore[misc]  # its bases have no types
    """Uploaded files."""


class Misc(_Transport, MiscAPISection):  # type: ignore[misc]
    """The version."""


class Packages(_Transport, PackageAPISection):  # type: ignore[misc]
    """Single packages."""


class Publish(_Transport, PublishAPISection):  # type: ignore[misc]
    """What is published."""


class Repos(_Transport, ReposAPISection):  # type: ignore[misc]
    """Local repositories."""


class Snapshots(_Transport, SnapshotAPISection):  # type: ignore[misc]
    """Snapshots."""


def _words(answer: requests.Response) -> str:
    try:
        content = answer.json()
    except requests.JSONDecodeError:
        return f"status {answer.status_code}: {answer.text[:300].strip()}"
    first = content[0] if isinstance(content, list) and content else content
    return str(first.get("error", first)) if isinstance(first, dict) else json.dumps(first)
