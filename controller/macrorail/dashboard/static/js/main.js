// The page as a whole: which part is shown, who operates, the stop, and the connection.

import { Events, get, post, press, say } from "./api.js";
import { ComparePage } from "./compare.js";
import { RunPage } from "./run.js";
import { RunsPage } from "./runs.js";
import { SetupPage } from "./setup.js";
import { state } from "./words.js";

const at = (id) => document.getElementById(id);
const pages = ["login", "setup", "run", "runs", "compare"];
let desk = { operator: "nobody", live: [] };
let page = "";

const run = new RunPage({ resume });
const runs = new RunsPage({ resume, compare: (names) => { location.hash = `#compare/${names.map(encodeURIComponent).join("/")}`; } });
const compare = new ComparePage();
const setup = new SetupPage({ started: (name) => { location.hash = `#run/${name}`; } });

const events = new Events((kind, data) => {
  if (kind === "desk") heardDesk(data);
  else if (kind === "run") { run.heard(data); showChip(); }
  else if (kind === "lost") banner("The server does not answer. A run goes on by itself; this page comes back when the server does.");
  else if (kind === "connected") banner("");
});

function heardDesk(now) {
  const before = desk;
  desk = now;
  const live = desk.live[0];
  at("stop").disabled = !live && !desk.instrument;
  const operate = at("operate");
  operate.hidden = false;
  operate.textContent = { you: "You operate", other: "Watching · take over", nobody: "Nobody operates" }[desk.operator];
  operate.setAttribute("aria-pressed", desk.operator === "you");
  if (before.operator === "you" && desk.operator === "other") say("Somebody else operates now; you are watching.");
  if (live && !before.live.includes(live) && page === "run" && !shownRun()) follow();
  if (String(before.live) !== String(desk.live)) runs.refresh();
  setup.heardDesk(desk);
  run.again.heardDesk(desk.restack);
  showChip();
}

function banner(text) { at("banner").hidden = !text; at("banner").textContent = text; }

function showChip() {
  const head = run.head;
  const chip = at("chip");
  if (head && (head.live || page === "run")) {
    const [words, mood] = state(head);
    chip.textContent = head.live ? `${words} · ${head.done} of ${head.slices}` : words;
    chip.dataset.mood = mood;
    document.title = `${words} ${head.done}/${head.slices} · macrorail`;
  } else {
    chip.textContent = desk.live.length ? "Running" : desk.simulated ? "Ready · simulated instrument" : "Ready";
    chip.dataset.mood = desk.live.length ? "work" : "";
    document.title = "macrorail";
  }
}

async function resume(name, button) {
  const done = await press(button, () => post(`/api/runs/${encodeURIComponent(name)}/again`));
  if (done) location.hash = `#run/${name}`;
}

// ------------------------------------------------------------------------------- moving around

function shownRun() { return decodeURIComponent(location.hash.split("/")[1] || ""); }

function follow() {
  const wanted = page === "run" ? shownRun() || desk.live[0] || run.name : desk.live[0] || run.name;
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

// One press, from every page, by everybody who can see it.
at("stop").addEventListener("click", async () => {
  const asked = desk.live.map((name) => post(`/api/runs/${encodeURIComponent(name)}/stop`));
  if (desk.instrument) asked.push(post("/api/instrument/stop"));
  const stopped = await Promise.allSettled(asked);
  for (const result of stopped) {
    if (result.status === "rejected") say(`NOT STOPPED: ${result.reason.message}. Use the instrument's own switch.`, true);
    else say(desk.live.length ? "Stopping. Every finished slice is kept." : "Stopped.");
  }
});

at("operate").addEventListener("click", (event) => press(event.target, async () => {
  heardDesk(await post("/api/desk", { do: desk.operator === "you" ? "leave" : "take" }));
}));

at("night").addEventListener("click", () => setNight(!document.documentElement.classList.contains("night")));
function setNight(on) {
  document.documentElement.classList.toggle("night", on);
  at("night").setAttribute("aria-pressed", on);
  try { localStorage.setItem("night", on ? "1" : ""); } catch { /* a browser that keeps nothing */ }
}
try { setNight(Boolean(localStorage.getItem("night"))); } catch { /* a browser that keeps nothing */ }

// Keys: the same everywhere outside of fields. Escape stops, as it does on instruments.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  // Escape closes an open menu; everywhere else it stops, also in the middle of typing.
  if (event.key === "Escape" && !event.target.closest("select") && !at("stop").disabled) at("stop").click();
  else if (event.key === "p" && page === "run" && !event.target.closest("input, select, textarea")) run.pressPause();
});

get("/api/runs").then(show, show);
