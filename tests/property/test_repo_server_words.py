"""A device's gate in words names one instant, in every zone and through every change of its clocks."""

from __future__ import annotations

import re
import zoneinfo
from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from repo_server.desk import words
from repo_server.desk.filters import duration

_ZONES = sorted(zoneinfo.available_timezones() - {"localtime"})
_INSTANTS = st.integers(800_000_000, 2_140_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)
_WORDS = re.compile(
    r"waiting for (?P<clock>\d\d:\d\d)(?: on [A-Z][a-z]+ (?P<day>\d+ [A-Z][a-z]+)(?: (?P<year>\d{4}))?)? (?P<zone>\S+?)"
    r"(?: \(UTC(?P<offset>[+-]\d\d:\d\d)\))?, in (?P<length>.+)"
)


@given(st.sampled_from(_ZONES), _INSTANTS, st.timedeltas(timedelta(seconds=1), timedelta(days=500)))
@example("Europe/Berlin", datetime(2026, 10, 24, 22, 0, tzinfo=UTC), timedelta(hours=2, minutes=30))
@example("Europe/Berlin", datetime(2026, 10, 24, 22, 0, tzinfo=UTC), timedelta(hours=3, minutes=30))
@example("Europe/Berlin", datetime(2026, 3, 28, 21, 48, tzinfo=UTC), timedelta(hours=23, minutes=30))
@example("Australia/Lord_Howe", datetime(2026, 4, 4, 12, 0, tzinfo=UTC), timedelta(hours=2, minutes=45))
@example("Pacific/Apia", datetime(2011, 12, 29, 23, 0, tzinfo=UTC), timedelta(hours=12))
def test_the_words_of_a_gate_name_one_minute(zone: str, now: datetime, ahead: timedelta) -> None:
    retry_at = now + ahead
    found = _WORDS.fullmatch(words.gate("defer", "OUTSIDE_WINDOW", retry_at, zone, now).text)
    assert found is not None
    assert (found["zone"], found["length"]) == (zone, duration(ahead))
    place = zoneinfo.ZoneInfo(zone)
    this_year = now.astimezone(place).year
    # Who reads no day looks for the next such time; who reads one, for that day.
    first, span = (now - _MINUTE, timedelta(hours=21)) if found["day"] is None else (retry_at - _DAY, 2 * _DAY)
    first = first.replace(second=0, microsecond=0)
    meant = [
        minute
        for count in range(span // _MINUTE)
        if _fits((minute := first + count * _MINUTE).astimezone(place), found, this_year)
    ]
    assert meant == [retry_at.replace(second=0, microsecond=0)]


def _fits(there: datetime, found: re.Match[str], this_year: int) -> bool:
    return (
        f"{there:%H:%M}" == found["clock"]
        and found["day"] in (None, f"{there.day} {there:%B}")
        and (found["day"] is None or there.year == int(found["year"] or this_year))
        and (found["offset"] is None or f"{there:%z}"[:5] == found["offset"].replace(":", ""))
    )
