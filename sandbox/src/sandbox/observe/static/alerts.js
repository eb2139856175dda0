// What fires, what is about to, and every rule with the outcome of its last evaluation.

import { ask, badge, el, every, notice, replaceContent } from "./dom.js";
import { format } from "./units.js";

const STATES = { firing: "bad", pending: "warn", inactive: "good" };
const SEVERITIES = { page: "bad", ticket: "warn" };

export function alertsPage(main) {
  document.title = "Alerts · Stagecraft";
  const body = el("div");
  main.replaceChildren(
    el("div", { className: "head" }, el("div", { className: "words" }, el("h1", {}, "Alerts"), el("p", {}, "What fires now, what will if its cause lasts, and every rule. Brought up to date every 10 s."))),
    body,
  );
  every(10, async () => replaceContent(body, await content()));
}

async function content() {
  let found;
  try {
    found = await ask("/api/alerts");
  } catch (problem) {
    return [notice(problem.message, "bad")];
  }
  if (found.error) return [notice(found.error, "bad")];
  return [
    found.alerts.length ? active(found.alerts) : el("p", { className: "notice good" }, "No alert fires, and none is pending."),
    el("h2", { className: "section" }, `Rules (${found.rules.length})`),
    found.rules.length ? rules(found.rules) : el("p", { className: "empty" }, "No alerting rules are loaded from deploy/prometheus."),
  ];
}

function active(alerts) {
  return list(["State", "Alert", "What it says", "Since"], alerts.map((alert) => [
    [badge(alert.state, STATES[alert.state] ?? "none"), " ", severity(alert.labels.severity)],
    [name(alert.name, alert.runbook), labels(alert.labels)],
    [el("div", {}, alert.annotations.summary ?? ""), el("div", { className: "quiet" }, alert.annotations.description ?? "")],
    ago(alert.active_at),
  ]));
}

function rules(found) {
  const order = ["firing", "pending"];
  const sorted = [...found].sort((one, other) => (order.indexOf(other.state) - order.indexOf(one.state)) || one.name.localeCompare(other.name));
  return list(["State", "Alert", "Severity", "Condition", "Last evaluation"], sorted.map((rule) => [
    badge(rule.state || "unknown", STATES[rule.state] ?? "none"),
    name(rule.name, rule.runbook),
    rule.severity,
    el("details", { "data-key": rule.name + rule.expression }, el("summary", {}, rule.group.replace(/^stagecraft-/, "")), el("pre", {}, rule.expression)),
    rule.health === "err" ? [badge("failed", "bad"), " ", rule.last_error] : rule.health,
  ]));
}

function list(heads, rows) {
  return el("table", { className: "list" },
    el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
    el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell) => el("td", {}, cell))))));
}

function name(alert, runbook) {
  return runbook ? el("a", { href: `/runbooks/${encodeURIComponent(runbook)}`, title: "Open the runbook" }, alert) : alert;
}

function labels(all) {
  const shown = Object.entries(all).filter(([key]) => !["alertname", "severity", "job"].includes(key));
  return el("div", { className: "mono" }, shown.map(([key, value]) => `${key}=${value}`).join("  "));
}

function severity(word) {
  return word ? badge(word, SEVERITIES[word] ?? "none") : "";
}

function ago(at) {
  const seconds = (Date.now() - new Date(at).getTime()) / 1000;
  return Number.isFinite(seconds) ? `${format(Math.max(0, seconds), "s")} ago` : "";
}
