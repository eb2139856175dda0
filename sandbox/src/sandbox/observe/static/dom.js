// Making elements, asking the server, and what every page needs.

const SVG = "http://www.w3.org/2000/svg";

/** An element with properties, attributes (`aria-*`, `data-*`, `role`, `for`) and children. Text stays text. */
export function el(name, given = {}, ...children) {
  return fill(document.createElement(name), given, children);
}

export function svg(name, given = {}, ...children) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(given)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function fill(node, given, children) {
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined || value === null) continue;
    if (key.includes("-") || key === "role" || key === "for") node.setAttribute(key, value);
    else if (key === "style") Object.assign(node.style, value);
    else node[key] = value;
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** The server's JSON. Raises an Error whose message can be shown. */
export async function ask(path, signal) {
  let reply;
  try {
    reply = await fetch(path, { signal });
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new Error("The page's server does not answer. Is `make observe` still running?");
  }
  const answer = await reply.json().catch(() => ({ error: `The server answered with status ${reply.status}.` }));
  if (!reply.ok) throw new Error(answer.error || `The server answered with status ${reply.status}.`);
  return answer;
}

/** New content in place of the old; what a person had opened, focused or scrolled stays as it was. */
export function replaceContent(node, children) {
  const name = (each) => each.dataset.key || each.getAttribute("href") || each.title || each.className;
  const focused = node.contains(document.activeElement) ? document.activeElement : null;
  const opened = new Set([...node.querySelectorAll("details[open]")].map(name));
  const scrolled = [...node.querySelectorAll(".legend, .cells")].map((each) => each.scrollTop);
  node.replaceChildren(...children);
  for (const each of node.querySelectorAll("details")) each.open = opened.has(name(each));
  node.querySelectorAll(".legend, .cells").forEach((each, place) => (each.scrollTop = scrolled[place] ?? 0));
  if (!focused) return;
  const same = [...node.querySelectorAll(focused.tagName)].find((each) => name(each) === name(focused));
  same?.focus({ preventScroll: true });
}

export function badge(text, tone) {
  return el("span", { className: `badge ${tone}` }, text);
}

export function notice(text, tone = "") {
  return el("p", { className: `notice ${tone}`, role: "status" }, text);
}

/** Colours are the same for a service on every page. */
const SERVICES = ["assessment", "scoring", "stage-engine", "crm-connector", "recommender"];

export function colour(place) {
  return `var(--c${(place % 8) + 1})`;
}

export function serviceColour(service) {
  const place = SERVICES.indexOf(service);
  return colour(place >= 0 ? place : 5 + [...service].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % 3);
}

export function serviceMark(service) {
  return el("span", { className: "service" }, el("span", { className: "dot", style: { background: serviceColour(service) } }), service);
}

/** Runs `work` now and then every so many seconds, while the page can be seen; returns what stops it. */
export function every(seconds, work) {
  const timer = seconds > 0 ? setInterval(() => document.hidden || work(), seconds * 1000) : 0;
  work();
  return () => clearInterval(timer);
}
