"""The fleet over time, as its charts and tables show it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from repo_server.answers import DeviceCounts, Fleet, FleetSample
from repo_server.desk import fleet_charts
from repo_server.desk.fleet_charts import NAMED, PERIODS, ROWS, Chart

NOW = datetime(2026, 3, 29, 12, 30, tzinfo=UTC)


def sample(hours_ago: int, versions: dict[str, int] | None = None, *, others: int = 0, online: int = 0) -> FleetSample:
    at = NOW - timedelta(hours=hours_ago)
    return FleetSample(
        at=at, online=online, late=1, lost=2, pending=0, held=0, versions=versions or {}, other_versions=others
    )


def fleet(versions: dict[str, int] | None = None, online: int = 9) -> Fleet:
    counts = DeviceCounts(total=online + 3, online=online, offline=3, late=1, lost=2, pending=0, held=0)
    return Fleet(devices=counts, versions=versions or {}, reasons={}, updates=[], server_time=NOW)


def lines(chart: Chart) -> dict[str, list[int | None]]:
    return {one.name: list(one.values) for one in chart.series}


def test_versions_stand_in_their_order_and_end_with_the_present() -> None:
    chart = fleet_charts.versions(
        [sample(2, {"1.9.0": 5}), sample(1, {"1.9.0": 3, "1.10.0": 2})], fleet({"1.10.0": 5}), 1
    )
    assert list(lines(chart).items()) == [("1.9.0", [5, 3, 0]), ("1.10.0", [0, 2, 5])]
    assert chart.times == (NOW - timedelta(hours=2), NOW - timedelta(hours=1), NOW)
    assert [one.now for one in chart.series] == [0, 5]
    assert chart.tells


def test_the_biggest_have_a_colour_and_the_others_are_one_series_at_the_bottom() -> None:
    many = {f"1.{number}.0": 100 + number for number in range(12)}
    chart = fleet_charts.versions([sample(1, many, others=7)], fleet(many), 1)
    names = [one.name for one in chart.series]
    assert names == ["others", *(f"1.{number}.0" for number in range(5, 12))]
    assert len(names) == NAMED + 1
    others = sum(100 + number for number in range(5))
    assert lines(chart)["others"] == [others + 7, others]
    assert len({one.colour for one in chart.series}) == len(names)


def test_hours_without_a_sample_are_a_gap_and_not_made_up() -> None:
    chart = fleet_charts.presence([sample(9, online=4), sample(8, online=5), sample(3, online=6)], fleet(), 1)
    assert lines(chart)["online"] == [4, 5, None, 6, None, 9]
    assert chart.times[2] == NOW - timedelta(hours=5, minutes=30)
    assert [values for _, values in chart.rows] == [(9, 1, 2), (6, 1, 2), (5, 1, 2), (4, 1, 2)]


def test_thinned_samples_are_no_gaps() -> None:
    """The newest of every two hours may be up to three hours apart."""
    chart = fleet_charts.presence([sample(6), sample(3), sample(1)], fleet(), 2)
    assert None not in lines(chart)["online"]


def test_a_fresh_server_has_no_line_to_draw() -> None:
    assert not fleet_charts.versions([], fleet({}), 1).series
    assert not fleet_charts.versions([], fleet({}), 1).tells
    alone = fleet_charts.presence([], fleet(online=7), 1)
    assert not alone.tells
    assert [one.now for one in alone.series] == [7, 1, 2]
    assert fleet_charts.versions([], fleet({}), 1).rows == []


def test_a_sample_from_after_now_is_left_out() -> None:
    chart = fleet_charts.presence([sample(1), sample(-3)], fleet(), 1)
    assert chart.times[-1] == NOW
    assert len(chart.times) == 2


def test_the_table_has_few_rows_the_newest_and_the_oldest_among_them() -> None:
    chart = fleet_charts.presence([sample(hours, online=hours) for hours in range(100, 0, -1)], fleet(), 1)
    assert len(chart.rows) == ROWS
    assert (chart.rows[0], chart.rows[-1]) == ((NOW, (9, 1, 2)), (NOW - timedelta(hours=100), (100, 1, 2)))
    assert chart.rows == sorted(chart.rows, reverse=True)


def test_the_data_for_the_script_is_the_stack_from_the_top() -> None:
    chart = fleet_charts.versions([sample(1, {"1.0.0": 1})], fleet({"1.1.0": 1}), 1)
    assert chart.data == {
        "times": [int((NOW - timedelta(hours=1)).timestamp()), int(NOW.timestamp())],
        "series": [
            {"name": "1.1.0", "colour": "series-2", "values": [0, 1]},
            {"name": "1.0.0", "colour": "series-1", "values": [1, 0]},
        ],
    }


def test_periods_by_their_words_and_few_points_in_each() -> None:
    assert fleet_charts.period("1y").name == "1 year"
    for word in (None, "", "2 w", "<script>"):
        assert fleet_charts.period(word).word == "2w"
    for one in PERIODS:
        assert one.length / timedelta(hours=one.every_hours) <= 200


hours = st.lists(st.integers(0, 400), max_size=60, unique=True).map(lambda found: sorted(found, reverse=True))
counted = st.dictionaries(st.sampled_from([f"1.{n}" for n in range(15)]), st.integers(0, 50), max_size=15)


@given(hours, counted, counted, st.integers(0, 5), st.sampled_from([1, 2, 12]))
def test_no_device_is_lost_between_the_series(
    ago: list[int], past: dict[str, int], now: dict[str, int], others: int, every: int
) -> None:
    chart = fleet_charts.versions([sample(hour, past, others=others) for hour in ago], fleet(now), every)
    assert list(chart.times) == sorted(chart.times)
    assert all(len(one.values) == len(chart.times) for one in chart.series)
    if not chart.series:
        return
    sums = {sum(value or 0 for value in values) for values in zip(*(one.values for one in chart.series), strict=True)}
    assert sums <= {sum(past.values()) + others, sum(now.values()), 0}
    assert sum(one.now for one in chart.series) == sum(now.values())
    for values in zip(*(one.values for one in chart.series), strict=True):
        assert len({value is None for value in values}) == 1
