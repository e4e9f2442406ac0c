"""What was typed into a form."""

from __future__ import annotations

from flask import request

NOTHING_MADE = "nothing was made yet; look at what is marked below"
"""Above a form that names what is wrong beside each field."""


def typed(name: str) -> str:
    """One field, without blanks around it; "" where there is none."""
    return request.form.get(name, "").strip()


def filled(*names: str) -> dict[str, object]:
    """These fields by name, without those that were left empty."""
    return {name: typed(name) for name in names if typed(name)}
