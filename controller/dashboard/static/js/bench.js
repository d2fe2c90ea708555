// The instrument in the operator's hand: move it, set A and B, take test shots, look at them closely.

import { post, press } from "./api.js";
import { histogram, peaking } from "./looking.js";
import { element, millimetres } from "./words.js";

const STEPS = [-1000, -100, -10, 10, 100, 1000];
const LOUPE_PX = 240;

export class Bench {
  constructor({ protocol, place }) {
    this.protocol = protocol;
    this.place = place;
    this.state = null;
    this.build();
    document.addEventListener("keydown", (event) => this.key(event));
  }

  get position_um() { return this.state?.position_um ?? null; }

  // ------------------------------------------------------------------------------ the panel

  build() {
    const button = (words, act, attributes = {}) => element("button", { type: "button", ...attributes, on: { click: (event) => act(event.currentTarget) } }, words);
    this.connect = button("Connect the instrument", (pressed) => this.ask(pressed, "connect"), { id: "connect" });
    this.hint = element("p", { class: "note" }, "Move by hand, set A and B by eye, take test shots. The run page takes over when you start.");
    this.where = element("p", { class: "place", id: "place", role: "status" });
    const jogs = STEPS.map((step) => button(`${step > 0 ? "+" : "−"}${Math.abs(step) >= 1000 ? `${Math.abs(step) / 1000} mm` : `${Math.abs(step)} µm`}`,
      (pressed) => this.jog(step, pressed), { "data-jog": step, title: step > 0 ? "towards the specimen" : "away from the specimen" }));
    this.movers = [...jogs,
      button("Set A here", () => this.place("range.near", this.position_um)),
      button("Set B here", () => this.place("range.far", this.position_um))];
    this.canvas = element("canvas", { width: 1, height: 1, hidden: true, role: "img", "aria-label": "The last test shot" });
    this.loupe = element("canvas", { class: "loupe", width: LOUPE_PX, height: LOUPE_PX, hidden: true, "aria-hidden": "true" });
    this.curve = element("canvas", { width: 512, height: 90, role: "img", "aria-label": "Histogram" });
    this.clipped = element("p", { class: "note", id: "clipping" });
    this.peaks = button("Show what is sharp", () => { this.peaking = !this.peaking; this.peaks.setAttribute("aria-pressed", this.peaking); this.draw(); }, { "aria-pressed": "false" });
    this.canvas.addEventListener("pointermove", (event) => this.look(event));
    this.canvas.addEventListener("pointerleave", () => { this.loupe.hidden = true; });
    this.looking = element("div", { hidden: true }, element("div", { class: "view" }, this.canvas, this.loupe), this.curve, this.clipped);
    this.tools = element("div", { class: "live", hidden: true },
      element("div", { class: "with" }, this.where, button("Find home", (pressed) => this.ask(pressed, "home"), { id: "home" })),
      element("div", { class: "jog", role: "group", "aria-label": "Move the focus" }, ...this.movers),
      element("div", { class: "jog" },
        button("Test shot", (pressed) => this.shoot(pressed), { id: "shoot" }), this.peaks,
        button("Let go", (pressed) => this.ask(pressed, "disconnect"), { title: "Release the instrument for others" })),
      this.looking,
      element("p", { class: "note" }, "Keys: ← and → move 10 µm, with Shift 100 µm; Page Up and Page Down 1 mm; A and B set the ends; Escape stops."));
    this.panel = element("section", { class: "panel panels", "aria-label": "The instrument" }, this.connect, this.hint, this.tools);
  }

  heard(state, busy) {
    this.state = state;
    this.connect.hidden = Boolean(state);
    this.connect.disabled = busy;
    this.hint.hidden = Boolean(state);
    this.tools.hidden = !state;
    if (!state) { this.shown = ""; this.looking.hidden = true; return; }
    const known = state.position_um !== null && state.position_um !== undefined;
    this.where.textContent = state.moving ? "Moving…" : known ? millimetres(state.position_um) : "Find home first";
    for (const mover of this.movers) mover.disabled = !known;
    if (state.picture && state.picture !== this.shown) this.load(state.picture);
  }

  // ------------------------------------------------------------------------------ acting

  async ask(button, what, body = {}) {
    const state = await press(button, () => post(`/api/instrument/${what}`, body));
    if (state && what !== "disconnect") this.heard(state, false);
    return state;
  }

  jog(by_um, button = null) {
    if (this.position_um === null || this.moving) return;
    this.moving = true;
    this.ask(button, "move", { to_um: this.position_um + by_um }).finally(() => { this.moving = false; });
  }

  shoot(button) { return this.ask(button, "shoot", { protocol: this.protocol() }); }

  key(event) {
    if (this.tools.hidden || !this.panel.checkVisibility() || event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey) return;
    const step = { ArrowLeft: -10, ArrowRight: 10, PageUp: -1000, PageDown: 1000 }[event.key];
    if (step) { event.preventDefault(); this.jog(event.shiftKey ? step * 10 : step); }
    else if (/^[ab]$/i.test(event.key) && this.position_um !== null) this.place(event.key.toLowerCase() === "a" ? "range.near" : "range.far", this.position_um);
  }

  // ------------------------------------------------------------------------------ looking

  async load(name) {
    this.shown = name;
    const picture = await createImageBitmap(await (await fetch(`/api/instrument/picture.jpg?v=${encodeURIComponent(name)}`)).blob());
    this.canvas.width = picture.width;
    this.canvas.height = picture.height;
    this.picture = picture;
    this.looking.hidden = this.canvas.hidden = false;
    this.draw();
  }

  draw() {
    if (!this.picture) return;
    const paper = this.canvas.getContext("2d", { willReadFrequently: true });
    paper.drawImage(this.picture, 0, 0);
    const pixels = paper.getImageData(0, 0, this.canvas.width, this.canvas.height);
    const { dark, bright } = histogram(this.curve, pixels);
    this.clipped.textContent = bright > 0.001 ? `Too bright: ${(bright * 100).toFixed(1)} % of the picture is washed out.`
      : dark > 0.02 ? `Dark: ${(dark * 100).toFixed(0)} % of the picture is black.` : "Exposure: nothing is cut off.";
    if (this.peaking) paper.putImageData(peaking(pixels), 0, 0);
  }

  look(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * this.canvas.width;
    const y = ((event.clientY - box.top) / box.height) * this.canvas.height;
    const paper = this.loupe.getContext("2d");
    const across = LOUPE_PX / 2;
    paper.clearRect(0, 0, LOUPE_PX, LOUPE_PX);
    paper.imageSmoothingEnabled = false;
    paper.drawImage(this.canvas, x - across / 2, y - across / 2, across, across, 0, 0, LOUPE_PX, LOUPE_PX);
    this.loupe.hidden = false;
  }
}
