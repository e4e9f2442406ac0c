"""Every address and metric that a document names is one that the server has."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from docs.reference import api
from tests.unit.docs.documents import BY_HAND, DOCUMENTS, name_of

_CALL = re.compile(
    r"(?:(GET|POST|PATCH|PUT|DELETE) )?(?:https?://[\w.:-]+)?(/(?:api/v1|repo|metrics|healthz|readyz)\b[^\s`\"')|,]*)"
)
_PAGE = re.compile(r"`(/(?:setup|onboarding|live|devices|updates)\b[^`\s]*)`")
_METRIC = re.compile(r"\brepo_server_[a-z_]+[a-z]\b")
_OF_PROMETHEUS = ("_bucket", "_sum", "_count")
_NO_METRIC = {"repo_server_state_dir"}


@cache
def described() -> api.Described:
    return api.described()


@cache
def operations() -> frozenset[tuple[str, str]]:
    return frozenset((method, _bare(path)) for method, path, _ in described().operations())


def _bare(path: str) -> str:
    """With one word for each parameter, and without a query."""
    path = re.sub(r"\{\w+\}", "{}", path.partition("?")[0])
    return re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\bID\b|\bUPDATE\b|\bNAME\b", "{}", path)


def unknown_addresses(text: str) -> list[str]:
    """Calls in a text that nobody answers; an address without a method may be the beginning of others."""
    paths = {path for _, path in operations()}
    wrong = []
    for method, path in _CALL.findall(text):
        bare = _bare(path).rstrip(".:;")
        if "…" in bare or bare.startswith("/repo"):
            continue  # of the repository any file may be named
        known = (method, bare) in operations() if method else any(one == bare or one.startswith(bare) for one in paths)
        if not known:
            wrong.append(f"{method} {path}".strip())
    return wrong


def unknown_pages(text: str) -> list[str]:
    """Addresses of people's pages that nobody answers."""
    known = {_bare(path) for path in described().addresses}
    return [path for path in _PAGE.findall(text) if _bare(path) not in known]


@pytest.mark.parametrize("document", BY_HAND, ids=name_of)
def test_every_page_that_a_document_names_is_there(document: Path) -> None:
    assert unknown_pages(document.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("document", BY_HAND, ids=name_of)
def test_every_address_that_a_document_names_is_answered(document: Path) -> None:
    assert unknown_addresses(document.read_text(encoding="utf-8")) == []


def test_every_metric_that_a_document_names_is_measured() -> None:
    known = {name for name, _, _ in described().metrics}
    for document in DOCUMENTS:
        named = {name for name in _METRIC.findall(document.read_text(encoding="utf-8")) if name not in _NO_METRIC}
        assert {name for name in named - known if not name.endswith(_OF_PROMETHEUS)} == set(), document


def test_a_table_of_metrics_names_such_that_are_measured() -> None:
    known = {name.removeprefix("repo_server_") for name, _, _ in described().metrics}
    seen = 0
    for document in BY_HAND:
        for table in re.findall(r"^\| metric .*\n((?:\|.*\n)+)", document.read_text(encoding="utf-8"), re.MULTILINE):
            named = [name for row in table.splitlines()[1:] for name in re.findall(r"`(\w+)`", row.split("|")[1])]
            assert [name for name in named if name.removeprefix("repo_server_") not in known] == []
            seen += len(named)
    assert seen > 5


def test_what_is_gone_would_be_found() -> None:
    text = (
        "`GET /api/v1/dances/`, `POST /api/v1/devices/{id}/heartbeat`, /api/v1/updates/{id}/pause, `PUT /api/v1/fleet`"
    )
    assert unknown_addresses(text) == ["GET /api/v1/dances/", "PUT /api/v1/fleet"]
    assert unknown_addresses("curl http://your-server:8000/api/v1/device/") == ["/api/v1/device/"]
    assert unknown_pages("`/setup/keys`, `/setup/dances`, `/devices/{id}/token`") == [
        "/setup/dances",
        "/devices/{id}/token",
    ]
    assert unknown_addresses("begins at `/api/v1/`; `GET /api/v1/devices/?cloned=true` and /healthz.") == []
