"""Whether this is one of the long runs."""

from __future__ import annotations

import os

CAMPAIGN = os.environ.get("PI_OTA_CAMPAIGN") == "1"
"""``make …-campaign``: everything, instead of the sample that fits into ``make test``."""
