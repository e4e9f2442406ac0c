"""What the first page says of who needs attention."""

from __future__ import annotations

import pytest

from repo_server.attention import About, Cause, Concern, Item, Section
from repo_server.desk import fleet_words


def concern(cause: Cause, detail: str | None = None, about: About = About.DEVICE) -> Concern:
    return Concern(cause, about, "7", "kitchen", update=("u1", "1.1.0"), detail=detail)


@pytest.mark.parametrize("cause", list(Cause))
@pytest.mark.parametrize("detail", [None, "dpkg exited with 1", "{version} {0}"])
def test_every_cause_has_a_sentence(cause: Cause, detail: str | None) -> None:
    told, said = fleet_words.told(cause), fleet_words.sentence(concern(cause, detail))
    assert told.badge
    assert told.more
    assert not said.endswith((":", ": ", " "))
    assert said or cause in {Cause.REPOSITORY_BROKEN, Cause.REPOSITORY_WARNS, Cause.API_KEY}


def test_what_is_known_is_said() -> None:
    assert fleet_words.sentence(concern(Cause.FAILED, "dpkg exited with 1")) == (
        "failed with 1.1.0: dpkg exited with 1"
    )
    assert fleet_words.sentence(concern(Cause.FAILED)) == "failed with 1.1.0"
    assert fleet_words.sentence(concern(Cause.BLOCKED, "DISK_FULL")) == "cannot install: it has not enough free space"
    assert fleet_words.sentence(concern(Cause.HALTED)) == "is halted"
    assert fleet_words.sentence(Concern(Cause.SILENT, About.DEVICE, "7", "x")).startswith("began to install a release")


def test_what_else_is_wrong_with_it() -> None:
    assert fleet_words.also(Item(concern(Cause.FAILED), (Cause.LOST, Cause.REBOOT))) == "also lost, restart due"
    assert fleet_words.also(Item(concern(Cause.FAILED))) == ""


@pytest.mark.parametrize(
    ("about", "place"),
    [
        (About.DEVICE, "/devices/7"),
        (About.UPDATE, "/updates/7"),
        (About.REPOSITORY, "/setup/repository"),
        (About.API_KEY, "/setup/keys"),
    ],
)
def test_where_its_page_is(about: About, place: str) -> None:
    assert fleet_words.place(concern(Cause.LOST, about=about)) == place


def section(
    cause: Cause, more: int, *, named: bool = True, or_more: bool = False, update: str | None = None
) -> Section:
    return Section(cause, (Item(concern(cause)),) if named else (), more, or_more, update)


def test_the_others_are_a_number() -> None:
    assert fleet_words.others(section(Cause.LOST, 1911)) == "and 1,911 more that are lost"
    assert fleet_words.others(section(Cause.LOST, 1911, named=False)) == "1,911 that are lost"
    assert fleet_words.others(section(Cause.FAILED, 197, or_more=True)) == "and more than 197 on which it failed"


def test_the_others_are_listed_somewhere_or_not() -> None:
    assert fleet_words.everything(section(Cause.LOST, 1)) == "/devices?presence=lost"
    assert fleet_words.everything(section(Cause.FAILED, 1, update="u1")) == "/updates/u1"
    assert fleet_words.everything(section(Cause.FAILED, 1)) is None
    assert fleet_words.everything(section(Cause.REBOOT, 1)) is None
