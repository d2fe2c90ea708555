// Talks to the server: requests, events that come by themselves, and what to say when it fails.

export class Refused extends Error {
  constructor(message, status) { super(message); this.status = status; }
}

export async function get(path) { return answer(await fetch(path, { cache: "no-store" })); }

export async function post(path, body = {}) {
  return answer(await fetch(path, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  }));
}

async function answer(response) {
  const content = await response.json().catch(() => ({}));
  if (response.ok) return content;
  if (response.status === 401) window.dispatchEvent(new Event("token-needed"));
  throw new Refused(content.error || "The server did not answer as expected.", response.status);
}

const ASK_EVERY_MS = 3000;

// Events of one run (or of none, for who operates alone). Comes back by itself when the server
// does, and goes on behind the last change it has seen.
export class Events {
  constructor(heard) {
    this.heard = heard;
    this.run = undefined;
    this.source = null;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.doze() : this.wake()));
  }

  // A browser opens six connections to a server, however many tabs there are. A stream would hold
  // one for good, so that a tab in the background asks now and then instead.
  doze() {
    this.source?.close();
    this.source = null;
    clearTimeout(this.again);
    clearInterval(this.asking);
    this.asking = setInterval(() => this.ask(), ASK_EVERY_MS);
  }

  wake() {
    clearInterval(this.asking);
    if (!this.source && this.run !== undefined) this.open();
  }

  async ask() {
    try {
      const { desk, head } = await get(`/api/desk${this.query()}`);
      this.heard("connected");
      this.heard("desk", desk);
      if (head) this.heard("run", { head, slices: [] });
    } catch { this.heard("lost"); }
  }

  query() { return this.run ? `?run=${encodeURIComponent(this.run)}` : ""; }

  follow(run) {
    if (run === this.run && this.source) return;
    this.run = run || "";
    if (!document.hidden) this.open();
  }

  open() {
    this.source?.close();
    clearTimeout(this.again);
    const source = new EventSource(`/api/events${this.query()}`);
    this.source = source;
    for (const kind of ["desk", "run"]) {
      source.addEventListener(kind, (event) => this.heard(kind, JSON.parse(event.data)));
    }
    source.onopen = () => this.heard("connected");
    source.onerror = () => {
      if (this.source !== source) return;
      this.heard("lost");
      if (source.readyState !== EventSource.CLOSED) return;
      this.again = setTimeout(() => this.open(), 2000);
    };
  }
}

export function say(text, bad = false) {
  const line = document.createElement("p");
  line.textContent = text;
  line.classList.toggle("bad", bad);
  document.getElementById("toasts").append(line);
  setTimeout(() => line.remove(), bad ? 12000 : 5000);
}

// Runs what a button does: not twice at once, and what fails is said.
export async function press(button, act) {
  const held = button && document.activeElement === button;
  if (button) button.disabled = true;
  try { return await act(); }
  catch (error) {
    say(error instanceof Refused ? error.message : "The server cannot be reached. A run goes on by itself.", true);
    return undefined;
  } finally {
    if (button) button.disabled = false;
    // A browser takes the focus from what is disabled; the keyboard goes on where it was.
    if (held && document.activeElement === document.body) button.focus({ preventScroll: true });
  }
}
