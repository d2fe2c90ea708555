// Requests to the server, its stream of events, and messages when something fails.

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

const POLL_EVERY_MS = 3000;

// The event stream of a run; without a run, only the status of the page. The stream reconnects
// automatically and continues after the last received change.
export class Events {
  constructor(onEvent) {
    this.onEvent = onEvent;
    this.run = undefined;
    this.source = null;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.pause() : this.resume()));
  }

  // A browser opens at most six connections to a server for all its tabs, and each stream uses one.
  // So a tab in the background requests the state from time to time instead.
  pause() {
    this.source?.close();
    this.source = null;
    clearTimeout(this.retry);
    clearInterval(this.poll);
    this.poll = setInterval(() => this.ask(), POLL_EVERY_MS);
  }

  resume() {
    clearInterval(this.poll);
    if (!this.source && this.run !== undefined) this.open();
  }

  async ask() {
    try {
      const { status, head } = await get(`/api/status${this.query()}`);
      this.onEvent("connected");
      this.onEvent("status", status);
      if (head) this.onEvent("run", { head, slices: [] });
    } catch { this.onEvent("lost"); }
  }

  query() { return this.run ? `?run=${encodeURIComponent(this.run)}` : ""; }

  follow(run) {
    if (run === this.run && this.source) return;
    this.run = run || "";
    if (!document.hidden) this.open();
  }

  open() {
    this.source?.close();
    clearTimeout(this.retry);
    const source = new EventSource(`/api/events${this.query()}`);
    this.source = source;
    for (const kind of ["status", "run"]) {
      source.addEventListener(kind, (event) => this.onEvent(kind, JSON.parse(event.data)));
    }
    source.onopen = () => this.onEvent("connected");
    source.onerror = () => {
      if (this.source !== source) return;
      this.onEvent("lost");
      if (source.readyState !== EventSource.CLOSED) return;
      this.retry = setTimeout(() => this.open(), 2000);
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

// Runs the action of a button; prevents a second action at the same time, and shows failures.
export async function press(button, act) {
  const held = button && document.activeElement === button;
  if (button) button.disabled = true;
  try { return await act(); }
  catch (error) {
    say(error instanceof Refused ? error.message : "No connection to the server. A run continues without it.", true);
    return undefined;
  } finally {
    if (button) button.disabled = false;
    // A disabled button loses the keyboard's focus, so the focus is restored.
    if (held && document.activeElement === document.body) button.focus({ preventScroll: true });
  }
}
