// Which page this is, the navigation beside it, and light or dark.

import { alertsPage } from "./alerts.js";
import { dashboardPage } from "./dashboard.js";
import { ask, badge, el, every, notice } from "./dom.js";
import { tracePage, tracesPage } from "./traces.js";

const main = document.getElementById("main");

function theme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    document.documentElement.dataset.theme = localStorage.getItem("theme") ?? (dark.matches ? "dark" : "light");
  };
  dark.addEventListener("change", apply);
  document.getElementById("theme").addEventListener("click", () => {
    localStorage.setItem("theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    apply();
  });
  apply();
}

async function navigation() {
  const count = el("span");
  const here = location.pathname;
  const link = (href, words, more) => el("li", {}, el("a", { href, "aria-current": here === href || (href !== "/" && here.startsWith(`${href}/`)) ? "page" : null }, words, more ?? ""));
  const kept = (uid) => `/d/${uid}${here.startsWith("/d/") ? keptTime() : ""}`;
  const boards = await ask("/api/dashboards").catch(() => []);
  const nav = document.getElementById("nav");
  nav.replaceChildren(
    el("h2", {}, "Now"), el("ul", {}, link("/alerts", "Alerts", count), link("/traces", "Traces")),
    el("h2", {}, "Dashboards"),
    el("ul", {}, boards.map(({ uid, title }) => {
      const item = link(`/d/${uid}`, title.replace(/^Stagecraft: /, "").replace(/^[a-z]/, (letter) => letter.toUpperCase()));
      item.firstChild.href = kept(uid);
      return item;
    })),
  );
  every(15, async () => {
    const found = await ask("/api/alerts").catch(() => ({ alerts: [], error: "unknown" }));
    const firing = found.alerts.filter((alert) => alert.state === "firing").length;
    count.replaceChildren(found.error ? badge("?", "none") : badge(String(firing), firing ? "bad" : "good"));
    count.title = found.error || `${firing} alerts fire`;
  });
}

/** Another dashboard shows the same period. */
function keptTime() {
  const asked = new URLSearchParams(location.search);
  const kept = new URLSearchParams([...asked].filter(([name]) => ["from", "to", "refresh"].includes(name)));
  return kept.size ? `?${kept}` : "";
}

async function page() {
  const [, kind, name] = location.pathname.split("/").map(decodeURIComponent);
  if (main.querySelector("article")) return;
  if (kind === "d") await dashboardPage(main, name);
  else if (kind === "alerts") alertsPage(main);
  else if (kind === "traces" && name) await tracePage(main, name);
  else if (kind === "traces") tracesPage(main);
}

theme();
navigation();
page().catch((problem) => main.replaceChildren(notice(problem.message, "bad")));
