// The header, the selection of environment and cell, and what it redraws.

const data = JSON.parse(byId("data").textContent);
const state = { environment: data.environments[0], cell: null };

const PARAMETERS = [
  ["duration", "Duration", (value) => `${value} s`],
  ["batch", "Batch", (value) => value],
  ["thinking", "Thinking", (value) => (value === "True" ? "on" : "off")],
  ["steps", "Steps", (value) => value],
];

// The cells of whole generations, in the order of their parameters: {values, text, wall, output, stages}.
function cellsOf(environment) {
  const cells = new Map();
  const keys = new Set(data.stages.map(({ key }) => key));
  for (const series of environment.series) {
    if (!series.metric) continue;
    const cell = cells.get(series.cell_text) ?? { text: series.cell_text, stages: {} };
    cell.values = Object.fromEntries(series.cell.map(({ name, value }) => [name, value]));
    if (series.metric === "wall") cell.wall = series;
    if (series.metric === "fingerprint") cell.output = series;
    if (keys.has(series.metric)) cell.stages[series.metric] = series;
    cells.set(series.cell_text, cell);
  }
  return [...cells.values()].filter((cell) => cell.wall);
}

// The cell with the chosen value that has most parameters in common with *values*.
function nearest(cells, values, fixed) {
  const common = (cell) => PARAMETERS.filter(([name]) => cell.values[name] === values[name]).length;
  return cells.filter((cell) => !fixed || cell.values[fixed] === values[fixed])
    .reduce((best, cell) => (best && common(best) >= common(cell) ? best : cell), null);
}

function drawChoices(cells) {
  const fieldsets = PARAMETERS.map(([name, label, text]) => {
    const values = data.choices[name] ?? [];
    const labels = values.map((value) => element("label", {},
      element("input", {
        type: "radio", name, value, checked: state.cell?.values[name] === value,
        disabled: !cells.some((cell) => cell.values[name] === value),
        onchange: () => chooseCell(nearest(cells, { ...state.cell.values, [name]: value }, name)),
      }), element("span", {}, text(value))));
    return element("fieldset", {}, element("legend", {}, label), element("div", { className: "segments" }, labels));
  });
  byId("cell").replaceChildren(...(cells.length ? fieldsets : []));
}

function chooseCell(cell) {
  state.cell = cell;
  const focused = document.activeElement?.name;
  drawChoices(cellsOf(state.environment));
  if (focused) document.querySelector(`#cell input[name="${focused}"]:checked`)?.focus();
  drawSummary();
  drawFigure();
}

function chooseEnvironment(environment) {
  state.environment = environment;
  const facts = environment.facts;
  byId("machine").textContent = [facts.cpu, facts.num_cpu && plural(Number(facts.num_cpu), "core"),
    Number(facts.ram) ? `${(facts.ram / 1e9).toFixed(0)} GB` : null, facts.os].filter(Boolean).join(" · ");
  chooseCell(nearest(cellsOf(environment), state.cell?.values ?? {}, null));
  drawChanges(byId("regressions"), environment, environment.regressions, "No regression is open.");
  drawAcknowledged(environment);
  drawBreaks(environment);
  drawChanges(byId("improvements"), environment, environment.improvements, "No improvements.");
  drawWork(environment);
  drawGroups(environment);
  drawSeries(environment);
  drawMissing(environment);
}

function drawFigure() {
  const { environment, cell } = state;
  byId("breakdown").replaceChildren();
  if (!cell) {
    Plotly.purge("stack");
    return byId("stack").replaceChildren(element("p", { className: "blank" }, "No whole generation was measured here."));
  }
  drawStack(environment, cell);
  return showBreakdown(environment, cell, cell.wall.y.findLastIndex((value) => value !== null));
}

function summaryCard(title, value, note) {
  return element("div", { className: "card" }, element("dl", { style: "margin: 0" },
    element("dt", {}, title), element("dd", {}, value)), element("p", {}, note));
}

function drawSummary() {
  const { environment, cell } = state;
  const open = environment.regressions;
  const commits = new Set(open.map((group) => group.at)).size;
  const cards = [];
  if (cell) {
    const last = cell.wall.y.findLastIndex((value) => value !== null);
    const commit = data.commits[environment.commits[last]];
    const value = cell.wall.y[last];
    const change = cell.wall.change;
    const stage = data.stages.reduce((best, { key, label }) => {
      const seconds = cell.stages[key]?.y[last] ?? 0;
      return seconds > best.seconds ? { seconds, label } : best;
    }, { seconds: 0, label: "–" });
    cards.push(
      summaryCard(`Wall time at ${commit.short}`, [amount(value, "seconds"), " ", element("small", {}, spread(cell.wall.low[last], cell.wall.high[last], value))],
        change?.significant ? [sizeElement(change.after / change.before, true), ` at ${data.commits[change.at].short}`] : change ? "no significant change" : "first value"),
      summaryCard("Largest stage", stage.label, `${amount(stage.seconds, "seconds")}, ${((100 * stage.seconds) / value).toFixed(0)} % of the wall time`));
  }
  cards.push(summaryCard("Open regressions", open.length ? plural(open.length, "series", "series") : "none",
    open.length ? `from ${plural(commits, "commit")}, over all cells` : "significant, over all cells"));
  const outputs = environment.exact_changes.filter((change) => change.type === "fingerprint");
  cards.push(summaryCard("Output", ["unchanged", "changed once"][outputs.length] ?? `changed ${outputs.length} times`,
    outputs.length ? `last at ${data.commits[outputs[0].at].short}` : `since ${data.commits[environment.commits[0]].short}`));
  byId("summary").replaceChildren(...cards);
}

function drawHeader() {
  document.title = `${data.project}: performance history`;
  byId("project").textContent = data.project;
  byId("published").textContent = `Published ${data.published}.`;
  byId("asv-note").textContent = data.asv_pages_note ?? "";
  byId("asv-note").hidden = !data.asv_pages_note;
  const [first, last] = [data.commits[0], data.commits.at(-1)];
  if (!first) return;
  const machines = [...new Set(data.environments.map((environment) => environment.machine))];
  const range = first === last ? [hashElement(first), ` of ${first.date}`]
    : [hashElement(first), ` (${first.date}) to `, hashElement(last), ` (${last.date})`];
  byId("lede").replaceChildren(`${plural(data.commits.length, "commit")}, `, ...range, ` · ${machines.length > 3 ? plural(machines.length, "machine") : machines.join(", ")}`);
}

function start() {
  drawHeader();
  byId("empty").hidden = data.environments.length > 0;
  byId("main").hidden = !data.environments.length;
  if (!data.environments.length) return;
  const select = byId("environment");
  select.append(...data.environments.map((environment, index) => element("option", { value: String(index) }, environment.label)));
  select.onchange = () => chooseEnvironment(data.environments[Number(select.value)]);
  byId("filter").oninput = () => drawSeries(state.environment);
  byId("only-significant").onchange = () => drawSeries(state.environment);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawFigure);
  chooseEnvironment(data.environments[0]);
}

start();
