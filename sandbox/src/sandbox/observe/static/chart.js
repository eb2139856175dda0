// Lines over time: axes, areas, stacks, limits, a cursor that all charts share, and a legend that hides lines.

import { colour, el, svg } from "./dom.js";
import { clock, format, moment, ticks, timeTicks } from "./units.js";
import { toneColour } from "./tones.js";

const MARGIN = { top: 8, right: 10, bottom: 20 };
const tip = el("div", { className: "tip", role: "tooltip", hidden: true });
const charts = new Set();

/** `lines`: [{legend, points: [[seconds, value|null]…]}]; `look`: {unit, decimals, min, max, area, stacked, limits}. */
export function chart(title, lines, period, look, memory) {
  const shown = lines.map((line, place) => ({ ...line, colour: colour(place), visible: !memory.hidden.has(line.legend) }));
  // What was hidden may be all that is left.
  if (!shown.some((line) => line.visible)) for (const line of shown) line.visible = true;
  const plot = el("div", { className: "chart", tabIndex: 0, role: "img", "aria-label": spoken(title, shown, look) });
  const state = { title, lines: shown, period, look, memory, plot, cursor: null };
  plot.addEventListener("pointermove", (event) => point(state, event));
  plot.addEventListener("pointerleave", () => unpoint());
  plot.addEventListener("keydown", (event) => step(state, event));
  plot.addEventListener("blur", () => unpoint());
  const watch = new ResizeObserver(() => (plot.isConnected ? draw(state) : forget(state, watch)));
  watch.observe(plot);
  charts.add(state);
  return [plot, legend(state)];
}

function forget(state, watch) {
  watch.disconnect();
  charts.delete(state);
}

function spoken(title, lines, look) {
  const words = lines.slice(0, 6).map((line) => `${line.legend}: ${format(last(line), look.unit, look.decimals)}`);
  const more = lines.length > 6 ? `, and ${lines.length - 6} more` : "";
  return `${title}. Latest: ${words.join(", ")}${more}. Left and right arrow keys read values.`;
}

const values = (line) => line.points.map(([, value]) => value).filter((value) => value !== null && Number.isFinite(value));
const last = (line) => values(line).at(-1) ?? null;
const highest = (line) => values(line).reduce((most, value) => Math.max(most, value), -Infinity);

const written = (value, look) => (Number.isFinite(value ?? NaN) ? format(value, look.unit, look.decimals) : "–");

function extent(stacks, look) {
  let low = look.min ?? Math.min(0, ...stacks.flatMap((line) => line.tops.map(([, , value]) => value)));
  let high = look.max ?? Math.max(...stacks.flatMap((line) => line.tops.map(([, , value]) => value)));
  if (!Number.isFinite(low)) low = 0;
  if (!Number.isFinite(high)) high = 1;
  // A limit near the lines is shown; one far above would flatten them.
  for (const limit of look.limits) if (look.max === undefined && limit.value > high && limit.value <= high * 3) high = limit.value;
  if (high <= low) high = low + (look.unit === "percentunit" ? 0.01 : 1);
  return [low, look.max === undefined ? high + (high - low) * 0.06 : high];
}

/** For each line [seconds, bottom, top]…; in a stack each begins where the one below ends. */
function stacked(state) {
  const ends = new Map();
  return state.lines.filter((line) => line.visible).map((line) => ({
    ...line,
    tops: line.points.filter(([, value]) => value !== null && Number.isFinite(value)).map(([at, value]) => {
      const bottom = state.look.stacked ? ends.get(at) ?? 0 : 0;
      ends.set(at, bottom + value);
      return [at, bottom, state.look.stacked ? bottom + value : value];
    }),
  }));
}

function draw(state) {
  const { plot, period, look } = state;
  const [width, height] = [plot.clientWidth, plot.clientHeight];
  if (width < 40 || height < 40) return;
  const lines = stacked(state);
  const [low, high] = extent(lines, look);
  const marks = ticks(low, high, Math.max(2, Math.floor(height / 38)), look.unit);
  const words = marks.map((mark) => format(mark, look.unit));
  const left = 10 + Math.max(...words.map((word) => word.length)) * 6.3;
  const x = (at) => left + ((at - period.start) / (period.end - period.start)) * (width - left - MARGIN.right);
  const y = (value) => height - MARGIN.bottom - ((value - low) / (high - low)) * (height - MARGIN.top - MARGIN.bottom);
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  marks.forEach((mark, place) => {
    picture.append(svg("line", { class: "gridline", x1: left, x2: width - MARGIN.right, y1: y(mark), y2: y(mark) }));
    picture.append(svg("text", { x: left - 6, y: y(mark) + 4, "text-anchor": "end" }, words[place]));
  });
  const span = period.end - period.start;
  for (const at of timeTicks(period.start, period.end, Math.max(2, Math.floor((width - left) / (span <= 900 || span > 129600 ? 74 : 56))))) {
    const edge = x(at) > width - 24;
    picture.append(svg("text", { x: edge ? width - 2 : x(at), y: height - 5, "text-anchor": edge ? "end" : "middle" }, clock(at, span)));
  }
  for (const limit of look.limits) {
    if (limit.value < low || limit.value > high) continue;
    const line = svg("line", { class: "limit", x1: left, x2: width - MARGIN.right, y1: y(limit.value), y2: y(limit.value) });
    line.style.stroke = toneColour(limit.colour);
    picture.append(line);
  }
  for (const line of lines) picture.append(...drawLine(line, x, y, period.step, look));
  state.cursor = svg("line", { class: "cursor", y1: MARGIN.top, y2: height - MARGIN.bottom });
  picture.append(state.cursor);
  state.x = x;
  state.at = (px) => period.start + ((px - left) / (width - left - MARGIN.right)) * span;
  plot.replaceChildren(picture);
}

function drawLine(line, x, y, step, look) {
  const pieces = [];
  for (const point of line.tops) {
    const piece = pieces.at(-1);
    if (piece && point[0] - piece.at(-1)[0] <= step * 1.5) piece.push(point);
    else pieces.push([point]);
  }
  const nodes = [];
  for (const piece of pieces) {
    if (piece.length === 1) {
      const dot = svg("circle", { cx: x(piece[0][0]), cy: y(piece[0][2]), r: 2.2 });
      dot.style.fill = line.colour;
      nodes.push(dot);
      continue;
    }
    const top = piece.map(([at, , value]) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`);
    if (look.area > 0) {
      const bottom = piece.map(([at, value]) => `${x(at).toFixed(1)},${y(look.stacked ? value : 0).toFixed(1)}`).reverse();
      const area = svg("path", { d: `M${top.join("L")}L${bottom.join("L")}Z` });
      area.style.fill = line.colour;
      area.style.opacity = look.area / 100;
      nodes.push(area);
    }
    const path = svg("path", { class: "line", d: `M${top.join("L")}` });
    path.style.stroke = line.colour;
    nodes.push(path);
  }
  return nodes;
}

function point(state, event) {
  if (!state.x) return;
  const box = state.plot.getBoundingClientRect();
  show(state, state.at(event.clientX - box.left), event.clientX, event.clientY);
}

function step(state, event) {
  const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!move || !state.x) return;
  event.preventDefault();
  const { start, end, step: width } = state.period;
  const from = state.held ?? (move > 0 ? start - width : end + width);
  state.held = Math.min(end, Math.max(start, from + move * width * (event.shiftKey ? 10 : 1)));
  const box = state.plot.getBoundingClientRect();
  show(state, state.held, box.left + state.x(state.held), box.top + 20);
}

function show(state, at, clientX, clientY) {
  const { period, look } = state;
  if (at < period.start || at > period.end) return unpoint();
  const near = (line) => line.points.reduce((best, each) => (!best || Math.abs(each[0] - at) < Math.abs(best[0] - at) ? each : best), null);
  const rows = state.lines
    .filter((line) => line.visible)
    .map((line) => ({ line, found: near(line) }))
    .filter(({ found }) => found && found[1] !== null && Math.abs(found[0] - at) <= period.step)
    .sort((one, other) => other.found[1] - one.found[1]);
  const most = 14;
  tip.replaceChildren(
    el("div", {}, el("b", {}, moment(rows[0]?.found[0] ?? at))),
    ...rows.slice(0, most).map(({ line, found }) =>
      el("div", {}, el("span", { className: "swatch", style: { background: line.colour } }), el("span", { className: "name" }, line.legend),
        el("span", { className: "value" }, format(found[1], look.unit, look.decimals)))),
    rows.length > most ? el("div", {}, `and ${rows.length - most} more`) : "",
    rows.length ? "" : el("div", {}, "no value here"),
  );
  if (!tip.isConnected) document.body.append(tip);
  tip.hidden = false;
  const [width, height] = [tip.offsetWidth, tip.offsetHeight];
  tip.style.left = `${clientX + 16 + width > innerWidth ? Math.max(4, clientX - 16 - width) : clientX + 16}px`;
  tip.style.top = `${Math.max(4, Math.min(clientY + 12, innerHeight - height - 8))}px`;
  for (const other of charts) {
    if (!other.cursor || !other.plot.isConnected) continue;
    const place = other.x(at);
    other.cursor.setAttribute("x1", place);
    other.cursor.setAttribute("x2", place);
    other.cursor.style.visibility = "visible";
  }
}

function unpoint() {
  tip.hidden = true;
  for (const other of charts) if (other.cursor) other.cursor.style.visibility = "hidden";
}

function legend(state) {
  const { lines, look } = state;
  const rows = lines.map((line) => {
    const button = el("button", { type: "button", title: line.legend, "aria-pressed": String(line.visible) },
      el("span", { className: "swatch", style: { background: line.colour } }), el("span", {}, line.legend));
    button.addEventListener("click", (event) => toggle(state, line, event.ctrlKey || event.metaKey));
    line.button = button;
    return el("tr", {}, el("td", {}, button),
      el("td", { className: "number" }, written(last(line), look)),
      el("td", { className: "number" }, written(highest(line), look)));
  });
  return el("div", { className: "legend" }, el("table", {},
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, lines.length > 1 ? `${lines.length} lines` : ""),
      el("th", { scope: "col", className: "number" }, "last"), el("th", { scope: "col", className: "number" }, "max"))),
    el("tbody", {}, rows)));
}

/** A click shows one line alone, or all again; with Ctrl it adds or removes one. */
function toggle(state, line, one) {
  const alone = line.visible && state.lines.every((other) => other === line || !other.visible);
  for (const other of state.lines) {
    if (one) other.visible = other === line ? !other.visible : other.visible;
    else other.visible = alone || other === line;
  }
  state.memory.hidden = new Set(state.lines.filter((other) => !other.visible).map((other) => other.legend));
  for (const other of state.lines) other.button.setAttribute("aria-pressed", String(other.visible));
  draw(state);
}
