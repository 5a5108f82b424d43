// Formats numbers, units and commits, and makes elements. Text is only inserted as text, never as HTML.

const TIMES = [[1, "s"], [1e-3, "ms"], [1e-6, "µs"]];
const WORK = [[1e12, "TFLOP"], [1e9, "GFLOP"], [1e6, "MFLOP"], [1, "FLOP"]];
const SIZES = [[1e12, "TB"], [1e9, "GB"], [1e6, "MB"], [1e3, "kB"], [1, "B"]];

function digits(value) {
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en");
  return size === 0 ? "0" : value.toPrecision(3);
}

function scaled(value, scales) {
  const [factor, unit] = scales.find(([least]) => Math.abs(value) >= least * 0.9995) ?? scales.at(-1);
  return `${digits(value / factor)}\u00a0${unit}`;
}

function amount(value, unit) {
  if (value === null || value === undefined) return "–";
  if (unit === "seconds") return value === 0 ? "0\u00a0s" : scaled(value, TIMES);
  if (unit === "bytes") return scaled(value, SIZES);
  if (unit === "FLOP") return scaled(value, WORK);
  if (unit === "s/s") return `${scaled(value, TIMES)} per s`;
  if (unit === "s/token") return `${scaled(value, TIMES)}/token`;
  if (unit === "share") return `${(100 * value).toFixed(1)}\u00a0%`;
  if (unit === "fingerprint") return `output ${String.fromCharCode(65 + (value % 26))}`;
  const number = Number.isInteger(value) ? value.toLocaleString("en") : digits(value);
  return unit ? `${number}\u00a0${unit}` : number;
}

// The factor to divide the values of an axis by, and the unit to write behind them.
function axisUnit(most, unit) {
  const scales = { seconds: TIMES, "s/s": TIMES, "s/token": TIMES, bytes: SIZES, FLOP: WORK, share: [[0.01, "%"]] }[unit];
  if (!scales) return { factor: 1, suffix: "" };
  const [factor, name] = scales.find(([least]) => most >= least) ?? scales.at(-1);
  return { factor, suffix: `\u00a0${name}` };
}

// A ratio as a signed percentage; from 3 on as a factor, which is easier to read.
function relative(ratio) {
  if (!Number.isFinite(ratio)) return "new";
  if (ratio >= 3) return `×${ratio.toPrecision(2)}`;
  const percent = 100 * (ratio - 1);
  const size = Math.abs(percent);
  const text = size >= 9.95 ? size.toFixed(0) : size.toFixed(1);
  return `${Number(text) === 0 ? "±" : percent < 0 ? "−" : "+"}${text}\u00a0%`;
}

function spread(low, high, value) {
  if (low === null || high === null || low === undefined || high === undefined || !value) return "";
  const percent = (50 * (high - low)) / Math.abs(value);
  return `±\u00a0${percent >= 9.95 ? percent.toFixed(0) : percent.toFixed(1)}\u00a0%`;
}

function plural(count, singular, several = `${singular}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? singular : several}`;
}

// Escapes text for labels of plotly, which interprets some HTML.
function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function wrapped(text, width) {
  const lines = [""];
  for (const word of text.split(/\s+/)) {
    const line = lines.at(-1);
    if (line && line.length + word.length >= width) lines.push(word);
    else lines[lines.length - 1] = line ? `${line} ${word}` : word;
  }
  return lines;
}

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") made.setAttribute(name, value);
    else if (name === "style") made.style.cssText = value;
    else made[name] = value;
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

function byId(id) {
  return document.getElementById(id);
}

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function hashElement(commit) {
  const text = commit.short;
  if (!data.commit_url) return element("span", { className: "hash", title: commit.hash }, text);
  return element("a", { className: "hash", title: commit.hash, href: data.commit_url + commit.hash }, text);
}

// The commit of a change, or the range of commits that may have caused it if not all of them were measured.
function commitElement(where) {
  const commit = data.commits[where.at];
  const range = where.since === null || where.since === undefined ? [] : [hashElement(data.commits[where.since]), " … "];
  const title = `${commit.subject} · ${commit.date}`;
  return element("span", { className: "commit", title }, range, hashElement(commit), " ",
    element("span", { className: "subject" }, commit.subject));
}

function changeClass(ratio) {
  return ratio > 1 ? "worse" : "better";
}

function sizeElement(ratio, clear) {
  if (!clear) return element("span", { className: "size quiet", title: "not significant" }, `≈ ${relative(ratio)}`);
  const mark = ratio > 1 ? "▲" : "▼";
  return element("span", { className: `size ${changeClass(ratio)}` }, `${mark} ${relative(ratio)}`);
}
