// Tables of regressions and improvements, exact changes, the last change of every series, and missing results.

function blank(text) {
  return element("div", { className: "card blank" }, text);
}

function table(headings, bodies, className = "") {
  return element("div", { className: `card table ${className}` }, element("table", {},
    element("thead", {}, element("tr", {}, headings.map((heading) => element("th", { scope: "col" }, heading)))),
    bodies));
}

function labelled(label, ...children) {
  return element("td", { "data-label": label }, element("div", {}, children));
}

const CHANGE_COLUMNS = ["Stage", "Series", "Size", "Probability", "Where"];

function drawChanges(node, environment, groups, nothing) {
  if (!groups.length) return node.replaceChildren(blank(nothing));
  return node.replaceChildren(table(CHANGE_COLUMNS, changeRows(environment, groups), "by-commit"));
}

function changeRows(environment, groups) {
  return [...new Set(groups.map((group) => `${group.at} ${group.since}`))].map((key) => {
    const same = groups.filter((group) => `${group.at} ${group.since}` === key);
    return element("tbody", {},
      element("tr", { className: "commit-row" }, element("th", { colSpan: CHANGE_COLUMNS.length, scope: "rowgroup" },
        commitElement(same[0]), element("span", { className: "quiet" }, data.commits[same[0].at].date))),
      same.map((group) => element("tr", {},
        labelled("Stage", group.stage),
        labelled("Series", group.label),
        labelled("Size", sizeElement(group.ratio ?? Infinity, true), rangeElement(group)),
        labelled("Probability", element("span", { className: "number" }, probabilityText(group.probability))),
        labelled("Where", cellChangesElement(environment, group),
          group.reason ? element("p", { className: "reason" }, group.reason) : null))));
  });
}

// Acknowledged regressions, folded below the open ones.
function drawAcknowledged(environment) {
  const groups = environment.acknowledged;
  if (!groups.length) return byId("acknowledged").replaceChildren();
  return byId("acknowledged").replaceChildren(element("details", {},
    element("summary", {}, `${plural(groups.length, "acknowledged regression")}`),
    table(CHANGE_COLUMNS, changeRows(environment, groups), "by-commit")));
}

function drawBreaks(environment) {
  byId("breaks").replaceChildren(...environment.breaks.map(({ at, text }) => element("li", {},
    "Nothing is compared across ", hashElement(data.commits[at]), `, because the host changed there: ${text}.`)));
}

// The confidence interval of the size of a change; exact series have none.
function rangeElement({ interval: [low, high] }) {
  if (low === null || high === null || low === high) return null;
  return element("span", { className: "range" }, `${relative(low)} to ${relative(high)}`);
}

// Probabilities with two decimals; only exact series are certain.
function probabilityText(probability) {
  if (probability === 1) return "exact";
  return probability > 0.9999 ? "> 99.99\u00a0%" : `${(100 * probability).toFixed(2)}\u00a0%`;
}

// The change in each cell: one is shown, several are folded.
function cellChangesElement(environment, group) {
  const lines = group.changes.map((change) => {
    const series = environment.series[change.series];
    return [
      element("button", { className: "tag", onclick: () => showHistory(environment, series) }, series.cell_text || "history"), " ",
      element("span", { className: "number" }, `${amount(change.before, series.unit)} → ${amount(change.after, series.unit)}`), " ",
      sizeElement(change.after / change.before, true),
    ];
  });
  if (lines.length === 1) return element("div", {}, lines[0].slice(0, 3));
  return element("details", {},
    element("summary", {}, `${plural(lines.length, "cell")}, ${changeRange(group)}`),
    element("ul", {}, lines.map((line) => element("li", {}, line))));
}

function changeRange(group) {
  const ratios = group.changes.map((change) => change.after / change.before);
  const [least, most] = [relative(Math.min(...ratios)), relative(Math.max(...ratios))];
  return least === most ? least : `${least} to ${most}`;
}

function drawWork(environment) {
  const node = byId("work");
  const changes = environment.exact_changes;
  if (!changes.length) {
    const known = environment.series.some((series) => series.type === "fingerprint");
    const since = data.commits[environment.commits[0]].short;
    if (environment.commits.length === 1) return node.replaceChildren(blank("Only one commit is measured, so there is nothing to compare."));
    return node.replaceChildren(blank(known
      ? `Since ${since}, every measured commit does the same work and gives the same output.`
      : "Output and amount of work were not recorded here."));
  }
  const rows = changes.map((change) => element("tr", {},
    labelled("Commit", commitElement(change)),
    labelled("What", change.type === "fingerprint" ? "The output changed here" : `${change.label} changed here`),
    labelled("Where", exactCells(change))));
  return node.replaceChildren(table(["Commit", "What", "Where"], element("tbody", {}, rows), "of-work"));
}

function exactCells(change) {
  const summary = `${change.cells.length} of ${plural(change.measured_cells, "cell")}`;
  return element("details", {}, element("summary", {}, summary), element("ul", {}, change.cells.map((cell) =>
    element("li", {}, element("span", { className: "tag" }, cell.text || "all"), " ", change.type === "fingerprint" ? ""
      : element("span", { className: "number" }, `${amount(cell.before, change.unit)} → ${amount(cell.after, change.unit)}`)))));
}

const ROWS_AT_FIRST = matchMedia("(max-width: 720px)").matches ? 12 : 40;
const order = { column: 1, descending: true, group: "" };

const COLUMNS = [
  { name: "Series", key: (row) => row.series.label },
  { name: "Change", key: (row) => row.weight },
  { name: "Before → latest", key: (row) => row.latest },
  { name: "Spread", key: (row) => row.spread },
  { name: "Changed at", key: (row) => (row.change?.significant ? row.change.at : -1) },
  { name: "History", key: null },
];

function seriesRow(environment, series, number) {
  const change = series.change;
  const last = series.y.findLastIndex((value) => value !== null);
  const latest = series.y[last];
  const ratio = change ? change.after / change.before : null;
  const distance = ratio > 0 && Number.isFinite(ratio) ? Math.abs(Math.log(ratio)) : 0;
  return {
    series, number, change, latest, last, ratio,
    weight: change ? (change.significant ? 1000 : 0) + (series.exact ? 0 : 1 + distance) : -1,
    spread: series.low && series.low[last] !== null ? (series.high[last] - series.low[last]) / latest : 0,
    words: [series.label, series.cell_text, series.stage, series.group, series.benchmark,
      change?.significant ? `${data.commits[change.at].short} ${data.commits[change.at].subject}` : "steady"].join(" ").toLowerCase().split(/[^a-z0-9]+/),
  };
}

function changeElement({ series, change, ratio }) {
  if (!change) return element("span", { className: "quiet" }, "first value");
  if (series.exact) return element("span", { className: change.significant ? "size" : "quiet" }, change.significant ? "changed" : "same");
  return sizeElement(ratio, change.significant);
}

function valuesElement({ series, change, latest }) {
  if (series.type === "fingerprint" && !change?.significant) return "same output";
  const today = amount(change?.significant ? change.after : latest, series.unit);
  return change ? `${amount(change.before, series.unit)} → ${today}` : today;
}

function seriesElement(environment, row) {
  const { series, change, last } = row;
  const first = series.y.findIndex((value) => value !== null);
  const since = data.commits[environment.commits[first]].short;
  const history = `History of ${series.label}, ${series.cell_text}`;
  return element("tr", {},
    element("td", {}, series.label, element("span", { className: "cell" }, series.cell_text || "\u00a0")),
    labelled("Change", changeElement(row)),
    labelled("Values", element("span", { className: "number" }, valuesElement(row))),
    labelled("Spread", element("span", { className: "number quiet" }, spread(series.low?.[last], series.high?.[last], series.y[last]) || "–")),
    labelled("Commit", change?.significant ? commitElement(change) : element("span", { className: "quiet" }, change ? `steady since ${since}` : since)),
    labelled("History", element("button", { className: "spark", title: history, "aria-label": history, onclick: () => showHistory(environment, series) }, sparkline(series))));
}

// The choice of the group of series that the table shows; "" shows all.
function drawGroups(environment) {
  const measured = new Set(environment.series.map((series) => series.group));
  const groups = [...data.groups, ...measured].filter((group, at, all) => measured.has(group) && all.indexOf(group) === at);
  if (!measured.has(order.group)) order.group = "";
  byId("groups").replaceChildren(...["", ...groups].map((group) => element("label", {},
    element("input", {
      type: "radio", name: "group", value: group, checked: order.group === group,
      onchange: () => { order.group = group; drawSeries(environment); },
    }), element("span", {}, group || "All"))));
}

function drawSeries(environment, everything = false) {
  const wanted = byId("filter").value.toLowerCase().split(/[^a-z0-9]+/).filter(Boolean);
  const all = environment.series.map((series, number) => seriesRow(environment, series, number));
  const grouped = all.filter(({ series }) => !order.group || series.group === order.group);
  const rows = grouped.filter((row) => wanted.every((start) => row.words.some((word) => word.startsWith(start))) && (row.change?.significant || !byId("only-significant").checked));
  const { key } = COLUMNS[order.column];
  const sign = order.descending ? -1 : 1;
  rows.sort((a, b) => sign * (key(a) > key(b) ? 1 : key(a) < key(b) ? -1 : 0) || a.number - b.number);
  const visible = everything ? rows : rows.slice(0, ROWS_AT_FIRST);
  byId("shown").textContent = `${visible.length} of ${plural(grouped.length, "series", "series")}`;
  if (!rows.length) return byId("series").replaceChildren(blank("No series matches."));
  const shown = table(COLUMNS.map(({ name, key: sortable }, column) => (sortable
    ? element("button", { onclick: () => sortBy(environment, column) }, name) : name)),
  element("tbody", {}, visible.map((row) => seriesElement(environment, row))), "of-series");
  shown.querySelectorAll("th")[order.column].setAttribute("aria-sort", order.descending ? "descending" : "ascending");
  const more = element("button", { className: "more", onclick: () => drawSeries(environment, true) }, `Show all ${rows.length}`);
  return byId("series").replaceChildren(shown, ...(visible.length < rows.length ? [more] : []));
}

function sortBy(environment, column) {
  order.descending = order.column === column ? !order.descending : column > 0;
  order.column = column;
  drawSeries(environment);
}

function drawMissing(environment) {
  const node = byId("missing");
  byId("latest").replaceChildren(hashElement(data.commits[environment.latest]), ".");
  if (!environment.missing.length) return node.replaceChildren(blank("Every series has a value."));
  const tag = (text, kind) => [element("span", { className: `tag ${kind}` }, text), " "];
  const items = environment.missing.flatMap((missing) => [
    ...missing.failures.map(({ cell, series, every, reason }) => element("li", {}, tag("failed", "worse"),
      element("b", {}, [missing.name, cell].filter(Boolean).join(" · ")),
      every ? "" : ` in ${series.join(", ")}`, reason ? `: ${reason}` : "")),
    ...missing.absent.map(({ reason, cells }) => element("li", {}, tag("n/a", ""), absentElement(missing, cells, reason))),
    ...missing.partly.map(({ series, cells }) => element("li", {}, tag("n/a", ""), element("b", {}, missing.name),
      `: ${series.join(", ")}, in ${plural(cells, "measured cell")}`)),
  ]);
  return node.replaceChildren(element("ul", { className: "card list" }, items));
}

function absentElement(missing, cells, reason) {
  const name = element("b", {}, missing.name);
  if (missing.cells === 1) return element("span", {}, name, `: ${reason}`);
  return element("details", { className: "inline" },
    element("summary", {}, name, `: ${cells.length} of ${plural(missing.cells, "cell")}, ${reason}`),
    element("ul", {}, cells.map((cell) => element("li", {}, cell))));
}
