from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_hook.apt_errors import StepError
from pi_hook.ports import Problem, StepRequest
from pi_hook.steps import check_agent, check_offer

LISTS = [("1.0", "scheduled"), ("1.1", "urgent"), ("1.2", "scheduled"), ("1.10", "urgent")]


def request(version: str, urgency: str) -> StepRequest:
    return StepRequest("kitchen", version, urgency)


@pytest.mark.parametrize(
    ("installed", "offered", "urgency"),
    [("1.0", "1.2", "urgent"), ("1.1", "1.2", "scheduled"), ("1.0", "1.1", "urgent"), ("1.2", "1.2", "scheduled")],
)
def test_the_most_urgent_of_the_passed_versions(installed: str, offered: str, urgency: str) -> None:
    assert check_offer(request(offered, urgency), LISTS, installed) == urgency
    other = "scheduled" if urgency == "urgent" else "urgent"
    with pytest.raises(StepError) as raised:
        check_offer(request(offered, other), LISTS, installed)
    assert raised.value.problem is Problem.URGENCY_MISMATCH


def test_versions_above_the_granted_one_do_not_count() -> None:
    assert check_offer(request("1.2", "scheduled"), LISTS, "1.1") == "scheduled"


@pytest.mark.parametrize("urgency", ["scheduled", "urgent"])
def test_a_first_installation_takes_its_own_or_the_most_urgent(urgency: str) -> None:
    assert check_offer(request("1.2", urgency), LISTS, None) == urgency


def test_a_first_installation_takes_no_other_urgency() -> None:
    with pytest.raises(StepError):
        check_offer(request("1.0", "urgent"), LISTS, None)


def test_a_record_without_urgency_fits_no_offer() -> None:
    with pytest.raises(StepError) as raised:
        check_offer(request("2.0", "scheduled"), [("2.0", "")], "1.0")
    assert raised.value.problem is Problem.URGENCY_MISMATCH


@pytest.mark.parametrize("minimum", [None, "0.2", "0.1.9~rc1", "0.2.0"])
def test_an_agent_that_is_new_enough_may_install(minimum: str | None) -> None:
    check_agent(request("1.0", "urgent"), minimum, "0.2.0")


@pytest.mark.parametrize("minimum", ["0.2.1", "0.10", "1"])
def test_an_agent_that_is_too_old_waits_and_says_what_to_do(minimum: str) -> None:
    with pytest.raises(
        StepError, match=rf"1\.0 needs pi-hook {minimum} or higher, and this device has 0\.2\.0"
    ) as raised:
        check_agent(request("1.0", "urgent"), minimum, "0.2.0")
    assert raised.value.problem is Problem.DEPENDENCY_BLOCKED


@given(st.lists(st.sampled_from(["scheduled", "urgent"]), min_size=1), st.data())
def test_never_less_urgent_than_any_passed_version(urgencies: list[str], data: st.DataObject) -> None:
    lists = [(f"1.{number}", urgency) for number, urgency in enumerate(urgencies)]
    installed = data.draw(st.integers(-1, len(lists) - 2))
    passed = {urgency for _, urgency in lists[installed + 1 :]}
    expected = "urgent" if "urgent" in passed else "scheduled"
    given_installed = f"1.{installed}" if installed >= 0 else "0.9"
    assert check_offer(request(lists[-1][0], expected), lists, given_installed) == expected
