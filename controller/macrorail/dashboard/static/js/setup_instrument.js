// The instrument while a run is set up: live view, moves, the ends A and B, test shots.

import { post, press } from "./api.js";
import { Viewer } from "./viewer.js";
import { element } from "./elements.js";
import { millimetres } from "./format.js";

const STEPS = [-1000, -100, -10, 10, 100, 1000];

export class InstrumentPanel {
  constructor({ protocol, place }) {
    this.protocol = protocol;
    this.place = place;
    this.state = null;
    this.viewer = new Viewer();
    this.build();
    document.addEventListener("keydown", (event) => this.key(event));
  }

  get position_um() { return this.state?.position_um ?? null; }

  // ------------------------------------------------------------------------------ the panel

  build() {
    const button = (text, act, attributes = {}) => element("button", { type: "button", ...attributes, on: { click: (event) => act(event.currentTarget) } }, text);
    const toggle = (text, act, attributes = {}) => button(text, (pressed) => {
      const on = pressed.getAttribute("aria-pressed") !== "true";
      pressed.setAttribute("aria-pressed", on);
      act(on);
    }, { "aria-pressed": "false", ...attributes });
    this.connect = button("Connect the instrument", async (pressed) => { if (await this.ask(pressed, "connect")) { this.setOperating(true); this.follow(); } }, { id: "connect", class: "large" });
    this.hint = element("p", { class: "note" }, "Use live view, move the axis, set A and B, and take test shots. Starting a run releases the instrument.");
    this.where = element("p", { class: "place", id: "place", role: "status" });
    const jogs = STEPS.map((step) => button(`${step > 0 ? "+" : "−"}${Math.abs(step) >= 1000 ? `${Math.abs(step) / 1000} mm` : `${Math.abs(step)} µm`}`,
      (pressed) => this.jog(step, pressed), { "data-jog": step, title: step > 0 ? "towards the specimen" : "away from the specimen" }));
    const ends = [
      button("Set A", () => this.place("range.near", this.position_um), { class: "end" }),
      button("Set B", () => this.place("range.far", this.position_um), { class: "end" })];
    this.movers = [...jogs, ...ends];
    this.liveButton = toggle("Live view", (on) => this.setLive(on), { id: "live" });
    this.shot = button("Test shot", (pressed) => this.shoot(pressed), { id: "shoot" });
    const viewing = element("div", { class: "jog", role: "group", "aria-label": "View" }, this.liveButton, this.shot,
      toggle("Peaking", (on) => this.viewer.peak(on), { id: "peaking", title: "Highlight what is in focus" }),
      toggle("Loupe", (on) => this.viewer.pin(on), { id: "loupe" }));
    this.tools = element("div", { class: "live", hidden: true },
      this.viewer.panel, viewing,
      element("div", { class: "with here" }, this.where, ...ends, button("Home", (pressed) => this.ask(pressed, "home"), { id: "home" }),
        button("Disconnect", (pressed) => this.ask(pressed, "disconnect"), { title: "Release the instrument for others" })),
      element("div", { class: "jog steps-of", role: "group", "aria-label": "Move the focus" }, ...jogs),
      element("p", { class: "note keys" }, "Keys: ← and → move 10 µm, with Shift 100 µm; Page Up and Page Down 1 mm; A and B set the ends; T takes a test shot; Escape stops."));
    this.panel = element("section", { class: "panel panels", "aria-label": "The instrument" }, this.connect, this.hint, this.tools);
  }

  onUpdate(state, busy) {
    const before = this.state;
    this.state = state;
    this.connect.hidden = Boolean(state);
    this.connect.disabled = busy;
    this.hint.hidden = Boolean(state);
    this.tools.hidden = !state;
    if (!state) { this.shown = ""; this.viewer.live(false); this.viewer.panel.hidden = true; return; }
    const known = state.position_um !== null && state.position_um !== undefined;
    this.where.textContent = state.moving ? "Moving…" : known ? millimetres(state.position_um) : "Home first";
    for (const mover of this.movers) mover.disabled = !known;
    this.liveButton.hidden = !state.live;
    if (!before && state.live) this.setLive(true);
    if (state.picture && state.picture !== this.shown) this.showShot(state.picture);
  }

  // ------------------------------------------------------------------------------ acting

  async ask(button, what, body = {}) {
    const state = await press(button, () => post(`/api/instrument/${what}`, body));
    if (state && what !== "disconnect") this.onUpdate(state, false);
    return state;
  }

  jog(by_um, button = null) {
    if (this.position_um === null || this.moving) return;
    this.moving = true;
    this.ask(button, "move", { to_um: this.position_um + by_um }).finally(() => { this.moving = false; });
  }

  shoot(button) { return this.ask(button, "shoot", { protocol: this.protocol() }); }

  // Live view uses the camera settings of the form, so that it looks like the picture.
  follow() {
    if (!this.state || !this.mine) return;
    clearTimeout(this.following);
    this.following = setTimeout(() => this.ask(null, "configure", { protocol: this.protocol() }), 250);
  }

  // Viewers who do not operate get fewer frames, to save computing time.
  setOperating(mine) {
    this.mine = mine;
    this.viewer.shortest_ms = mine ? 40 : 200;
  }

  setLive(on) {
    this.liveButton.setAttribute("aria-pressed", on);
    this.viewer.live(on);
  }

  showShot(name) {
    this.shown = name;
    this.setLive(false);
    this.viewer.load(name);
  }

  key(event) {
    if (this.tools.hidden || !this.panel.checkVisibility() || event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey) return;
    const step = { ArrowLeft: -10, ArrowRight: 10, PageUp: -1000, PageDown: 1000 }[event.key];
    if (step) { event.preventDefault(); this.jog(event.shiftKey ? step * 10 : step); }
    else if (/^[ab]$/i.test(event.key) && this.position_um !== null) this.place(event.key.toLowerCase() === "a" ? "range.near" : "range.far", this.position_um);
    else if (/^t$/i.test(event.key) && !this.shot.disabled) this.shot.click();
  }
}
