// Restacks a finished run with other settings, to compare the two pictures.

import { post, press, say } from "./api.js";
import { element } from "./elements.js";

const CHOICES = [
  ["quality", "Quality", [["best", "Best"], ["fast", "Fast"]]],
  ["reference", "Reference", [["first", "First frame"], ["middle", "Middle frame"]]],
  ["align", "Alignment", [["run", "As in the run"], ["affine", "Affine"], ["shift", "Shift only"], ["none", "None"]]],
];

// Returns the settings in the name of a picture, such as "best-middle-run", as text.
export function settingsText(name) {
  return name.split("-").map((value, n) => CHOICES[n]?.[2].find(([key]) => key === value)?.[1] || value).join(" · ");
}

export class RestackForm {
  constructor(form) {
    this.form = form;
    this.menus = new Map();
    const fields = CHOICES.map(([key, label, options]) => {
      const menu = element("select", { id: `restack-${key}` }, ...options.map(([value, text]) => element("option", { value }, text)));
      this.menus.set(key, menu);
      return element("div", { class: "field" }, element("label", { for: `restack-${key}` }, label), menu);
    });
    this.menus.get("quality").value = "fast";
    this.button = element("button", { class: "primary", type: "submit" }, "Stack");
    this.list = element("ul", { "aria-label": "Stacked again" });
    form.append(...fields, this.button, this.list);
    form.addEventListener("submit", (event) => { event.preventDefault(); this.start(); });
  }

  open(run) {
    this.run = run;
    this.form.hidden = !this.form.hidden;
    if (!this.form.hidden) this.menus.get("quality").focus();
  }

  async start() {
    const body = Object.fromEntries([...this.menus].map(([key, menu]) => [key, menu.value]));
    const started = await press(this.button, () => post(`/api/runs/${encodeURIComponent(this.run)}/stack`, body));
    if (started) say("Stacking again. You can leave this page.");
  }

  onUpdate(head) {
    const text = JSON.stringify([head.run, head.restacked]);
    if (this.list.dataset.text === text) return;
    this.list.dataset.text = text;
    if (head.restacked?.length && head.reason) { this.form.hidden = false; this.run = head.run; }
    const run = encodeURIComponent(head.run);
    this.list.replaceChildren(...(head.restacked || []).map((name) => element("li", {},
      element("span", {}, settingsText(name)),
      element("a", { class: "button", href: `#compare/${run}/${run}~${name}` }, "Compare"),
      element("a", { class: "button", href: `/api/runs/${run}/stacked-again/${name}.tif`, download: true }, "Save"))));
  }

  // Shows the server's progress: the picture that is being restacked, and the result.
  onStatus(now) {
    const busy = Boolean(now && now.error === null);
    this.button.disabled = busy;
    this.button.textContent = busy ? "Stacking…" : "Stack";
    if (this.before && !busy && now) {
      if (now.error) say(`Stacking again failed: ${now.error}`, true);
      else say(`Stacked again: ${settingsText(now.name)}.`);
    }
    this.before = busy;
  }
}
