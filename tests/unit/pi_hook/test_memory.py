"""What must not be lost: state, outbox, sequence numbers, identity."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pi_hook.effects import Note
from pi_hook.errors import IdentityError
from pi_hook.identity import load_or_create, uuid7
from pi_hook.outbox import Outbox
from pi_hook.policy import Urgency
from pi_hook.state import Contact, Granted, Ledger, Mark, read_memory
from pi_hook.update import Bad, Device, Outcome, Past, Phase, Update
from pi_hook.wire import Offer, Status, Withheld

AT = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
OFFER = Offer("u-1", "sample", "1.1.0", Urgency.URGENT, AT, expedited=True)
FULL = Device(
    update=Update(
        OFFER, Phase.VERIFYING, Urgency.SCHEDULED, "1.0.0", True, "DISK_FULL", 2, 1, "BUSY", AT, AT, "why", "tail"
    ),
    withheld=Withheld("u-2", "2", "PAUSED"),
    hold="guests",
    held_here=True,
    last_good="1.0.0",
    bad=(Bad("0.9", AT, expedited=False),),
    history=(Past("u-0", "1.0.0", Outcome.SUCCEEDED, AT, "detail"),),
)  # fmt: skip


def note(status: str = "downloading") -> Note:
    return Note("u-1", "1.1.0", status)


def status(sequence: int, word: str = "downloading", update: str = "u-1") -> Status:
    return Status(update, sequence, word, AT, "1.1.0")


def test_everything_remembered_comes_back(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.commit(FULL, [note(), note("failed")], AT)
    mark = Mark("boot", 12.5)
    ledger.remember(
        granted=Granted("u-1", mark, 60.0), contact=Contact(mark, AT), not_before=AT, registered=True,
        channel="beta", pending=True, stopped="gone: retired",
    )  # fmt: skip
    again = Ledger(tmp_path)
    assert again.memory == ledger.memory
    assert again.memory.device == FULL
    assert [s.status for s in again.outbox.batch()] == ["downloading", "failed"]
    assert read_memory(tmp_path / "state.json") == ledger.memory


def test_files_are_for_root_alone_and_unchanged_memory_is_not_written(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.commit(FULL, [note()], AT)
    for name in ("state.json", "outbox.json", "sequence"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    before = (tmp_path / "state.json").stat().st_ino
    ledger.commit(FULL, [], AT)
    ledger.remember(channel=ledger.memory.channel)
    assert (tmp_path / "state.json").stat().st_ino == before


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ceiling is raised every five numbers, so that a test need not write hundreds."""
    monkeypatch.setattr("pi_hook.outbox._BLOCK", 5)


@pytest.mark.usefixtures("small_blocks")
def test_numbers_grow_by_one_over_restarts(tmp_path: Path) -> None:
    for n in range(1, 20):
        ledger = Ledger(tmp_path)
        ledger.commit(FULL, [note()], AT)
        assert ledger.memory.last_sequence == n
    assert [s.sequence for s in Ledger(tmp_path).outbox.batch()][:3] == [1, 2, 3]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("lost", [["state.json"], ["outbox.json"], ["state.json", "outbox.json"]])
@pytest.mark.parametrize("written", [1, 6, 7, 13])
def test_numbers_are_never_used_twice_whatever_is_lost(tmp_path: Path, lost: list[str], written: int) -> None:
    ledger = Ledger(tmp_path)
    for _ in range(written):
        ledger.commit(FULL, [note()], AT)
    for name in lost:
        (tmp_path / name).unlink()
    again = Ledger(tmp_path)
    again.commit(FULL, [note("failed")], AT)
    assert again.memory.last_sequence is not None
    assert again.memory.last_sequence > written


def test_an_unusable_ceiling_is_passed_by(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.commit(FULL, [note()], AT)
    (tmp_path / "sequence").write_text("many")
    (tmp_path / "state.json").unlink()
    again = Ledger(tmp_path)
    again.commit(FULL, [note()], AT)
    assert again.memory.last_sequence is not None
    assert again.memory.last_sequence > 100


def test_a_batch_holds_one_update_and_at_most_a_hundred(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.append([status(n) for n in range(1, 131)] + [status(131, update="u-2")])
    batch = outbox.batch()
    assert [s.sequence for s in batch] == list(range(1, 101))
    outbox.acknowledge(batch, 100)
    batch = Outbox(tmp_path).batch()
    assert [s.sequence for s in batch] == list(range(101, 131))
    outbox.acknowledge(batch, 130)
    assert [s.update_id for s in outbox.batch()] == ["u-2"]
    outbox.acknowledge(outbox.batch(), 500)
    assert len(Outbox(tmp_path)) == 0


def test_only_what_is_acknowledged_is_forgotten(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.append([status(1), status(2), status(3)])
    outbox.acknowledge(outbox.batch(), 2)
    assert [s.sequence for s in Outbox(tmp_path).batch()] == [3]


def test_weeks_offline_keep_every_outcome_and_the_latest_news(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    words = ["deferred", "installing", "succeeded"]
    outbox.append([status(n, words[n % 3] if n % 50 else "failed") for n in range(1, 1000)])
    kept = outbox._entries
    assert len(kept) == 300
    assert {s.status for s in kept} == {"succeeded", "failed"}
    assert kept[-1].sequence == 999 or kept[-1].status in {"succeeded", "failed"}
    assert outbox.last == 999


def test_a_refused_status_is_set_aside_and_said(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.append([status(n) for n in range(1, 61)])
    for entry in outbox.batch():
        outbox.refuse(entry, "unknown update")
    refused = json.loads((tmp_path / "refused.json").read_text())["refused"]
    assert len(refused) == 50
    assert refused[-1]["sequence"] == 60
    assert refused[-1]["why"] == "unknown update"
    assert outbox.batch() == []


@pytest.mark.parametrize(
    "content", ["{}", '{"last": -1, "statuses": []}', '{"last": 1, "statuses": [{"update_id": "u"}]}', '{"last": true}']
)
def test_an_outbox_that_cannot_be_read_is_set_aside(tmp_path: Path, content: str) -> None:
    (tmp_path / "outbox.json").write_text(content)
    assert len(Outbox(tmp_path)) == 0
    assert (tmp_path / "outbox.json.unusable").read_text() == content


def test_a_state_of_a_newer_program_is_set_aside(tmp_path: Path) -> None:
    Ledger(tmp_path).commit(FULL, [], AT)
    body = json.loads((tmp_path / "state.json").read_text())
    (tmp_path / "state.json").write_text(json.dumps({**body, "schema": 2}))
    assert Ledger(tmp_path).memory.device == Device(last_good=FULL.last_good, bad=FULL.bad), "verdicts are kept twice"
    assert read_memory(tmp_path / "state.json") is None


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(data=anything)
@settings(max_examples=30, deadline=None)
def test_no_content_of_a_field_breaks_the_start(data: object, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("state")
    Ledger(folder).commit(replace(FULL, held_here=False), [], AT)
    body = json.loads((folder / "state.json").read_text())
    body["device"]["update"]["phase"] = data
    (folder / "state.json").write_text(json.dumps(body))
    Ledger(folder)


def test_an_identity_is_made_once_and_for_root_alone(tmp_path: Path) -> None:
    path = tmp_path / "identity.json"
    made = load_or_create(path)
    assert load_or_create(path) == made
    assert path.stat().st_mode & 0o777 == 0o600
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", made.device_id)
    assert made.token not in repr(made)
    assert load_or_create(tmp_path / "other.json") != made


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"id": "x", "token": "y"}'])
def test_an_identity_that_cannot_be_used_is_a_person_s_decision(tmp_path: Path, content: str) -> None:
    path = tmp_path / "identity.json"
    path.write_text(content)
    with pytest.raises(IdentityError, match="restore it, or delete it"):
        load_or_create(path)
    assert path.read_text() == content


@given(milliseconds=st.integers(0, 2**48 - 1), bits=st.integers(0, 2**74 - 1))
def test_uuid7_is_laid_out_as_rfc_9562_says(milliseconds: int, bits: int) -> None:
    made = uuid.UUID(uuid7(milliseconds, bits))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == milliseconds
    assert (made.int >> 64 & 0xFFF) << 62 | made.int & (1 << 62) - 1 == bits
