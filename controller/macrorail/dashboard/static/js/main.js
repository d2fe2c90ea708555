// The frame of the page: navigation between its parts, the operator, Stop button and connection.

import { Events, get, post, press, say } from "./api.js";
import { ComparePage } from "./compare.js";
import { RunPage } from "./run.js";
import { RunsPage } from "./runs.js";
import { SetupPage } from "./setup.js";
import { state } from "./format.js";

const at = (id) => document.getElementById(id);
const pages = ["login", "setup", "run", "runs", "compare"];
let status = { operator: "nobody", live: [] };
let page = "";

const run = new RunPage({ resume });
const runs = new RunsPage({ resume, compare: (names) => { location.hash = `#compare/${names.map(encodeURIComponent).join("/")}`; } });
const compare = new ComparePage();
const setup = new SetupPage({ started: (name) => { location.hash = `#run/${name}`; } });

const events = new Events((kind, data) => {
  if (kind === "status") onStatus(data);
  else if (kind === "run") { run.onUpdate(data); showChip(); }
  else if (kind === "lost") banner("No connection to the server. A run continues without it; this page reconnects by itself.");
  else if (kind === "connected") banner("");
});

function onStatus(now) {
  const before = status;
  status = now;
  const live = status.live[0];
  at("stop").disabled = !live && !status.instrument;
  const operate = at("operate");
  operate.hidden = false;
  operate.textContent = { you: "In control", other: "Watching · take control", nobody: "Take control" }[status.operator];
  operate.setAttribute("aria-pressed", status.operator === "you");
  if (before.operator === "you" && status.operator === "other") say("Someone else has taken control; you are watching.");
  if (live && !before.live.includes(live) && page === "run" && !shownRun()) follow();
  if (String(before.live) !== String(status.live)) runs.refresh();
  setup.onStatus(status);
  run.restack.onStatus(status.restack);
  showChip();
}

function banner(text) { at("banner").hidden = !text; at("banner").textContent = text; }

function showChip() {
  const head = run.head;
  const chip = at("chip");
  if (head && (head.live || page === "run")) {
    const [text, mood] = state(head);
    chip.textContent = head.live ? `${text} · ${head.done} of ${head.slices}` : text;
    chip.dataset.mood = mood;
    document.title = `${text} ${head.done}/${head.slices} · macrorail`;
  } else {
    chip.textContent = status.live.length ? "Running" : status.simulated ? "Ready · simulated instrument" : "Ready";
    chip.dataset.mood = status.live.length ? "work" : "";
    document.title = "macrorail";
  }
}

async function resume(name, button) {
  const done = await press(button, () => post(`/api/runs/${encodeURIComponent(name)}/resume`));
  if (done) location.hash = `#run/${name}`;
}

// ------------------------------------------------------------------------------- moving around

function shownRun() { return decodeURIComponent(location.hash.split("/")[1] || ""); }

function follow() {
  const wanted = page === "run" ? shownRun() || status.live[0] || run.name : status.live[0] || run.name;
  run.show(wanted);
  events.follow(wanted);
}

async function show() {
  const [name, ...rest] = location.hash.slice(1).split("/");
  page = pages.includes(name) ? name : "run";
  for (const other of pages) at(`page-${other}`).hidden = other !== page;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.page === page) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (page === "runs") runs.refresh();
  if (page === "compare") compare.show(rest.map(decodeURIComponent));
  setup.shown(page === "setup");
  if (page !== "login") follow();
  showChip();
}

window.addEventListener("hashchange", show);
window.addEventListener("token-needed", () => { location.hash = "#login"; });

at("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const done = await press(event.submitter, () => post("/api/login", { token: at("token").value }));
  if (done) { at("token").value = ""; events.source = null; location.hash = "#run"; location.reload(); }
});

// A single press stops, on every part of the page and for every viewer.
at("stop").addEventListener("click", async () => {
  const asked = status.live.map((name) => post(`/api/runs/${encodeURIComponent(name)}/stop`));
  if (status.instrument) asked.push(post("/api/instrument/stop"));
  const stopped = await Promise.allSettled(asked);
  for (const result of stopped) {
    if (result.status === "rejected") say(`NOT STOPPED: ${result.reason.message}. Use the emergency stop of the instrument.`, true);
    else say(status.live.length ? "Stopping. Every finished slice is kept." : "Stopped.");
  }
});

at("operate").addEventListener("click", (event) => press(event.target, async () => {
  onStatus(await post("/api/operator", { do: status.operator === "you" ? "release" : "take" }));
}));

at("night").addEventListener("click", () => setNight(!document.documentElement.classList.contains("night")));
function setNight(on) {
  document.documentElement.classList.toggle("night", on);
  at("night").setAttribute("aria-pressed", on);
  try { localStorage.setItem("night", on ? "1" : ""); } catch { /* no local storage */ }
}
try { setNight(Boolean(localStorage.getItem("night"))); } catch { /* no local storage */ }

// Keys that work on every part of the page: Escape stops, p pauses.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  // Escape closes an open menu; otherwise Escape stops, even while typing.
  if (event.key === "Escape" && !event.target.closest("select") && !at("stop").disabled) at("stop").click();
  else if (event.key === "p" && page === "run" && !event.target.closest("input, select, textarea")) run.pressPause();
});

get("/api/runs").then(show, show);
