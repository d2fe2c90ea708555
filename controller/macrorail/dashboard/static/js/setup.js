// The set-up page: the protocol's form, the plan, and the start. Every edit updates the plan.

import { get, post, press, say } from "./api.js";
import { InstrumentPanel } from "./setup_instrument.js";
import { drawRail } from "./rail.js";
import { element, refill } from "./elements.js";
import { duration, length, size } from "./format.js";

const page = document.getElementById("page-setup");

// The protocol's keys that the form edits: [path, label, an example].
const FIELDS = [
  ["specimen.id", "Specimen", "beetle-12"],
  ["overlap", "Overlap", "30 %"],
  ["range.near", "A · nearest plane", "20 mm"],
  ["range.far", "B · farthest plane", "23 mm"],
  ["exposure.aperture", "Aperture", "f/5.6"],
  ["exposure.shutter", "Shutter", "1/10 s"],
  ["exposure.iso", "ISO", "100"],
  ["settle", "Settle before each shot", "0.4 s"],
];

const NEW = {
  specimen: { id: "specimen" }, range: { near: "20 mm", far: "23 mm" }, overlap: "30 %", settle: "0.4 s",
  exposure: { aperture: "f/5.6", shutter: "1/10 s", iso: "100" },
};

export class SetupPage {
  constructor({ started }) {
    this.started = started;
    this.protocol = NEW;
    this.plan = null;
    this.instrument = new InstrumentPanel({
      protocol: () => this.protocol,
      place: (path, um) => { this.inputs.get(path).value = `${+(um / 1000).toFixed(5)} mm`; this.edited(path, this.inputs.get(path).value); },
    });
    this.build();
    new ResizeObserver(() => this.drawPlan()).observe(this.rail);
  }

  async shown(now) {
    this.wanted = now;
    if (!now || this.opened || this.rig_name === undefined) return;
    this.opened = true;
    await this.listProtocols();
    const first = this.suggested();
    if (first) { this.choice.value = first; await this.open(first); }
    else this.take(NEW);
  }

  onStatus(status) {
    this.busy = status.live.length > 0;
    const first = this.rig_name === undefined;
    this.rig_name = status.rig;
    this.instrument.setOperating(status.operator === "you");
    this.instrument.onUpdate(status.instrument, this.busy);
    this.offer(status.instrument?.choices);
    if (first) this.shown(this.wanted);
    else this.showPlan();
  }

  // ---------------------------------------------------------------------------------- the form

  build() {
    this.choice = element("select", { id: "protocol", on: { change: () => this.open(this.choice.value) } });
    this.file = element("input", { type: "file", accept: ".yaml,.yml", hidden: true, on: { change: () => this.read() } });
    this.name = element("input", { id: "save-name", value: "my-protocol.yaml", autocomplete: "off", spellcheck: "false" });
    this.inputs = new Map();
    const fields = FIELDS.map(([path, label, example]) => element("div", { class: "field" }, element("label", { for: `f-${path}` }, label), this.input(path, example)));
    this.stops = element("div", { class: "stops", role: "group", "aria-label": "Slices at the usual apertures" });
    this.rail = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    this.rail.setAttribute("role", "img");
    this.rail.setAttribute("aria-label", "The rail, to scale");
    this.result = element("div", { class: "panel plan", "aria-live": "polite" });
    this.start = element("button", { class: "primary", id: "start", on: { click: () => this.startRun() } }, "Start");
    const form = element("form", { class: "panels", on: { submit: (event) => event.preventDefault() } },
      element("div", { class: "panel field" }, element("label", { for: "protocol" }, "Protocol"),
        element("div", { class: "with" }, this.choice,
          element("button", { type: "button", on: { click: () => this.file.click() } }, "Open a file"), this.file)),
      element("div", { class: "panel" }, element("div", { class: "fields" }, ...fields)),
      element("div", { class: "panel field" }, element("span", { class: "label" }, "Slices at the usual apertures"), this.stops),
      element("div", { class: "panel rail" }, this.rail),
      element("div", { class: "panel field" }, element("label", { for: "save-name" }, "Save this protocol as"),
        element("div", { class: "with" }, this.name,
          element("button", { type: "button", on: { click: (event) => this.save(event.target) } }, "Save"))));
    page.append(element("h1", { class: "offscreen" }, "Set up"),
      element("div", { class: "setup-grid" }, element("div", { class: "panels" }, this.instrument.panel, form), this.result));
  }

  input(path, example) {
    const input = element("input", { id: `f-${path}`, placeholder: example, autocomplete: "off", spellcheck: "false", on: { input: () => this.edited(path, input.value) } });
    this.inputs.set(path, input);
    return input;
  }

  // While a camera is connected, menus with the camera's values replace the text fields.
  offer(choices) {
    const known = JSON.stringify(choices || null);
    if (known === this.offered) return;
    this.offered = known;
    for (const [path, , example] of FIELDS) {
      if (!path.startsWith("exposure.")) continue;
      const before = this.inputs.get(path), offered = choices?.[path.split(".")[1]];
      const now = offered
        ? element("select", { id: `f-${path}`, on: { change: () => this.edited(path, now.value) } }, ...offered.map((text) => element("option", {}, text)))
        : this.input(path, example);
      this.inputs.set(path, now);
      before.replaceWith(now);
      fill(now, valueAt(this.protocol, path) ?? "");
    }
  }

  async listProtocols() {
    this.names = (await press(null, () => get("/api/protocols"))) || [];
    this.choice.replaceChildren(...this.names.map((name) => element("option", { value: name }, name.replace(/\.yaml$/, ""))));
    if (!this.names.length) this.choice.append(element("option", { value: "" }, "none saved yet"));
  }

  // Opens the protocol that was last open in this browser, or a protocol for this rig by its name.
  suggested() {
    const words = (this.rig_name || "").replace(/\.yaml$/, "").split("-");
    const fits = this.names.find((name) => words.some((word) => name.replace(/\.yaml$/, "").split("-").includes(word)));
    return this.names.includes(remembered()) ? remembered() : fits || this.names[0];
  }

  async open(name) {
    const read = await press(null, () => get(`/api/protocols/${encodeURIComponent(name)}`));
    if (!read) return;
    this.name.value = name;
    remember(name);
    this.take(read.protocol);
  }

  async read() {
    const [file] = this.file.files;
    this.file.value = "";
    if (!file) return;
    if (file.size > 200_000) { say("That file is too large for a protocol.", true); return; }
    const text = await file.text();
    const read = await press(null, () => post("/api/protocols/read", { text }));
    if (!read) return;
    this.name.value = file.name;
    this.take(read.protocol);
  }

  take(protocol) {
    this.protocol = protocol;
    for (const [path, input] of this.inputs) fill(input, valueAt(protocol, path) ?? "");
    this.instrument.follow();
    this.plan_soon(0);
  }

  edited(path, value) {
    this.protocol = withValue(this.protocol, path, value);
    if (path.startsWith("exposure.")) this.instrument.follow();
    if (path === "overlap") this.protocol = withValue(this.protocol, "step", "");
    if (path === "range.near" || path === "range.far") this.protocol = toNearAndFar(this.protocol, this.plan);
    this.plan_soon();
  }

  async save(button) {
    const name = /\.yaml$/.test(this.name.value) ? this.name.value : `${this.name.value}.yaml`;
    const body = { name, protocol: this.protocol, replace: this.names.includes(name) && this.replaces === name };
    const saved = await press(button, async () => {
      try { return await post("/api/protocols", body); }
      catch (error) {
        if (!body.replace && this.names.includes(name)) { this.replaces = name; say(`${name} exists. Press Save again to replace it.`, true); return null; }
        throw error;
      }
    });
    if (!saved) return;
    this.replaces = "";
    say(`Saved as ${saved.name}.`);
    await this.listProtocols();
    this.choice.value = saved.name;
  }

  // ---------------------------------------------------------------------------------- the plan

  plan_soon(wait = 150) {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.planNow(), wait);
  }

  async planNow() {
    const asked = (this.asked = {});
    const plan = await press(null, () => post("/api/plan", { protocol: this.protocol }));
    if (!plan || this.asked !== asked) return;
    this.plan = plan;
    if (!plan.error && valueAt(this.protocol, "range.near") === undefined) {
      this.inputs.get("range.near").placeholder = length(plan.near_um, 6);
      this.inputs.get("range.far").placeholder = length(plan.far_um, 6);
    }
    this.showPlan();
    this.drawPlan();
  }

  showPlan() {
    const plan = this.plan;
    if (!plan) return;
    this.start.disabled = Boolean(plan.error) || this.busy || !plan.fits;
    const parts = [];
    if (plan.error) {
      parts.push(element("h2", {}, "This protocol cannot be shot"), element("p", { class: "error", id: "plan-error" }, plan.error));
    } else {
      parts.push(
        element("p", { class: "count" }, element("span", { id: "plan-count" }, String(plan.slices.length)), element("span", { class: "of" }, "slices")),
        facts([
          ["Depth of field", `${length(plan.dof_um, 3)} (${plan.criterion === "wave" ? "limited by diffraction" : "limited by blur"})`],
          ["Step", length(plan.step_um, 3)],
          ["Range", length(plan.far_um - plan.near_um, 4)],
          ["Magnification", `${plan.magnification.toFixed(2)} ×`],
          ["One pixel", length(plan.um_per_px, 3)],
          ["Time", `about ${duration(plan.duration_s)}`],
          ["Disk", `${size(plan.size_bytes)} of ${size(plan.free_bytes)} free`],
        ]),
        plan.advice ? element("p", { class: "advice" }, plan.advice) : null);
      if (!plan.fits) parts.push(element("p", { class: "error" }, "Not enough space on the disk."));
    }
    if (this.busy) parts.push(element("p", { class: "note" }, "A run is in progress; start when it has ended."));
    parts.push(this.start);
    if (plan.simulated) parts.push(element("p", { class: "note" }, "This is the simulated instrument: nothing real moves."));
    refill(this.result, parts.filter(Boolean));
    const set = valueAt(this.protocol, "exposure.aperture");
    refill(this.stops, (plan.apertures || []).map((stop) => element("button", {
      type: "button", "data-key": stop.aperture, "aria-pressed": String(stop.aperture === set),
      on: { click: () => { fill(this.inputs.get("exposure.aperture"), stop.aperture); this.edited("exposure.aperture", stop.aperture); } },
    }, element("span", {}, stop.aperture), element("small", {}, `${stop.slices} slices`), element("small", {}, stop.sharp ? "full detail" : "softer"))));
  }

  drawPlan() {
    if (!this.plan || this.plan.error) return;
    const slices = this.plan.slices.map(([position_um, dof_um]) => ({ position_um, dof_um, state: "counted" }));
    drawRail(this.rail, { ...this.plan, slices, position_um: this.instrument.position_um });
  }

  async startRun() {
    this.start.textContent = "Starting…";
    const started = await press(this.start, () => post("/api/runs", { protocol: this.protocol }));
    this.start.textContent = "Start";
    if (started) this.started(started.run);
  }
}

// Fills a field. A menu also shows a value that the camera does not offer, and marks this value.
function fill(input, value) {
  if (input.tagName === "SELECT") {
    const same = [...input.options].find((option) => amount(option.value) === amount(value));
    for (const option of [...input.options]) if (option.dataset.foreign) option.remove();
    if (!same) input.prepend(element("option", { value, "data-foreign": "yes" }, value ? `${value} (not on this camera)` : "as set on the camera"));
    input.value = same ? same.value : value;
  } else input.value = value;
}

// Returns the number in "f/5.6", "1/30 s" or "100", to compare values in different notations.
function amount(text) {
  const [, over, under] = /^(?:f\/)?([\d.]+)(?:\/([\d.]+))?\s*s?$/.exec(text.trim()) || [];
  return over === undefined ? text : Number((Number(over) / Number(under || 1)).toPrecision(6));
}

function remember(name) { try { localStorage.setItem("protocol", name); } catch { /* no local storage */ } }
function remembered() { try { return localStorage.getItem("protocol"); } catch { return null; } }

function facts(rows) {
  return element("dl", { class: "facts" }, ...rows.flatMap(([term, value]) => [element("dt", {}, term), element("dd", {}, value)]));
}

function valueAt(values, path) { return path.split(".").reduce((inner, key) => inner?.[key], values); }

function withValue(values, path, value) {
  const [key, ...rest] = path.split(".");
  const inner = rest.length ? withValue(values[key] || {}, rest.join("."), value) : value;
  return { ...values, [key]: inner };
}

// A range in another form (around, positions) becomes near and far when near or far is typed.
function toNearAndFar(protocol, plan) {
  const range = { ...protocol.range };
  const known = plan && !plan.error;
  if (range.near === undefined && known) range.near = `${plan.near_um} um`;
  if (range.far === undefined && known) range.far = `${plan.far_um} um`;
  return { ...protocol, range: { near: range.near, far: range.far } };
}
