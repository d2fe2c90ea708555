// The run page: state, progress, log, and the growing picture.

import { post, press, say } from "./api.js";
import { drawRail } from "./rail.js";
import { RestackForm } from "./restack.js";
import { element, refill } from "./elements.js";
import { clock, duration, isShooting, length, millimetres, state } from "./format.js";

const at = (id) => document.getElementById(id);

export class RunPage {
  constructor({ resume }) {
    this.resume = resume;
    this.name = "";
    this.head = null;
    this.showing = "picture";
    this.stripTouched = 0;
    for (const touch of ["wheel", "pointerdown", "keydown"]) at("run-strip").addEventListener(touch, () => { this.stripTouched = Date.now(); }, { passive: true });
    this.restack = new RestackForm(at("run-restack"));
    for (const tab of document.querySelectorAll("[data-show]")) {
      tab.addEventListener("click", () => this.choose(tab.dataset.show));
    }
    new ResizeObserver(() => this.drawSoon()).observe(at("run-rail"));
    setInterval(() => this.tick(), 1000);
  }

  path(rest) { return `/api/runs/${encodeURIComponent(this.name)}/${rest}`; }

  show(name) {
    at("run-empty").hidden = Boolean(name);
    at("run-grid").hidden = !name;
    if (name === this.name) { this.drawSoon(); return; }
    this.name = name || "";
    this.head = null;
    this.slices = new Map();
    this.chosen = null;
    this.newest = null;
    this.showing = "picture";
    this.pictureShown = "";
    at("run-strip").replaceChildren();
    at("run-notes").replaceChildren();
    at("run-restack").hidden = true;
    at("stage").hidden = true;
    at("run-state").textContent = "";
    this.thumbs = new Map();
  }

  onUpdate({ head, slices }) {
    if (head.run !== this.name) return;
    this.head = head;
    for (const slice of slices) this.slices.set(slice.number, slice);
    this.leftHeard = Date.now();
    this.showProgress();
    this.showActions();
    this.restack.onUpdate(head);
    this.showNotes();
    this.showStrip(slices);
    this.showStage();
    this.drawSoon();
  }

  // ------------------------------------------------------------------------------ the progress

  showProgress() {
    const head = this.head;
    const [text, mood] = state(head);
    const title = at("run-state");
    if (title.textContent !== text) title.textContent = text;
    title.dataset.mood = mood;
    at("run-why").textContent = head.message || "";
    at("run-done").textContent = head.done;
    at("run-total").textContent = head.slices;
    const share = head.slices ? head.done / head.slices : 0;
    const bar = at("run-progress");
    bar.firstElementChild.style.width = `${share * 100}%`;
    bar.setAttribute("aria-valuemax", head.slices);
    bar.setAttribute("aria-valuenow", head.done);
    at("run-steps").hidden = !isShooting(head);
    for (const step of at("run-steps").children) {
      if (step.dataset.step === head.state) step.setAttribute("aria-current", "step");
      else step.removeAttribute("aria-current");
    }
    this.tick();
  }

  tick() {
    const head = this.head;
    if (!head) return;
    const facts = [];
    if (head.live && head.left_s !== null && isShooting(head)) {
      const left = Math.max(0, head.left_s - (Date.now() - this.leftHeard) / 1000);
      facts.push(["Time left", duration(left), "big"]);
    }
    if (head.began_s) {
      const busy = head.live && !head.reason;
      const until = busy ? Date.now() / 1000 : head.last_s;
      facts.push([busy ? "Running for" : "Duration", duration(until - head.began_s)]);
    }
    if (head.position_um !== null && head.live) facts.push(["Focus at", millimetres(head.position_um)]);
    facts.push(["Specimen", head.specimen || ""]);
    const { aperture, shutter, iso } = head.settings;
    if (aperture || shutter) facts.push(["Exposure", [aperture, shutter && `${shutter} s`, iso && `ISO ${iso}`].filter(Boolean).join(" · ")]);
    if (head.coverage) facts.push(["Coverage", covered(head.coverage)]);
    if (head.simulated) facts.push(["Instrument", "simulated"]);
    const list = at("run-facts");
    const text = JSON.stringify(facts);
    if (list.dataset.text === text) return;
    list.dataset.text = text;
    list.replaceChildren(...facts.flatMap(([term, value, style]) => [
      element("dt", {}, term), element("dd", { class: style }, value),
    ]));
  }

  showActions() {
    const head = this.head;
    const over = head.reason || head.state === "interrupted";
    const kind = !head.live && !over ? "none" : over ? `over ${head.reason} ${head.report}` : head.state === "paused" ? "paused" : "live";
    const actions = at("run-actions");
    if (actions.dataset.kind === kind) return;
    actions.dataset.kind = kind;
    const made = [];
    if (kind === "live") made.push(this.button("Pause", "pause"), this.button("End after slice", "stop"));
    if (kind === "paused") made.push(this.button("Resume", "resume", "primary"), this.button("End run", "stop"));
    if (over && head.reason !== "completed") {
      made.push(element("button", { class: "primary", on: { click: (event) => this.resume(this.name, event.target) } }, "Resume"));
    }
    if (over && head.report) made.push(element("a", { class: "button", href: this.path("report.html"), target: "_blank", rel: "noopener" }, "Report"));
    if (over && head.fused) {
      made.push(element("a", { class: "button", href: this.path("files/fused.tif"), download: true }, "Save picture"));
      made.push(element("button", { "aria-controls": "run-restack", on: { click: () => this.restack.open(this.name) } }, "Stack again"));
    }
    if (over) made.push(element("a", { class: "button", href: "#setup" }, "New run"));
    refill(actions, made);
  }

  button(text, what, style) {
    const message = { pause: "Pausing after this slice.", resume: "Resuming.", stop: "Ending after this slice. Every finished slice is kept." }[what];
    return element("button", { class: style, "data-do": what, "data-key": what === "resume" ? "pause" : what, on: { click: (event) => press(event.target, async () => {
      await post(this.path("command"), { do: what });
      say(message);
    }) } }, text);
  }

  pressPause() { document.querySelector('#run-actions [data-do="pause"], #run-actions [data-do="resume"]')?.click(); }

  showNotes() {
    const text = JSON.stringify([this.head.notes, this.head.entries > 0]);
    const list = at("run-notes");
    if (list.dataset.text === text) return;
    list.dataset.text = text;
    const notes = [...this.head.notes].reverse().map((note) => element("li", { class: note.kind },
      element("time", {}, clock(note.at_s)), note.slice ? `Slice ${note.slice}: ` : "", note.text));
    if (!notes.length) notes.push(element("li", {}, this.head.entries ? "No faults so far." : "Waiting for the instrument."));
    list.replaceChildren(...notes);
  }

  // ------------------------------------------------------------------------------- pictures

  choose(what, number = null) {
    this.showing = what;
    this.chosen = number;
    this.showStage();
    this.markThumb();
  }

  counted() { return [...this.slices.values()].filter((slice) => slice.frame).sort((a, b) => a.position_um - b.position_um); }

  showStage() {
    for (const tab of document.querySelectorAll("[data-show]")) {
      tab.setAttribute("aria-pressed", tab.dataset.show === this.showing);
      if (tab.dataset.show === "depth") tab.disabled = !this.head?.fused;
      if (tab.dataset.show === "coverage") tab.disabled = !this.head?.coverage_map;
    }
    const [source, caption] = this.stageSource();
    at("stage-caption").textContent = caption;
    if (source === this.pictureShown) return;
    this.pictureShown = source;
    at("stage-empty").hidden = Boolean(source);
    if (source) this.loadStage();
    else at("stage").hidden = true;
  }

  // Loads a picture before showing it, to avoid flicker. Only one picture is loaded at a time, then
  // the newest. So a growing picture is shown even if it changes faster than it loads.
  loadStage() {
    if (this.loading) return;
    const source = this.pictureShown, run = this.name, next = new Image();
    const done = (loaded) => {
      this.loading = null;
      // The picture is not shown if another one was chosen meanwhile.
      if (loaded && run === this.name && file(source) === file(this.pictureShown)) {
        at("stage").src = next.src;
        at("stage").alt = at("stage-caption").textContent;
        at("stage").hidden = false;
        at("stage").dataset.version = source;
      }
      if (this.pictureShown && this.pictureShown !== source) this.loadStage();
    };
    this.loading = next;
    next.onload = () => done(true);
    next.onerror = () => done(false);
    next.src = source;
  }

  stageSource() {
    const head = this.head;
    if (!head) return ["", ""];
    const slice = this.showing === "slice" ? this.slices.get(this.chosen) : this.showing === "last" ? this.newest : null;
    if (this.showing === "depth" && head.fused) return [`${this.path("depth.jpg")}?v=${head.picture?.version}`, "Depth: near is bright, far is dark"];
    if (this.showing === "coverage" && head.coverage_map) return [`${this.path("coverage.png")}?v=${head.last_s}`, coverageCaption(head.coverage)];
    if (slice?.frame) return [`${this.path(`frames/${slice.number}.jpg`)}?width=1600&v=${slice.attempt}`, `Slice ${slice.number}, focus at ${length(slice.position_um, 6)}`];
    if (this.showing === "picture" && head.picture) {
      const growing = head.picture.name !== "fused.jpg";
      const caption = growing ? "The picture so far" : "The finished picture";
      return [`${this.path("picture.jpg")}?growing=${growing}&v=${head.picture.version}`, caption];
    }
    return ["", ""];
  }

  showStrip(changed) {
    const strip = at("run-strip");
    const sharpest = Math.max(...[...this.slices.values()].map((slice) => slice.sharpness || 0), 1e-9);
    for (const slice of changed) {
      if (!slice.frame) continue;
      const known = this.thumbs.get(slice.number);
      if (known?.attempt === slice.attempt) continue;
      this.newest = slice;
      if (known) known.item.remove();
      this.addThumb(strip, slice);
    }
    for (const [number, thumb] of this.thumbs) {
      const sharpness = this.slices.get(number).sharpness;
      thumb.bar.style.width = sharpness ? `${(sharpness / sharpest) * 100}%` : "0";
    }
    // No automatic scrolling for a while after the operator has scrolled.
    if (Date.now() - this.stripTouched > 15000) strip.scrollLeft = strip.scrollWidth;
  }

  addThumb(strip, slice) {
    const bar = element("i");
    const label = `Slice ${slice.number}, focus at ${length(slice.position_um, 6)}`;
    const button = element("button", { "aria-label": label, title: label, "aria-pressed": "false", on: { click: () => this.choose("slice", slice.number) } },
      element("img", { src: `${this.path(`frames/${slice.number}.jpg`)}?v=${slice.attempt}`, alt: "", loading: "lazy", width: 124, height: 84 }),
      element("span", {}, String(slice.number)), bar);
    const item = element("li", {}, button);
    const after = this.counted().find((other) => other.position_um > slice.position_um && this.thumbs.has(other.number));
    strip.insertBefore(item, after ? this.thumbs.get(after.number).item : null);
    this.thumbs.set(slice.number, { item, button, bar, attempt: slice.attempt });
  }

  markThumb() {
    for (const [number, { button }] of this.thumbs) button.setAttribute("aria-pressed", number === this.chosen);
  }

  // ------------------------------------------------------------------------------- the rail

  drawSoon() {
    if (this.drawing || !this.head) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      if (!this.head) return;
      const slices = [...this.slices.values()].sort((a, b) => a.position_um - b.position_um);
      drawRail(at("run-rail"), { ...this.head, slices });
    });
  }
}

function file(address) { return address.split("?")[0]; }

// Describes the proof of coverage, by the positions of the slices and, if possible, by the images.
function covered({ proven, gaps, images }) {
  if (gaps.length) return gaps.length === 1 ? "one gap" : `${gaps.length} gaps`;
  if (!proven) return "not proven";
  if (images) return images.proven ? "complete, proven by the images" : "not verified by the images";
  return "complete, proven by positions";
}

function coverageCaption(coverage) {
  const tiles = coverage?.images?.tiles;
  if (!tiles) return "Coverage: green is sharp in at least one slice";
  const all = tiles.covered + tiles.uncovered;
  return `Green is sharp in at least one slice (${((tiles.covered / Math.max(1, all)) * 100).toFixed(1)} %), red in none; grey has too little texture`;
}
