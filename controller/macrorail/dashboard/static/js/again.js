// Stacking a finished run again in another way, and laying the two pictures over each other.

import { post, press, say } from "./api.js";
import { element } from "./words.js";

const CHOICES = [
  ["quality", "Method", [["best", "Finest"], ["fast", "Fast"]]],
  ["reference", "Seen from", [["first", "First frame"], ["middle", "Middle frame"]]],
  ["align", "Alignment", [["run", "As in the run"], ["affine", "With slant"], ["shift", "Shift only"], ["none", "None"]]],
];

// "best-middle-run" in words.
export function inWords(name) {
  return name.split("-").map((value, n) => CHOICES[n]?.[2].find(([key]) => key === value)?.[1] || value).join(" · ");
}

export class Again {
  constructor(form) {
    this.form = form;
    this.menus = new Map();
    const fields = CHOICES.map(([key, words, options]) => {
      const menu = element("select", { id: `again-${key}` }, ...options.map(([value, text]) => element("option", { value }, text)));
      this.menus.set(key, menu);
      return element("div", { class: "field" }, element("label", { for: `again-${key}` }, words), menu);
    });
    this.menus.get("quality").value = "fast";
    this.go = element("button", { class: "primary", type: "submit" }, "Stack");
    this.list = element("ul", { "aria-label": "Stacked again" });
    form.append(...fields, this.go, this.list);
    form.addEventListener("submit", (event) => { event.preventDefault(); this.begin(); });
  }

  open(run) {
    this.run = run;
    this.form.hidden = !this.form.hidden;
    if (!this.form.hidden) this.menus.get("quality").focus();
  }

  async begin() {
    const body = Object.fromEntries([...this.menus].map(([key, menu]) => [key, menu.value]));
    const begun = await press(this.go, () => post(`/api/runs/${encodeURIComponent(this.run)}/stack`, body));
    if (begun) say("Stacking again. It goes on when you leave this page.");
  }

  heard(head) {
    const text = JSON.stringify([head.run, head.again]);
    if (this.list.dataset.text === text) return;
    this.list.dataset.text = text;
    if (head.again?.length && head.reason) { this.form.hidden = false; this.run = head.run; }
    const run = encodeURIComponent(head.run);
    this.list.replaceChildren(...(head.again || []).map((name) => element("li", {},
      element("span", {}, inWords(name)),
      element("a", { class: "button", href: `#compare/${run}/${run}~${name}` }, "Compare"),
      element("a", { class: "button", href: `/api/runs/${run}/stacked-again/${name}.tif`, download: true }, "Save"))));
  }

  // What the server tells of the one it is stacking.
  heardDesk(now) {
    const busy = Boolean(now && now.error === null);
    this.go.disabled = busy;
    this.go.textContent = busy ? "Stacking…" : "Stack";
    if (this.before && !busy && now) {
      if (now.error) say(`Stacking again failed: ${now.error}`, true);
      else say(`Stacked again: ${inWords(now.name)}.`);
    }
    this.before = busy;
  }
}
