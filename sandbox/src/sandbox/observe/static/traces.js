// The newest traces, and one of them as a waterfall.

import { ask, badge, el, every, notice, replaceContent, serviceColour, serviceMark } from "./dom.js";
import { format, moment } from "./units.js";

const ms = (value) => format(value / 1000, "s");

export function tracesPage(main) {
  document.title = "Traces · Stagecraft";
  const asked = new URLSearchParams(location.search);
  const text = el("input", { type: "search", value: asked.get("q") ?? "", size: 34, placeholder: "opportunity, submission or trace id" });
  const service = el("select", {}, el("option", { value: "" }, "any service"));
  const least = el("input", { type: "number", min: 0, step: "any", value: asked.get("min_ms") ?? "", size: 6 });
  const errors = el("input", { type: "checkbox", checked: asked.get("errors") === "1" });
  const body = el("div");
  const form = el("form", { className: "controls", role: "search", onsubmit: (event) => event.preventDefault() },
    el("label", {}, "Search", text), el("label", {}, "Through service", service), el("label", {}, "At least ms", least),
    el("label", { className: "check" }, errors, "with errors"));
  main.replaceChildren(
    el("div", { className: "head" }, el("div", { className: "words" }, el("h1", {}, "Traces"), el("p", {}, "The newest first. A trace id from a log line finds its trace; every trace shows its log lines.")), form),
    body,
  );
  let wanted = asked.get("service") ?? "";
  const load = async () => {
    const query = new URLSearchParams();
    for (const [name, value] of [["q", text.value.trim()], ["service", wanted], ["min_ms", least.value], ["errors", errors.checked ? "1" : ""]]) if (value) query.set(name, value);
    history.replaceState(null, "", query.size ? `${location.pathname}?${query}` : location.pathname);
    try {
      const found = await ask(`/api/traces?${query}`);
      service.replaceChildren(el("option", { value: "" }, "any service"), ...[...new Set(wanted ? [...found.services, wanted] : found.services)].map((each) => el("option", { value: each, selected: each === wanted }, each)));
      replaceContent(body, [found.traces.length ? list(found.traces) : none(found.held)]);
    } catch (problem) {
      body.replaceChildren(notice(problem.message, "bad"));
    }
  };
  service.addEventListener("change", () => { wanted = service.value; load(); });
  for (const input of [text, least, errors]) input.addEventListener("input", load);
  every(5, load);
}

function none(held) {
  const words = held ? `None of the ${held} traces held here is like that.` : "No trace has arrived yet. Use the system, for example through an API's /docs, or `make demo` in another terminal.";
  return el("p", { className: "empty" }, words);
}

function list(traces) {
  const longest = Math.max(...traces.map((trace) => trace.duration_ms), 1);
  const rows = traces.map((trace) => el("tr", {},
    el("td", {}, el("a", { href: `/traces/${trace.trace_id}` }, short(trace.name)), el("div", { className: "services" }, trace.services.map(serviceMark))),
    el("td", { className: "mono" }, trace.trace_id.slice(0, 8), "…"),
    el("td", { className: "mono" }, trace.subjects.slice(0, 2).join(", "), trace.subjects.length > 2 ? ` and ${trace.subjects.length - 2} more` : ""),
    el("td", { className: "number" }, String(trace.spans)),
    el("td", { className: "number" }, trace.errors ? badge(String(trace.errors), "bad") : "0"),
    el("td", { className: "number length" }, ms(trace.duration_ms), el("i", { style: { width: `${(trace.duration_ms / longest) * 100}%` } })),
    el("td", { className: "number" }, sinceMidnight(trace.started_at))));
  const heads = [["Operation, and the services it went through"], ["Trace"], ["About"], ["Spans", 1], ["Errors", 1], ["Duration", 1], ["Began", 1]];
  return el("table", { className: "list" },
    el("thead", {}, el("tr", {}, heads.map(([words, right]) => el("th", { scope: "col", className: right ? "number" : "" }, words)))),
    el("tbody", {}, rows));
}

/** The time of day; with the date when it was another one. */
function sinceMidnight(at) {
  const words = moment(at);
  return words.slice(0, 10) === moment(Date.now() / 1000).slice(0, 10) ? words.slice(11) : words;
}

export async function tracePage(main, id) {
  document.title = "Trace · Stagecraft";
  let trace;
  try {
    trace = await ask(`/api/traces/${encodeURIComponent(id)}`);
  } catch (problem) {
    main.replaceChildren(el("div", { className: "head" }, el("div", { className: "words" }, el("h1", {}, "Trace"))), notice(problem.message, "bad"), el("a", { href: "/traces" }, "All traces"));
    return;
  }
  const fact = (name, ...value) => el("span", {}, `${name} `, el("b", {}, value));
  const again = el("button", { type: "button", title: "Spans may still arrive" }, "Reload");
  again.addEventListener("click", () => tracePage(main, id));
  main.replaceChildren(
    el("div", { className: "head" },
      el("div", { className: "words" }, el("h1", {}, trace.name), el("p", { className: "mono" }, trace.trace_id)),
      el("div", { className: "controls" }, again)),
    el("div", { className: "facts" },
      fact("Began", moment(trace.started_at)), fact("Took", ms(trace.duration_ms)), fact("Spans", String(trace.spans)),
      trace.errors ? fact("Errors", badge(String(trace.errors), "bad")) : fact("Errors", "0"),
      trace.subjects.length ? fact("About", trace.subjects.join(", ")) : null,
      el("span", { className: "services" }, trace.services.map(serviceMark))),
    trace.refused ? notice(`${trace.refused} more spans were not kept: this trace holds too many.`) : "",
    waterfall(trace),
    el("h2", { className: "section" }, `Log lines of this trace (${trace.logs.length})`),
    trace.logs.length ? logs(trace.logs) : el("p", { className: "empty" }, "No service logged a line with this trace id."),
  );
}

function waterfall(trace) {
  const whole = Math.max(trace.duration_ms, 0.001);
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => el("span", {}, ms(share * whole)));
  const box = el("div", { className: "waterfall" }, el("div", { className: "scale", "aria-hidden": "true" }, el("span", {}, "Operation and service; the thin line is waiting"), el("span", { className: "ticks" }, ticks), el("span", { className: "number" }, "Duration")));
  const ends = new Map(trace.rows.map((row) => [row.span_id, row.offset_ms + row.duration_ms]));
  for (const row of trace.rows) {
    const waited = row.offset_ms - (ends.get(row.parent_id) ?? row.offset_ms);
    const wait = waited > 0 ? el("i", { className: "wait", style: { left: `${((row.offset_ms - waited) / whole) * 100}%`, width: `${(waited / whole) * 100}%` } }) : null;
    const detail = el("div", { className: "detail", hidden: true });
    const bar = el("i", { className: row.error ? "wrong" : "", style: { left: `${Math.min(99.6, (row.offset_ms / whole) * 100)}%`, width: `${(row.duration_ms / whole) * 100}%`, background: serviceColour(row.service) } });
    const span = el("button", { type: "button", className: "span", "aria-expanded": "false" },
      el("span", { className: "what", style: { paddingLeft: `${Math.min(row.depth, 14) * 14}px` } },
        el("span", { className: "dot", style: { background: serviceColour(row.service) } }), el("span", { className: "name", title: row.name }, short(row.name)),
        el("span", { className: "from" }, row.service), row.error ? badge("error", "bad") : null, row.ahead_ms > 0 ? badge("clock", "warn") : null),
      el("span", { className: "lane" }, wait, bar), el("span", { className: "time" }, ms(row.duration_ms)));
    span.addEventListener("click", () => {
      detail.hidden = !detail.hidden;
      span.setAttribute("aria-expanded", String(!detail.hidden));
      if (!detail.children.length) detail.append(...about(row, waited));
    });
    box.append(span, detail);
  }
  return box;
}

/** `process stagecraft.scoring.v1.SubmissionScored` says no more than its last word. */
function short(name) {
  return name.replace(/\b(?:[a-z]+\.)+v\d+\./, "");
}

function about(row, waited) {
  const words = [];
  if (waited > 0) words.push(el("p", {}, `It begins ${ms(waited)} after its parent ended: in the outbox, in Kafka, or waiting for its batch.`));
  if (row.status) words.push(el("p", {}, el("b", {}, "Error: "), row.status));
  if (row.ahead_ms > 0) words.push(el("p", {}, `It begins ${ms(row.ahead_ms)} before its parent: the clocks of the two differ.`));
  if (row.parent_missing) words.push(el("p", {}, "Its parent was not received: the caller's own, or one that is not recorded or still under way."));
  const pairs = [["operation", row.name], ["service", row.service], ["kind", row.kind], ["starts at", `+${ms(row.offset_ms)}`], ["span id", row.span_id], ["parent", row.parent_id || "none"], ...row.attributes];
  words.push(facts(pairs));
  for (const event of row.events) words.push(el("p", {}, el("b", {}, event.name), ` at +${ms(event.offset_ms)} of the span`), facts(event.attributes));
  return words;
}

function facts(pairs) {
  return el("dl", {}, pairs.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

function logs(lines) {
  const levels = { ERROR: "bad", CRITICAL: "bad", WARNING: "warn" };
  return el("table", { className: "list log" },
    el("thead", {}, el("tr", {}, ["At", "Service", "Level", "Message"].map((head) => el("th", { scope: "col" }, head)))),
    el("tbody", {}, lines.map((line) => el("tr", {},
      el("td", { className: "mono" }, line.at.slice(11, 23)), el("td", {}, serviceMark(line.service)), el("td", {}, badge(line.level, levels[line.level] ?? "none")),
      el("td", {}, line.message, rest(line.rest))))));
}

function rest(fields) {
  const pairs = Object.entries(fields).filter(([name]) => name !== "logger");
  return pairs.length ? el("div", { className: "mono" }, pairs.map(([name, value]) => `${name}=${value}`).join("  ")) : null;
}
