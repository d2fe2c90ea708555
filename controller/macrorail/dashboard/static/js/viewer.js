// Live view or the last test shot, with focus peaking, a loupe and a histogram.

import { histogram, peaking } from "./image_analysis.js";
import { element } from "./elements.js";

const LOUPE_PX = 320;
const AGAIN_MS = 500;

export class Viewer {
  constructor() {
    this.peaking = false;
    this.pinned = null;
    this.frames = 0;
    // Shortest time between two frames of live view.
    this.shortest_ms = 200;
    this.canvas = element("canvas", { width: 3, height: 2, role: "img", "aria-label": "View through the lens", tabindex: "0" });
    this.loupe = element("canvas", { class: "loupe", width: LOUPE_PX, height: LOUPE_PX, hidden: true, "aria-hidden": "true" });
    this.mark = element("i", { class: "mark", hidden: true });
    this.curve = element("canvas", { class: "curve", width: 512, height: 72, role: "img", "aria-label": "Histogram" });
    this.clipped = element("p", { class: "note", id: "clipping", role: "status" });
    this.kind = element("b", { class: "kind" });
    this.view = element("div", { class: "view" }, this.canvas, this.mark, this.loupe, this.kind);
    this.panel = element("div", { class: "viewer", hidden: true }, this.view, element("div", { class: "light" }, element("div", { class: "curve-frame" }, this.curve), this.clipped));
    this.canvas.addEventListener("pointermove", (event) => this.hover(event));
    this.canvas.addEventListener("pointerdown", (event) => this.hover(event, true));
    this.canvas.addEventListener("pointerleave", () => { if (!this.pinned) this.hideLoupe(); });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
  }

  // ------------------------------------------------------------------------------ live view

  live(on) {
    if (on === Boolean(this.looking)) return;
    this.looking = on ? {} : null;
    if (on) this.look(this.looking, 0);
  }

  async look(turn, after) {
    while (this.looking === turn) {
      const began = performance.now();
      try {
        const answer = await fetch(`/api/instrument/live.jpg?after=${after}`, { cache: "no-store" });
        if (answer.status === 200) {
          after = Number(answer.headers.get("x-frame"));
          const frame = await createImageBitmap(await answer.blob());
          if (this.looking === turn) this.show(frame, null);
        } else this.missing(turn);
        if (answer.status > 204) await pause(AGAIN_MS);
      } catch { this.missing(turn); await pause(AGAIN_MS); }
      await pause(this.shortest_ms - (performance.now() - began));
      // A hidden page requests no frames. The panel is hidden until the first frame comes.
      while (this.looking === turn && (document.hidden || !this.panel.parentElement.checkVisibility())) await pause(AGAIN_MS);
    }
  }

  async load(name) {
    const answer = await fetch(`/api/instrument/picture.jpg?v=${encodeURIComponent(name)}`);
    if (answer.ok) this.show(await createImageBitmap(await answer.blob()), name);
  }

  // The shown frame is old: the camera is busy or disconnected.
  missing(turn) {
    if (this.looking !== turn) return;
    this.kind.textContent = "Waiting for the camera";
    this.kind.classList.remove("on");
  }

  // ------------------------------------------------------------------------------ showing

  show(picture, name) {
    this.picture?.close();
    this.picture = picture;
    this.name = name;
    this.panel.hidden = false;
    this.kind.textContent = name ? "Test shot" : "Live";
    this.kind.classList.toggle("on", !name);
    if (this.canvas.width !== picture.width || this.canvas.height !== picture.height) {
      this.canvas.width = picture.width;
      this.canvas.height = picture.height;
      this.view.style.setProperty("--ratio", picture.width / picture.height);
    }
    this.frames += 1;
    this.canvas.dataset.frames = this.frames;
    this.draw();
  }

  draw() {
    if (!this.picture) return;
    const paper = this.canvas.getContext("2d", { willReadFrequently: true });
    paper.drawImage(this.picture, 0, 0);
    const pixels = paper.getImageData(0, 0, this.canvas.width, this.canvas.height);
    const { dark, bright } = histogram(this.curve, pixels);
    const text = bright > 0.001 ? `Overexposed: ${(bright * 100).toFixed(1)} % of the pixels are clipped.`
      : dark > 0.02 ? `Dark: ${(dark * 100).toFixed(0)} % of the pixels are black.` : "Exposure: no clipping.";
    if (this.clipped.textContent !== text) this.clipped.textContent = text;
    if (this.peaking) paper.putImageData(peaking(pixels), 0, 0);
    this.drawLoupe();
  }

  peak(on) { this.peaking = on; this.draw(); }

  // ------------------------------------------------------------------------------ the loupe

  // The loupe starts in the middle; a finger or the arrow keys move it.
  pin(on) {
    this.pinned = on ? { x: 0.5, y: 0.5 } : null;
    if (on) { this.at = this.pinned; this.drawLoupe(); }
    else this.hideLoupe();
  }

  hideLoupe() { this.at = null; this.loupe.hidden = this.mark.hidden = true; }

  hover(event, pressed = false) {
    if (this.pinned && !pressed && !event.buttons) return;
    const box = this.canvas.getBoundingClientRect();
    this.at = { x: within((event.clientX - box.left) / box.width), y: within((event.clientY - box.top) / box.height) };
    if (this.pinned) this.pinned = this.at;
    this.drawLoupe();
  }

  key(event) {
    const [right, down] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] || [0, 0];
    if (!this.pinned || !(right || down)) return;
    event.preventDefault();
    event.stopPropagation();
    this.at = this.pinned = { x: within(this.pinned.x + right * 0.02), y: within(this.pinned.y + down * 0.02) };
    this.drawLoupe();
  }

  // Shows a test shot at full resolution. Live view has few pixels and is enlarged twice.
  drawLoupe() {
    if (!this.at || !this.picture) return;
    const { width, height } = this.canvas;
    const paper = this.loupe.getContext("2d");
    const across = LOUPE_PX / 2;
    const left = this.at.x * width - across / 2, top = this.at.y * height - across / 2;
    paper.fillRect(0, 0, LOUPE_PX, LOUPE_PX);
    paper.imageSmoothingEnabled = false;
    paper.drawImage(this.picture, left, top, across, across, 0, 0, LOUPE_PX, LOUPE_PX);
    this.loupe.hidden = this.mark.hidden = false;
    // The loupe is drawn on the side opposite to the area that it shows.
    this.loupe.classList.toggle("left", this.at.x > 0.5);
    Object.assign(this.mark.style, { left: `${this.at.x * 100}%`, top: `${this.at.y * 100}%` });
    if (this.name) this.drawDetail(this.name, this.at);
  }

  async drawDetail(name, at) {
    clearTimeout(this.waiting);
    await new Promise((done) => { this.waiting = setTimeout(done, 80); });
    const answer = await fetch(`/api/instrument/detail.jpg?x=${at.x.toFixed(4)}&y=${at.y.toFixed(4)}&v=${encodeURIComponent(name)}`);
    if (!answer.ok) return;
    const piece = await createImageBitmap(await answer.blob());
    if (this.at === at && this.name === name) this.loupe.getContext("2d").drawImage(piece, 0, 0);
    piece.close();
  }
}

function within(share) { return Math.min(1, Math.max(0, share)); }
function pause(ms) { return new Promise((done) => { setTimeout(done, Math.max(0, ms)); }); }
