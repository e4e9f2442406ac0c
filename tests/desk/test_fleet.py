"""The charts of the first page in the browser: drawn, drawn anew, and told without scripts."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.desk.conftest import Desk

_MIDDLE = """() => [...document.querySelectorAll("[data-chart] canvas")].map((one) => {
  const pixel = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  pixel.drawImage(one, -one.width / 2, -one.height / 2);
  return { width: one.width, colour: pixel.getImageData(0, 0, 1, 1).data.join() };
})"""


def middles(page: Page) -> list[dict[str, object]]:
    """Of every chart its width, and the colour in its middle."""
    found: list[dict[str, object]] = page.evaluate(_MIDDLE)
    return found


def test_charts_are_drawn_anew_with_the_page_the_colours_and_the_width(desk: Desk) -> None:
    home = desk.home()
    visitor = desk.visit("operator")
    visitor.open("/")
    page = visitor.page
    expect(page.locator("[data-chart] canvas")).to_have_count(2)
    light = middles(page)
    page.locator("#chart-versions summary").click()
    held = page.locator("#totals .card", has_text="Held").locator("strong")
    before = int(held.inner_text())
    token = visitor.csrf_token()
    answer = visitor.context.request.patch(
        f"{desk.service.url}/api/v1/devices/{home.id}",
        data={"hold": "guests"},
        headers={"X-CSRF-Token": token},
    )
    assert answer.status == 200
    expect(held).to_have_text(str(before + 1))
    expect(page.locator("[data-chart] canvas")).to_have_count(2)
    assert middles(page) == light
    expect(page.locator("#chart-versions table")).to_be_visible()
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 700, "height": 900})
    page.wait_for_function(f"width => ({_MIDDLE})().every((one) => one.width !== width)", arg=light[0]["width"])
    assert all(one["colour"] != other["colour"] for one, other in zip(middles(page), light, strict=True))


def test_a_chart_tells_the_numbers_under_the_pointer(desk: Desk) -> None:
    visitor = desk.visit("viewer")
    visitor.open("/")
    chart = visitor.page.locator("#chart-presence")
    told, at = chart.locator(".series"), chart.locator("[data-at]")
    expect(at).to_have_text("now")
    now = told.inner_text()
    chart.locator(".u-over").hover(position={"x": 120, "y": 40})
    expect(at).not_to_have_text("now")
    assert told.inner_text() != now
    visitor.page.mouse.move(0, 0)
    expect(at).to_have_text("now")
    assert told.inner_text() == now


def test_without_scripts_there_is_the_table(desk: Desk) -> None:
    visitor = desk.visit("viewer", scripts=False)
    visitor.open("/")
    page = visitor.page
    expect(page.locator("[data-chart] canvas")).to_have_count(0)
    page.locator("#chart-presence summary").click()
    expect(page.locator("#chart-presence tbody tr")).to_have_count(14)
