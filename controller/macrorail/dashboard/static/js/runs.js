// The page of all runs: find, open or resume a run, or select two runs to compare.

import { get, press } from "./api.js";
import { element, refill } from "./elements.js";
import { day, duration, state } from "./format.js";

const at = (id) => document.getElementById(id);

export class RunsPage {
  constructor({ resume, compare }) {
    this.resume = resume;
    this.runs = [];
    this.selected = [];
    at("search").addEventListener("input", () => this.show());
    at("compare").addEventListener("click", () => compare(this.selected));
  }

  async refresh() {
    if (at("page-runs").hidden) return;
    this.runs = (await press(null, () => get("/api/runs"))) || this.runs;
    this.show();
  }

  show() {
    const wanted = at("search").value.trim().toLowerCase();
    const found = this.runs.filter((run) => `${run.specimen} ${run.run}`.toLowerCase().includes(wanted));
    refill(at("cards"), found.map((run) => this.card(run)));
    at("no-runs").hidden = found.length > 0;
    at("no-runs").textContent = wanted ? `No specimen matches “${wanted}”.` : "No pictures yet. Set up a specimen and start.";
    at("compare").disabled = this.selected.length !== 2;
    at("compare-hint").hidden = this.selected.length === 2;
  }

  card(run) {
    const [text, mood] = run.live ? [run.label, "good"] : state(run.reason || !run.began_s ? run : { ...run, state: "interrupted" });
    const name = encodeURIComponent(run.run);
    const open = `#run/${name}`;
    const thumb = run.picture
      ? element("img", { src: `/api/runs/${name}/picture.jpg?width=320`, alt: "", loading: "lazy" })
      : "no picture yet";
    const actions = [element("a", { class: "button", href: open }, "Open")];
    if (run.report) actions.push(element("a", { class: "button", href: `/api/runs/${name}/report.html`, target: "_blank", rel: "noopener" }, "Report"));
    if (!run.live && run.reason !== "completed" && run.state !== "unreadable") {
      actions.push(element("button", { on: { click: (event) => this.resume(run.run, event.target) } }, "Resume"));
    }
    if (run.picture) {
      const on = this.selected.includes(run.run);
      actions.push(element("button", { "data-key": "select", "aria-pressed": String(on), on: { click: () => this.select(run.run) } }, on ? "Selected" : "Select"));
    }
    return element("li", { "data-run": run.run, class: `card panel${this.selected.includes(run.run) ? " selected" : ""}` },
      element("a", { class: "thumb", href: open, tabindex: "-1", "aria-hidden": "true" }, thumb),
      element("div", { class: "text" },
        element("h2", {}, run.specimen || run.run),
        element("p", { class: mood }, text),
        element("p", {}, [run.slices ? `${run.done} of ${run.slices} slices` : "", run.took_s ? duration(run.took_s) : ""].filter(Boolean).join(" · ")),
        element("p", {}, run.began_s ? day(run.began_s) : run.message || ""),
        run.faults ? element("p", { class: "bad" }, `${run.faults} fault(s)`) : null),
      element("div", { class: "actions" }, ...actions));
  }

  select(name) {
    this.selected = this.selected.includes(name) ? this.selected.filter((other) => other !== name) : [...this.selected, name].slice(-2);
    this.show();
  }
}
