// One dashboard: its rows, its controls, and panels that ask for their data while they can be seen.

import { ask, el, every, notice, replaceContent, svg } from "./dom.js";
import { render } from "./panels.js";

const PERIODS = [
  ["5m", "5 minutes"], ["15m", "15 minutes"], ["30m", "30 minutes"], ["1h", "hour"], ["3h", "3 hours"], ["6h", "6 hours"],
  ["12h", "12 hours"], ["24h", "24 hours"], ["2d", "2 days"], ["7d", "7 days"], ["30d", "30 days"],
];
const REFRESHES = [["", "off"], ["5s", "every 5 s"], ["10s", "every 10 s"], ["30s", "every 30 s"], ["1m", "every minute"]];
const SECONDS = { s: 1, m: 60, h: 3600, d: 86400 };
const ALL = "$__all";
const INFO = "M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 0 0 0-13M8 7.2v4M8 4.8v.1";
const BOOK = "M8 4c-1.6-1.2-3.6-1.500-6-1.500v10c2.400 0 4.400.3 6 1.500c1.600-1.200 3.600-1.500 6-1.500v-10c-2.400 0-4.400.3-6 1.500zM8 4v10";

function seconds(text) {
  const [, count, unit] = /^(\d+)([smhd])$/.exec(text) ?? [];
  return count ? Number(count) * SECONDS[unit] : 0;
}

export async function dashboardPage(main, uid) {
  const board = await ask(`/api/dashboards/${encodeURIComponent(uid)}`);
  document.title = `${board.title} · Stagecraft`;
  const page = new DashboardPage(main, uid, board);
  await page.show();
}

class DashboardPage {
  constructor(main, uid, board) {
    Object.assign(this, { main, uid, board, panels: [], variables: [], stop: () => {} });
    this.asked = new URLSearchParams(location.search);
  }

  async show() {
    const controls = el("form", { className: "controls", onsubmit: (event) => event.preventDefault() });
    this.main.replaceChildren(
      el("div", { className: "head" },
        el("div", { className: "words" }, el("h1", {}, this.board.title), el("p", {}, this.board.description ?? "")), controls),
      ...this.sections(),
    );
    try {
      this.variables = await ask(`/api/dashboards/${encodeURIComponent(this.uid)}/variables`);
    } catch (problem) {
      this.main.children[0].after(notice(problem.message, "bad"));
    }
    const broken = this.variables.find((variable) => variable.error);
    if (broken) this.main.children[0].after(notice(broken.error, "bad"));
    controls.append(...this.variables.map((variable) => this.variablePicker(variable)), ...this.timeControls());
    this.watch();
    this.restart();
  }

  /** Grafana lists panels flat: those after a row belong to it, unless the row is collapsed and holds its own. */
  sections() {
    const sections = [];
    for (const panel of this.board.panels) {
      if (panel.type === "row") sections.push({ row: panel, panels: [...(panel.panels ?? [])] });
      else (sections.at(-1) ?? sections[sections.push({ row: null, panels: [] }) - 1]).panels.push(panel);
    }
    return sections.map(({ row, panels }) => {
      const top = Math.min(...panels.map((panel) => panel.gridPos.y));
      const grid = el("div", { className: "grid" }, panels.map((panel) => this.panelBox(panel, top)));
      if (!row) return el("section", { className: "row" }, grid);
      return el("details", { className: "row", open: !row.collapsed }, el("summary", {}, this.filled(row.title)), grid);
    });
  }

  panelBox(panel, top) {
    const { x, y, w, h } = panel.gridPos;
    const about = el("div", { className: "about", hidden: true });
    const info = el("button", { type: "button", className: "tool", "aria-expanded": "false", "aria-label": `About ${panel.title}`, title: "What this shows, and its queries" }, icon(INFO));
    const links = (panel.links ?? []).map((link) => ({ title: link.title, url: this.filled(link.url) }));
    const book = links.find((link) => /runbooks\//.test(link.url));
    const body = el("div", { className: "body" });
    const box = el("section", { className: "panel", "aria-label": panel.title, style: { gridColumn: `${x + 1} / span ${w}`, gridRow: `${y - top + 1} / span ${h}` } },
      el("header", {}, el("h3", { title: this.filled(panel.title) }, this.filled(panel.title)),
        book ? el("a", { className: "tool", href: runbookAddress(book.url), title: book.title, "aria-label": book.title }, icon(BOOK)) : null, info),
      body, about);
    const entry = { panel, box, body, about, links, answers: [], memory: { hidden: new Set(), order: null }, seen: false, loading: null, stale: true };
    info.addEventListener("click", () => {
      about.hidden = !about.hidden;
      info.setAttribute("aria-expanded", String(!about.hidden));
      if (!about.hidden) about.replaceChildren(...aboutPanel(entry, this.filled(panel.description ?? "")));
    });
    box.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !about.hidden) info.click(), info.focus();
    });
    this.panels.push(entry);
    return box;
  }

  /** Text with the values of variables in place of `$name` and `${name}`. */
  filled(text) {
    const own = Object.fromEntries((this.board.templating?.list ?? []).map((variable) => [variable.name, typeof variable.query === "string" ? variable.query : ""]));
    return (text ?? "").replace(/\$\{(\w+)(?::\w+)?\}|\$(\w+)/g, (whole, braced, plain) => {
      const name = braced ?? plain;
      const picked = this.asked.getAll(`var-${name}`).filter((value) => value !== ALL);
      return picked.length ? picked.join(", ") : own[name] || (name in own ? "all" : whole);
    });
  }

  variablePicker(variable) {
    const name = `var-${variable.name}`;
    const chosen = () => (this.asked.getAll(name).length ? this.asked.getAll(name) : variable.current);
    const set = (values) => {
      this.asked.delete(name);
      for (const value of values) this.asked.append(name, value);
      this.remember();
    };
    if (!variable.multi) {
      const options = [...(variable.include_all ? [[ALL, "All"]] : []), ...variable.options.map((value) => [value, value])];
      return select(variable.label, options, chosen()[0] ?? "", (value) => set([value]));
    }
    const summary = el("summary", {});
    const name_ = () => (chosen().includes(ALL) || !chosen().length ? "All" : chosen().join(", "));
    const boxes = variable.options.map((value) => {
      const input = el("input", { type: "checkbox", value, checked: chosen().includes(value) });
      input.addEventListener("change", () => {
        const values = boxes.filter((box) => box.input.checked).map((box) => box.input.value);
        set(values.length ? values : [ALL]);
        summary.textContent = name_();
      });
      return { input, label: el("label", { className: "check" }, input, value) };
    });
    const everything = el("button", { type: "button", className: "quiet" }, "All");
    everything.addEventListener("click", () => {
      for (const { input } of boxes) input.checked = false;
      set([ALL]);
      summary.textContent = name_();
    });
    summary.textContent = name_();
    const picker = el("details", { className: "picker" }, summary, el("div", {}, everything, boxes.map((box) => box.label)));
    closeOutside(picker);
    return el("div", { className: "field" }, variable.label, picker);
  }

  timeControls() {
    const period = select("Period", [...PERIODS.map(([value, words]) => [value, `last ${words}`]), ["custom", "from … to …"]], this.isCustom() ? "custom" : this.period(), (value) => {
      own.hidden = value !== "custom";
      if (value === "custom") return;
      this.asked.delete("to");
      this.asked.set("from", `now-${value}`);
      this.remember();
    });
    const [from, to] = ["From", "To"].map((label) => el("input", { type: "datetime-local", "aria-label": label }));
    const own = el("div", { className: "controls", hidden: !this.isCustom() }, el("label", {}, "From", from), el("label", {}, "To", to));
    const { start, end } = this.bounds();
    [from.value, to.value] = [local(start), local(end)];
    const change = () => {
      const [one, other] = [from, to].map((input) => new Date(input.value).getTime() / 1000);
      const words = Number.isNaN(one + other) ? "Give both times." : one >= other ? "“From” must be before “To”." : "";
      to.setCustomValidity(words);
      if (words) return to.reportValidity();
      this.asked.set("from", String(one));
      this.asked.set("to", String(other));
      this.remember();
    };
    from.addEventListener("change", change);
    to.addEventListener("change", change);
    const refresh = select("Refresh", REFRESHES, this.refresh(), (value) => {
      this.asked.set("refresh", value);
      this.remember();
    });
    const now = el("button", { type: "button", title: "Ask for all values again" }, "Refresh now");
    now.addEventListener("click", () => this.reload());
    return [period, own, refresh, now];
  }

  isCustom() {
    return this.asked.has("to") && /^\d/.test(this.asked.get("from") ?? "");
  }

  period() {
    const known = (text) => PERIODS.some(([value]) => value === text);
    const wanted = (this.asked.get("from") ?? "").replace("now-", "");
    const usual = (this.board.time?.from ?? "").replace("now-", "");
    return known(wanted) ? wanted : known(usual) ? usual : "1h";
  }

  refresh() {
    const usual = REFRESHES.some(([value]) => value === this.board.refresh) ? this.board.refresh : "30s";
    return this.asked.get("refresh") ?? usual;
  }

  bounds() {
    if (this.isCustom()) return { start: Number(this.asked.get("from")), end: Number(this.asked.get("to")) };
    const end = Date.now() / 1000;
    return { start: end - seconds(this.period()), end };
  }

  remember() {
    history.replaceState(null, "", `${location.pathname}?${this.asked}`);
    this.restart();
  }

  restart() {
    this.stop();
    this.stop = every(this.isCustom() ? 0 : seconds(this.refresh()), () => this.reload());
  }

  reload() {
    this.now = this.bounds();
    for (const entry of this.panels) {
      entry.stale = true;
      if (entry.seen) this.load(entry);
    }
  }

  watch() {
    const watcher = new IntersectionObserver((changes) => {
      for (const { target, isIntersecting } of changes) {
        const entry = this.panels.find(({ box }) => box === target);
        entry.seen = isIntersecting;
        if (isIntersecting && entry.stale) this.load(entry);
      }
    }, { rootMargin: "200px" });
    for (const { box } of this.panels) watcher.observe(box);
  }

  async load(entry) {
    if (!this.now) return;
    entry.loading?.abort();
    const loading = (entry.loading = new AbortController());
    entry.stale = false;
    const query = new URLSearchParams([...this.asked].filter(([name]) => name.startsWith("var-")));
    query.set("from", this.now.start);
    query.set("to", this.now.end);
    entry.box.classList.toggle("loading", !entry.body.children.length);
    try {
      const data = await ask(`/api/dashboards/${encodeURIComponent(this.uid)}/panels/${entry.panel.id}?${query}`, loading.signal);
      entry.answers = data.answers;
      replaceContent(entry.body, render({ ...entry.panel, title: this.filled(entry.panel.title) }, data, entry.memory));
    } catch (problem) {
      if (problem.name === "AbortError") return;
      entry.body.replaceChildren(el("div", { className: "failed", role: "alert" }, el("strong", {}, "This panel cannot be drawn. "), problem.message));
    } finally {
      if (entry.loading === loading) entry.box.classList.remove("loading");
    }
  }
}

function icon(path) {
  return svg("svg", { viewBox: "0 0 16 16", width: 15, height: 15, fill: "none", stroke: "currentColor", "stroke-width": 1.3, "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true" }, svg("path", { d: path }));
}

function aboutPanel(entry, description) {
  return [
    ...paragraphs(description || "This panel has no description."),
    ...(entry.links.length ? [el("h4", {}, "What to do"), el("ul", {}, entry.links.map((link) => el("li", {}, el("a", { href: runbookAddress(link.url) }, link.title))))] : []),
    el("h4", {}, entry.answers.length === 1 ? "Query" : "Queries"),
    ...entry.answers.map((answer) => el("pre", {}, answer.expression)),
  ];
}

/** Paragraphs, with **bold** words as such. */
function paragraphs(text) {
  return text.split(/\n{2,}/).map((part) => el("p", {}, part.split(/\*\*(.+?)\*\*/).map((piece, place) => (place % 2 ? el("b", {}, piece) : piece))));
}

/** The committed runbooks are read here, wherever a dashboard links them to. */
function runbookAddress(url) {
  const [, name] = /runbooks\/([\w-]+)(?:\.md)?$/.exec(url) ?? [];
  return name ? `/runbooks/${name}` : url;
}

function select(label, options, value, changed) {
  const input = el("select", {}, options.map(([each, words]) => el("option", { value: each, selected: each === value }, words)));
  input.addEventListener("change", () => changed(input.value));
  return el("label", {}, label, input);
}

function closeOutside(picker) {
  document.addEventListener("click", (event) => picker.contains(event.target) || picker.removeAttribute("open"));
  picker.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    picker.removeAttribute("open");
    picker.querySelector("summary").focus();
  });
}

function local(at) {
  const when = new Date(at * 1000);
  return new Date(when.getTime() - when.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}
