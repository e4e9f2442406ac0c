"""What holds for all tests."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# How long one example takes says more of the machine than of the rule. CI judges a change and so takes the same
# examples each time; everybody else's runs, and `make gate-campaign`, look for new ones.
settings.register_profile("patient", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("patient")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that enter chroots or mount file systems are for root; `make test` runs them with sudo."""
    if os.geteuid() == 0:
        return
    for item in items:
        if "root" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="needs root: `make test` runs it with sudo"))
