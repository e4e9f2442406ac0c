"""QR codes as SVG that stands in a page: with attributes only, as no style may stand there."""

from __future__ import annotations

import io

import segno
from markupsafe import Markup


def svg(text: str) -> Markup:
    """A code that holds ``text``, dark on light in a dark page too: many readers know no other.

    Raises ``segno.DataOverflowError`` for more than about 2,300 bytes.
    """
    code = segno.make(text, micro=False, error="m", encoding="utf-8", eci=False)
    out = io.BytesIO()
    code.save(
        out,
        kind="svg",
        xmldecl=False,
        svgns=False,
        omitsize=True,
        border=4,
        dark="#000",
        light="#fff",
        svgclass="qr",
        lineclass=None,
        nl=False,
    )
    # segno writes numbers and names of its own only: the text is in the picture.
    return Markup(out.getvalue().decode())  # noqa: S704
