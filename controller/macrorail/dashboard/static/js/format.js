// Formats numbers, times and states.

export function length(um, digits = 4) {
  if (um === null || um === undefined) return "";
  const size = Math.abs(um);
  if (size >= 1000) return `${trim(um / 1000, digits)} mm`;
  return `${trim(um, digits)} µm`;
}

function trim(value, digits) { return String(Number(value.toPrecision(digits))); }

export function millimetres(um, decimals = 3) { return `${(um / 1000).toFixed(decimals)} mm`; }

export function duration(s) {
  if (s === null || s === undefined) return "";
  if (s < 60) return `${Math.max(1, Math.round(s))} s`;
  const minutes = Math.floor(Math.round(s) / 60), seconds = Math.round(s) % 60;
  if (minutes < 60) return `${minutes} min ${String(seconds).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

export function size(bytes) {
  for (const [unit, factor] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
    if (bytes >= factor) return `${trim(bytes / factor, 3)} ${unit}`;
  }
  return `${bytes} B`;
}

export function clock(at_s) {
  return new Date(at_s * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
}

export function day(at_s) {
  return new Date(at_s * 1000).toLocaleString([], { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}

const SHOOTING = new Set(["moving", "settling", "exposing", "collecting", "verifying"]);
const WORKING = new Set(["starting", "preparing", "searching", "finishing", ...SHOOTING]);
const WAITING = new Set(["paused", "stopped_by_operator", "not_verified"]);

// Returns [label, mood] of a run: the label comes from the server; mood is work, wait, good or bad.
export function state(head) {
  const what = head.reason || head.state;
  const mood = what === "completed" ? "good" : WAITING.has(what) ? "wait" : WORKING.has(what) ? "work" : "bad";
  return [head.label, mood];
}

export function isShooting(head) { return !head.reason && SHOOTING.has(head.state); }
