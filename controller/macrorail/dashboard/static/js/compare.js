// Compares two pictures: one picture is above the other, with a movable edge between them.

import { settingsText } from "./restack.js";
import { element } from "./elements.js";

const page = document.getElementById("page-compare");

export class ComparePage {
  show([left, right]) {
    if (!left || !right) { location.hash = "#runs"; return; }
    const picture = (name) => element("img", { src: source(name), alt: title(name) });
    const over = picture(right), edge = element("i");
    const slide = element("input", { type: "range", min: "0", max: "100", step: "0.5", value: "50", "aria-label": "Position of the edge between the pictures" });
    const move = () => {
      over.style.clipPath = `inset(0 0 0 ${slide.value}%)`;
      edge.style.left = `calc(${slide.value}% - 1px)`;
    };
    slide.addEventListener("input", move);
    const views = element("div", { class: "views" }, picture(left), over, element("b", {}, title(left, left, right)), element("b", {}, title(right)), edge);
    const drag = (event) => {
      if (!event.buttons) return;
      const box = views.getBoundingClientRect();
      slide.value = ((event.clientX - box.left) / box.width) * 100;
      move();
    };
    views.addEventListener("pointerdown", drag);
    views.addEventListener("pointermove", drag);
    page.replaceChildren(views, element("div", { class: "slide" }, slide, element("a", { class: "button", href: right.startsWith(`${left}~`) ? `#run/${encodeURIComponent(left)}` : "#runs" }, "Back")));
    move();
  }
}

// Returns the URL of a run's picture; "run~settings" stands for a restacked picture.
function source(name) {
  const [run, settings] = name.split("~").map(encodeURIComponent);
  return `/api/runs/${run}/${settings ? `stacked-again/${settings}.jpg` : "picture.jpg"}`;
}

function title(name, left = "", right = "") {
  const [run, settings] = name.split("~");
  return settings ? settingsText(settings) : run === left.split("~")[0] && right.includes("~") ? "From the run" : run;
}
