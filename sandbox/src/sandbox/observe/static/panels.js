// Every kind of panel that the committed dashboards use.

import { chart } from "./chart.js";
import { colour, el, svg } from "./dom.js";
import { mapped, threshold, tone, toneColour } from "./tones.js";
import { format, number } from "./units.js";

/** By Grafana's type. A test compares these with the types the server knows and the dashboards use. */
export const RENDERERS = { timeseries, stat, gauge, bargauge, table, text };

/** The nodes that show `data`, the server's answers for `panel`. `memory` keeps what a person hid or sorted. */
export function render(panel, data, memory) {
  const failed = failures(data.answers);
  const lines = data.answers.flatMap((answer) => answer.lines.map((line) => ({
    ...line,
    ref: answer.ref,
    points: line.points.map(([at, value]) => [at, number(value)]),
  })));
  const drawer = RENDERERS[panel.type];
  if (!drawer) return [message(`This page does not draw panels of type ${panel.type}.`)];
  if (failed.length && !lines.length) return failed;
  if (!lines.length && panel.type !== "text") return [message("No data in this period.")];
  return [...failed, ...drawer(panel, lines, data, memory)];
}

/** Each reason once: what is wrong with Prometheus is wrong with every query. */
function failures(answers) {
  const reasons = new Map();
  for (const { ref, error } of answers) if (error) reasons.set(error, [...(reasons.get(error) ?? []), ref]);
  return [...reasons].map(([error, refs]) => {
    const who = answers.length === 1 ? "The query" : refs.length === answers.length ? "Every query" : `Query ${refs.join(", ")}`;
    return el("div", { className: "failed", role: "alert" }, el("strong", {}, `${who} failed. `), error);
  });
}

function message(words) {
  return el("p", { className: "message" }, words);
}

/** Unit, thresholds and the rest for one line: the defaults, and what overrides change for its name or query. */
function fieldOf(panel, line) {
  const defaults = panel.fieldConfig?.defaults ?? {};
  const field = { ...defaults, custom: { ...defaults.custom } };
  for (const override of panel.fieldConfig?.overrides ?? []) {
    const { id, options } = override.matcher ?? {};
    const applies =
      (id === "byName" && options === line.legend) ||
      (id === "byFrameRefID" && options === line.ref) ||
      (id === "byRegexp" && new RegExp(String(options).replace(/^\/|\/$/g, "")).test(line.legend));
    if (!applies) continue;
    for (const { id: name, value } of override.properties) {
      if (name.startsWith("custom.")) field.custom[name.slice(7)] = value;
      else field[name] = value;
    }
  }
  return field;
}

function timeseries(panel, lines, data, memory) {
  const field = panel.fieldConfig?.defaults ?? {};
  const custom = field.custom ?? {};
  const style = custom.thresholdsStyle?.mode ?? "off";
  const limits = style === "off" ? [] : (field.thresholds?.steps ?? []).filter((step) => step.value !== null && step.value !== undefined);
  const look = {
    unit: field.unit,
    decimals: field.decimals,
    min: field.min ?? undefined,
    max: field.max ?? undefined,
    area: custom.fillOpacity ?? 0,
    stacked: (custom.stacking?.mode ?? "none") === "normal",
    limits: limits.map((step) => ({ value: step.value, colour: step.color })),
  };
  return chart(panel.title, lines, { start: data.start, end: data.end, step: data.step }, look, memory);
}

const REDUCERS = {
  lastNotNull: (values) => values.at(-1),
  last: (values) => values.at(-1),
  max: (values) => Math.max(...values),
  min: (values) => Math.min(...values),
  mean: (values) => values.reduce((sum, value) => sum + value, 0) / values.length,
  sum: (values) => values.reduce((sum, value) => sum + value, 0),
  first: (values) => values[0],
  firstNotNull: (values) => values[0],
};

function reduced(panel, line) {
  const values = line.points.map(([, value]) => value).filter((value) => value !== null);
  const name = panel.options?.reduceOptions?.calcs?.[0] ?? "lastNotNull";
  return values.length ? (REDUCERS[name] ?? REDUCERS.lastNotNull)(values) : null;
}

/** What a single value shows: its text, and the name of its colour. */
function shown(value, field) {
  const mapping = mapped(value, field.mappings);
  const color = mapping?.color ?? threshold(value, field.thresholds?.steps);
  return { text: mapping?.text ?? (value === null ? field.noValue ?? "no value" : format(value, field.unit, field.decimals)), color };
}

function stat(panel, lines) {
  const options = panel.options ?? {};
  const tiles = lines.map((line) => {
    const field = fieldOf(panel, line);
    const { text, color } = shown(reduced(panel, line), field);
    const named = options.textMode === "value_and_name" || options.textMode === "name" || (lines.length > 1 && options.textMode !== "value");
    const tile = el("div", { className: `stat ${options.colorMode === "none" ? "" : `tone-${tone(color)}`}` },
      named ? el("span", { className: "name", title: line.legend }, field.displayName ?? line.legend) : null,
      el("span", { className: `value${text.length > 7 ? " long" : ""}` }, text));
    if (options.graphMode === "area" && line.points.length > 1) tile.append(spark(line));
    return tile;
  });
  return [el("div", { className: `stats${lines.length > 2 ? " many" : ""}` }, tiles)];
}

function spark(line) {
  const points = line.points.filter(([, value]) => value !== null && Number.isFinite(value));
  const high = Math.max(...points.map(([, value]) => value), 1e-12);
  const [from, to] = [points[0]?.[0] ?? 0, points.at(-1)?.[0] ?? 1];
  const path = points.map(([at, value]) => `${(((at - from) / (to - from || 1)) * 100).toFixed(2)},${(30 - (Math.max(0, value) / high) * 28).toFixed(2)}`);
  const picture = svg("svg", { viewBox: "0 0 100 30", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("path", { d: `M0,30L${path.join("L")}L100,30Z`, fill: "currentColor" }));
  return picture;
}

function bargauge(panel, lines) {
  const values = lines.map((line) => reduced(panel, line));
  const field = panel.fieldConfig?.defaults ?? {};
  const most = field.max ?? Math.max(...values.filter(Number.isFinite), 1e-12);
  const least = field.min ?? 0;
  return [el("div", { className: "bars" }, lines.map((line, place) => {
    const own = fieldOf(panel, line);
    const { text, color } = shown(values[place], own);
    const share = Math.max(0, Math.min(1, ((values[place] ?? 0) - least) / (most - least || 1)));
    const paint = own.color?.mode === "thresholds" ? toneColour(color) : colour(place);
    return el("div", { className: "bar" },
      el("div", { className: "label" }, el("span", {}, line.legend), el("b", {}, text)),
      el("div", { className: "track" }, el("div", { className: "fill", style: { width: `${share * 100}%`, background: paint } })));
  }))];
}

function gauge(panel, lines) {
  return [el("div", { className: "gauges" }, lines.map((line) => {
    const field = fieldOf(panel, line);
    const value = reduced(panel, line);
    const { text, color } = shown(value, field);
    const [least, most] = [field.min ?? 0, field.max ?? (field.unit === "percentunit" ? 1 : 100)];
    const share = Math.max(0, Math.min(1, ((value ?? least) - least) / (most - least || 1)));
    const arc = (part) => {
      const angle = Math.PI * (1 - part);
      return `M12,60A48,48 0 0 1 ${(60 + 48 * Math.cos(angle)).toFixed(2)},${(60 - 48 * Math.sin(angle)).toFixed(2)}`;
    };
    const track = svg("path", { d: arc(1), fill: "none", "stroke-width": 10 });
    track.style.stroke = "var(--grid)";
    const filled = svg("path", { d: arc(share), fill: "none", "stroke-width": 10 });
    filled.style.stroke = toneColour(color);
    return el("div", { className: "gauge" },
      svg("svg", { viewBox: "0 0 120 68", role: "img", "aria-label": `${line.legend}: ${text}` }, track, filled, svg("text", { x: 60, y: 58, "text-anchor": "middle" }, text)),
      lines.length > 1 ? el("span", { className: "name" }, line.legend) : null);
  }))];
}

function table(panel, lines, data, memory) {
  const field = panel.fieldConfig?.defaults ?? {};
  const names = [...new Set(lines.flatMap((line) => Object.keys(line.labels)))].filter((name) => name !== "__name__");
  const several = new Set(lines.map((line) => line.ref)).size > 1;
  const columns = [...(several ? ["query"] : []), ...names, "Value"];
  const rows = lines.map((line) => ({ cells: { query: line.ref, ...line.labels, Value: line.points.at(-1)?.[1] ?? null }, line }));
  const body = el("tbody");
  let order = memory.order ?? { column: "Value", down: true };
  const fill = () => {
    const sign = order.down ? -1 : 1;
    rows.sort((one, other) => sign * compare(one.cells[order.column], other.cells[order.column]));
    body.replaceChildren(...rows.map(({ cells, line }) => el("tr", {}, columns.map((column) => cell(column, cells[column], fieldOf(panel, line))))));
  };
  const heads = columns.map((column) => {
    const head = el("th", { scope: "col", className: column === "Value" ? "number" : "" }, el("button", { type: "button", title: `Sort by ${column}` }, column === "Value" ? field.displayName ?? column : column));
    head.firstChild.addEventListener("click", () => {
      order = memory.order = { column, down: order.column === column ? !order.down : column === "Value" };
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order.down ? "descending" : "ascending");
      fill();
    });
    return head;
  });
  fill();
  return [el("div", { className: "cells" }, el("table", {}, el("thead", {}, el("tr", {}, heads)), body))];
}

function compare(one, other) {
  if (typeof one === "number" && typeof other === "number") return one - other;
  return String(one ?? "").localeCompare(String(other ?? ""));
}

function cell(column, value, field) {
  if (column === "Value") return el("td", { className: "number" }, shown(value, field).text);
  if (column === "alertname") return el("td", {}, el("a", { href: `/runbooks/${encodeURIComponent(value)}` }, value));
  const tones = { firing: "bad", pending: "warn", page: "bad", ticket: "warn" };
  if (column === "alertstate" || column === "severity") return el("td", {}, el("span", { className: `badge ${tones[value] ?? "none"}` }, value ?? ""));
  return el("td", {}, value ?? "");
}

function text(panel) {
  return [el("div", { className: "text-panel" }, panel.options?.content ?? "")];
}
