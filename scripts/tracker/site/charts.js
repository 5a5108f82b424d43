// The stacked chart with the breakdown of one commit, the history of one series, and sparklines.

const PLOT_OPTIONS = { displayModeBar: false, responsive: true };

function baseLayout(positions, node, suffix) {
  const room = Math.max(2, Math.floor(node.clientWidth / 92));
  const every = Math.max(1, Math.ceil(positions.length / room));
  const ticks = positions.map((_, at) => at).filter((at) => at % every === 0);
  const line = color("line");
  return {
    margin: { l: 58, r: 14, t: 34, b: 40 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: color("muted") },
    showlegend: false,
    hovermode: "x",
    dragmode: false,
    hoverlabel: { bgcolor: color("card"), bordercolor: color("line"), font: { family: getComputedStyle(document.body).fontFamily, color: color("ink"), size: 13 }, align: "left" },
    xaxis: {
      tickvals: ticks,
      ticktext: ticks.map((at) => data.commits[positions[at]].short),
      tickangle: 0,
      range: [Math.min(0, (positions.length - 4) / 2) - 0.6, Math.max(positions.length, (positions.length + 4) / 2) - 0.4],
      showgrid: false,
      zeroline: false,
      linecolor: line,
      ticks: "outside",
      ticklen: 6,
      tickcolor: "rgba(0,0,0,0)",
      fixedrange: true,
      tickfont: { family: "ui-monospace, Menlo, 'DejaVu Sans Mono', monospace", size: 11.5 },
    },
    yaxis: { gridcolor: line, zerolinecolor: line, fixedrange: true, ticksuffix: suffix, nticks: 6, automargin: true },
  };
}

function hoverText(position, lines) {
  const commit = data.commits[position];
  const subject = wrapped(commit.subject, 44).map(escaped);
  return [`<b>${commit.short}</b>  ${commit.date}`, ...subject, ...lines].join("<br>");
}

function intervalText(series, at) {
  return `${amount(series.y[at], series.unit)} ${spread(series.low?.[at], series.high?.[at], series.y[at])}`;
}

function errorBars(series, present, factor) {
  const reach = (bounds, sign) => present.map((at) => (bounds[at] === null ? 0 : (sign * (bounds[at] - series.y[at])) / factor));
  return { type: "data", array: reach(series.high, 1), arrayminus: reach(series.low, -1), symmetric: false };
}

function drawStack(environment, cell) {
  const node = byId("stack");
  const positions = environment.commits;
  const wall = cell.wall;
  const dense = positions.length > 60;
  const { factor, suffix } = axisUnit(Math.max(...wall.y), "seconds");
  const traces = data.stages.filter(({ key }) => cell.stages[key]).toReversed().map(({ key, label }) => ({
    type: "bar",
    name: label,
    x: positions.map((_, at) => at),
    y: cell.stages[key].y.map((value) => (value === null ? null : value / factor)),
    hoverinfo: "skip",
    marker: { color: color(key), line: { color: color("card"), width: dense ? 0 : 0.6 } },
  }));
  const present = positions.map((_, at) => at).filter((at) => wall.y[at] !== null);
  traces.push({
    type: "scatter",
    mode: "markers",
    name: "Wall time",
    x: present,
    y: present.map((at) => wall.y[at] / factor),
    text: present.map((at) => hoverText(positions[at], [`<b>Wall time ${intervalText(wall, at)}</b>`])),
    hovertemplate: "%{text}<extra></extra>",
    marker: { color: color("ink"), size: dense ? 2 : 4 },
    error_y: { ...errorBars(wall, present, factor), color: color("ink"), thickness: 1.2, width: dense ? 0 : 4 },
  });
  const layout = baseLayout(positions, node, suffix);
  layout.barmode = "stack";
  layout.bargap = dense ? 0 : Math.min(0.55, 0.2 + 1 / positions.length);
  layout.yaxis.rangemode = "tozero";
  Object.assign(layout, stackMarks(environment, cell, factor, node));
  Plotly.react(node, traces, layout, PLOT_OPTIONS);
  node.removeAllListeners?.("plotly_hover");
  node.on("plotly_hover", (event) => showBreakdown(environment, cell, event.points[0].x));
}

// Changes of the shown cell's stages as arrows above their bars, changes of its output as dotted lines.
function stackMarks(environment, cell, factor, node) {
  const shown = new Set(Object.values(cell.stages));
  const steps = new Map();
  for (const group of [...environment.regressions, ...environment.acknowledged, ...environment.improvements]) {
    for (const change of group.changes) {
      if (!shown.has(environment.series[change.series])) continue;
      const ratio = change.after / change.before;
      const size = Math.abs(change.after - change.before);
      if (size > (steps.get(group.at)?.size ?? 0)) steps.set(group.at, { size, ratio, label: group.label });
    }
  }
  const tops = cell.wall.y.map((value, at) => cell.wall.high[at] ?? value ?? 0);
  const annotations = [...steps].map(([position, { ratio, label }]) => {
    const at = environment.commits.indexOf(position);
    const text = `${label} ${relative(ratio)}`;
    const half = Math.ceil((text.length * 3.5 * tops.length) / node.clientWidth);
    const clearOf = Math.max(...tops.slice(Math.max(0, at - half), at + half + 1));
    return {
      x: at, y: tops[at] / factor, ax: 0, ay: (1.07 * clearOf) / factor, ayref: "y", arrowwidth: 1, arrowhead: 0, standoff: 4,
      text: escaped(text), bgcolor: color("card"), arrowcolor: color(changeClass(ratio)), font: { color: color(changeClass(ratio)), size: 12 },
    };
  });
  const shapes = [];
  const output = cell.output?.y ?? [];
  let last = null;
  output.forEach((value, at) => {
    if (value !== null && last !== null && value !== last) {
      const x = at - 0.5;
      shapes.push({ type: "line", x0: x, x1: x, y0: 0, y1: 1, yref: "paper", line: { dash: "dot", width: 1.2, color: color("muted") } });
      annotations.push({ x, y: 1, yref: "paper", yanchor: "bottom", showarrow: false, text: "output changed", font: { size: 11.5 } });
    }
    last = value ?? last;
  });
  return { annotations, shapes };
}

function showBreakdown(environment, cell, at) {
  const commit = data.commits[environment.commits[at]];
  const wall = cell.wall.y[at];
  const rows = data.stages.map(({ key, label }) => {
    const series = cell.stages[key];
    const value = series?.y[at] ?? null;
    const name = element("span", {}, element("i", { className: "swatch", style: `background: var(--${key})` }), label);
    return element("tr", {},
      element("td", {}, series ? element("button", { className: "plain", onclick: () => showHistory(environment, series) }, name) : name),
      element("td", {}, amount(value, "seconds")),
      element("td", { className: "quiet" }, value === null || !wall ? "" : `${((100 * value) / wall).toFixed(0)}\u00a0%`));
  });
  byId("breakdown").replaceChildren(
    element("h3", {}, hashElement(commit)),
    element("p", { className: "subject", title: commit.subject }, commit.subject),
    element("p", { className: "muted" }, `${commit.date} · ${commit.author}`),
    element("table", {}, element("tbody", {}, rows, element("tr", { className: "total" },
      element("td", {}, element("button", { className: "plain", onclick: () => showHistory(environment, cell.wall) }, "Wall time")),
      element("td", {}, amount(wall, "seconds")),
      element("td", { className: "quiet" }, spread(cell.wall.low[at], cell.wall.high[at], wall))))),
    element("p", { className: "muted" }, comparison(cell.wall, at)));
}

// One commit compared with the measured one before it; ≈ marks overlapping intervals.
function comparison(series, at) {
  const before = series.y.findLastIndex((value, earlier) => earlier < at && value !== null);
  if (series.y[at] === null) return "Not measured at this commit.";
  if (before < 0) return "The first measured commit.";
  const [low, high] = [series.low, series.high].map((bounds) => (index) => bounds[index] ?? series.y[index]);
  const overlap = low(at) <= high(before) && high(at) >= low(before);
  return `${overlap ? "≈ " : ""}${relative(series.y[at] / series.y[before])} compared with the commit before it`;
}

function showHistory(environment, series) {
  const dialog = byId("history");
  byId("history-title").textContent = series.label;
  byId("history-cell").textContent = [series.cell_text, environment.label].filter(Boolean).join(" · ");
  if (!dialog.open) dialog.showModal();
  const node = byId("history-chart");
  const positions = environment.commits;
  const present = positions.map((_, at) => at).filter((at) => series.y[at] !== null);
  const { factor, suffix } = axisUnit(Math.max(...series.y), series.unit);
  const layout = baseLayout(positions, node, suffix);
  layout.margin.t = 12;
  const change = series.change;
  if (change?.significant) {
    const x = environment.commits.indexOf(change.at) - 0.5;
    layout.shapes = [{ type: "line", x0: x, x1: x, y0: 0, y1: 1, yref: "paper", line: { dash: "dot", width: 1.2, color: color("muted") } }];
  }
  Plotly.react(node, [{
    type: "scatter",
    mode: "lines+markers",
    x: present,
    y: present.map((at) => series.y[at] / factor),
    text: present.map((at) => hoverText(positions[at], [`<b>${intervalText(series, at)}</b>`])),
    hovertemplate: "%{text}<extra></extra>",
    line: { color: color("accent"), width: 1.4, shape: series.low ? "linear" : "hv" },
    marker: { color: color("accent"), size: positions.length > 60 ? 3 : 6 },
    error_y: series.low ? { ...errorBars(series, present, factor), color: color("accent"), thickness: 1.2, width: 3 } : { visible: false },
  }], layout, PLOT_OPTIONS);
}

// A small curve for a table row. Its range is at least a tenth of the value, so that noise looks flat.
function sparkline(series) {
  const values = series.y.filter((value) => value !== null);
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const height = Math.max(most - least, 0.1 * Math.abs(most), 1e-12);
  const middle = (most + least) / 2;
  const last = series.y.length - 1;
  const points = series.y.map((value, at) => value === null ? null : [
    4 + (124 * (last ? at / last : 0.5)),
    14 - (20 * (value - middle)) / height,
  ]).filter(Boolean);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 132 28");
  const draw = (tag, attributes) => {
    const shape = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) shape.setAttribute(name, value);
    svg.append(shape);
  };
  const stroke = series.change?.significant && !series.exact
    ? `var(--${changeClass(series.change.after / series.change.before)})` : "var(--muted)";
  draw("polyline", { points: points.map((p) => p.map((c) => c.toFixed(1)).join(",")).join(" "), fill: "none", stroke, "stroke-width": 1.5, "stroke-linejoin": "round" });
  const [x, y] = points.at(-1);
  draw("circle", { cx: x, cy: y, r: 2.6, fill: stroke, stroke: "none" });
  return svg;
}
