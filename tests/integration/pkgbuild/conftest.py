from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.aptly import BuilderStack, builder_stack, plain_payload


@pytest.fixture
def stack() -> Iterator[BuilderStack]:
    with builder_stack() as running:
        yield running


@pytest.fixture
def payload(tmp_path: Path) -> Path:
    return plain_payload(tmp_path / "payload")
