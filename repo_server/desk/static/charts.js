// Draws each <figure data-chart>: stacked areas from the JSON beside it, in the colours of the style sheet. The table and
// the legend under it tell the same without this script.
"use strict";
(() => {
  const HEIGHT = 240;
  const number = new Intl.NumberFormat("en");
  const moment = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
  const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
  const hour = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
  const drawn = new Map();  // the element of each plot → { plot, watch }

  // A custom property with light-dark() is only resolved where it is used as a colour.
  function colour(name) {
    const probe = document.createElement("span");
    probe.style.color = `var(--${name})`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  }

  // From the bottom up; the series come from the top down.
  function stacked(series, length) {
    const sums = new Array(length).fill(0), lines = new Array(series.length);
    for (let place = series.length - 1; place >= 0; place--)
      lines[place] = series[place].values.map((value, at) => value === null ? null : (sums[at] += value));
    return lines;
  }

  function tell(figure, data, at) {
    const values = figure.querySelectorAll(".series [data-value]"), where = figure.querySelector("[data-at]");
    const place = at ?? data.times.length - 1;
    data.series.forEach((one, index) => {
      const value = one.values[place];
      if (values[index]) values[index].textContent = value === null ? "–" : number.format(value);
    });
    if (where) where.textContent = at === null || at === data.times.length - 1 ? "now" : moment.format(data.times[place] * 1000);
  }

  function draw(figure) {
    const box = figure.querySelector(".plot"), json = figure.querySelector('script[type="application/json"]');
    if (!box || !json) return;
    forget(box);
    const data = JSON.parse(json.textContent), line = colour("line"), muted = colour("muted"), surface = colour("surface");
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const axis = { stroke: muted, font, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
    const options = {
      width: Math.max(box.clientWidth, 200),
      height: HEIGHT,
      padding: [8, 8, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
      scales: { x: { time: true }, y: { range: (_, __, most) => [0, Math.max(most, 1)] } },
      axes: [
        { ...axis, space: 70, values: (_, splits, __, ___, step) => splits.map((one) => (step < 86400 && one % 86400 ? hour : day).format(one * 1000)) },
        { ...axis, size: (plot, values) => 14 + 7 * Math.max(1, ...(values ?? []).map((one) => one.length)),
          incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 1e7, 1e8],
          values: (_, splits) => splits.map((one) => number.format(one)) },
      ],
      // The whole stack first, then what lies below its topmost part, and so on: each covers what is not its own.
      series: [{}, ...data.series.map((one) => ({
        label: one.name, stroke: surface, width: 1, fill: colour(one.colour), points: { show: false }, spanGaps: false,
      }))],
      hooks: { setCursor: [(plot) => tell(figure, data, plot.cursor.idx ?? null)] },
    };
    const plot = new uPlot(options, [data.times, ...stacked(data.series, data.times.length)], box);
    const watch = new ResizeObserver(() => {
      if (box.clientWidth && box.clientWidth !== plot.width) plot.setSize({ width: box.clientWidth, height: HEIGHT });
    });
    watch.observe(box);
    drawn.set(box, { plot, watch });
    tell(figure, data, null);
  }

  function forget(box) {
    const before = drawn.get(box);
    before?.watch.disconnect();
    before?.plot.destroy();
    drawn.delete(box);
  }

  function all(root) {
    for (const box of [...drawn.keys()]) if (!box.isConnected) forget(box);
    for (const figure of root.querySelectorAll("[data-chart]")) draw(figure);
  }

  document.addEventListener("pi-ota:replaced", (event) => all(event.target));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => all(document));
  all(document);
})();
