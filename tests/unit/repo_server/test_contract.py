"""The shared cases of tests/contract/wire.json, as the server reads and writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from repo_server import answers, body, wire
from repo_server.errors import InvalidError

CASES = json.loads((Path(__file__).resolve().parents[2] / "contract" / "wire.json").read_text())


def read(shape: type[wire.Body], given: Any) -> wire.Body:
    with Flask(__name__).test_request_context(method="POST", json=given):
        return body.read(shape)


@pytest.mark.parametrize(
    ("shape", "case"),
    [
        *[pytest.param(wire.Heartbeat, case, id=f"heartbeat {case['case']}") for case in CASES["heartbeat_requests"]],
        *[pytest.param(wire.StatusBatch, case, id=f"statuses {case['case']}") for case in CASES["status_requests"]],
    ],
)
def test_every_request_case_is_accepted_or_refused_by_name(shape: type[wire.Body], case: dict[str, Any]) -> None:
    if case["valid"]:
        assert read(shape, case["body"]) is not None
        return
    with pytest.raises(InvalidError) as refused:
        read(shape, case["body"])
    place = str(refused.value).split(":")[0]
    assert case["names"] in place.split(".")


@pytest.mark.parametrize("case", CASES["heartbeat_answers"], ids=lambda case: case["case"])
def test_answers_have_exactly_the_shape_of_the_contract(case: dict[str, Any]) -> None:
    answer = answers.HeartbeatAnswer.model_validate(case["body"])
    assert json.loads(answers.respond(answer).get_data()) == case["body"]
