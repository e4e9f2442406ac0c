"""Reading who has signed what is published."""

from __future__ import annotations

import pytest

from pkgbuild import signed_by
from pkgbuild.errors import Kind, PkgbuildError


def test_a_signature_that_is_none_is_a_sentence_and_no_defect() -> None:
    with pytest.raises(PkgbuildError, match="finds 0 signatures in 1 published packages") as caught:
        signed_by._key_ids([b"not a signature"])
    assert caught.value.kind is Kind.BAD_INPUT


def test_where_nothing_is_published_nobody_is_asked() -> None:
    assert signed_by._key_ids([]) == []
