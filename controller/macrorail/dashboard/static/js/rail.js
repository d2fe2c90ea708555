// Draws the rail to scale: above the travel, below the range with each slice's depth of field.

import { length } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
const LEFT = 16, RIGHT = 16;
const TRAVEL_Y = 26, FAN_TOP = 36, BANDS_TOP = 70, SHARP_HEIGHT = 44, BANDS_HEIGHT = 42;
const BANDS_Y = BANDS_TOP + SHARP_HEIGHT, BOTTOM = BANDS_Y + BANDS_HEIGHT;
// Neighbouring bands overlap, so they are drawn in two rows to keep gaps visible.
const STATES = ["planned", "shot", "counted", "left_out"];

export function drawRail(svg, rail) {
  const width = svg.clientWidth;
  if (!width || rail.near_um === undefined) return;
  svg.replaceChildren();
  const [low, high] = rail.travel_um || [0, rail.far_um * 1.1];
  const travel = scale(low, high, LEFT, width - RIGHT);
  drawTravel(svg, rail, travel, width);
  const margin = Math.max(...rail.slices.map((slice) => slice.dof_um), 1);
  const zoom = scale(rail.near_um - margin, rail.far_um + margin, LEFT, width - RIGHT);
  drawFan(svg, rail, travel, width, margin);
  drawBands(svg, rail, zoom, width);
  if (rail.position_um !== null && rail.position_um !== undefined) drawCarriage(svg, rail, travel, zoom, width);
  svg.setAttribute("aria-label", describe(rail));
}

function describe(rail) {
  const done = rail.slices.filter((slice) => slice.state === "counted").length;
  const where = rail.position_um === null || rail.position_um === undefined ? "" : ` The carriage is at ${length(rail.position_um, 5)}.`;
  return `The rail, to scale: ${rail.slices.length} slices from ${length(rail.near_um, 5)} to ${length(rail.far_um, 5)}, ${done} of them covered.${where}`;
}

function scale(from, to, left, right) {
  return (um) => left + ((um - from) / (to - from)) * (right - left);
}

function add(svg, tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  svg.append(made);
}

function drawTravel(svg, rail, x, width) {
  const [low, high] = rail.travel_um || [0, rail.far_um * 1.1];
  add(svg, "path", { class: "line", d: `M${x(low)} ${TRAVEL_Y}H${x(high)}` });
  for (let um = Math.ceil(low / 10000) * 10000; um <= high; um += 10000) {
    add(svg, "path", { class: "line tick", d: `M${x(um)} ${TRAVEL_Y - 5}V${TRAVEL_Y + 5}` });
    if (x(um) > 130 && x(um) < width - 150) add(svg, "text", { x: x(um), y: TRAVEL_Y - 10, "text-anchor": "middle" }, `${um / 1000} mm`);
  }
  const closest = rail.closest_approach_um;
  if (closest < high) {
    add(svg, "rect", { class: "forbidden", x: x(closest), y: TRAVEL_Y - 7, width: x(high) - x(closest), height: 14 });
  }
  if (closest <= high) add(svg, "path", { class: "limit", d: `M${x(closest)} ${TRAVEL_Y - 9}V${TRAVEL_Y + 9}` });
  add(svg, "text", { x: LEFT, y: TRAVEL_Y - 10 }, "camera side");
  add(svg, "text", { x: width - RIGHT, y: TRAVEL_Y - 10, "text-anchor": "end" }, "specimen side");
}

function drawFan(svg, rail, travel, width, margin) {
  const near = travel(rail.near_um - margin), far = Math.max(travel(rail.far_um + margin), near + 3);
  add(svg, "path", { class: "fan", d: `M${near} ${FAN_TOP}H${far}L${width - RIGHT} ${BANDS_TOP - 4}H${LEFT}Z` });
  add(svg, "rect", { class: "block", x: near, y: TRAVEL_Y - 5, width: far - near, height: 10, rx: 2 });
}

function drawBands(svg, rail, x, width) {
  add(svg, "rect", { class: "ground", x: LEFT, y: BANDS_TOP - 4, width: width - LEFT - RIGHT, height: BOTTOM - BANDS_TOP + 8, rx: 6 });
  const paths = Object.fromEntries(STATES.map((state) => [state, ""]));
  const sharpest = Math.max(...rail.slices.map((slice) => slice.sharpness || 0), 1e-9);
  let bars = "";
  rail.slices.forEach((slice, place) => {
    const left = x(slice.position_um - slice.dof_um / 2), right = x(slice.position_um + slice.dof_um / 2);
    const row = BANDS_Y + (place % 2) * (BANDS_HEIGHT * 0.28), tall = BANDS_HEIGHT * 0.72;
    paths[slice.state || "planned"] += `M${left} ${row}H${right}V${row + tall}H${left}Z`;
    if (slice.sharpness) {
      const height = (slice.sharpness / sharpest) * (SHARP_HEIGHT - 20), middle = x(slice.position_um);
      const half = Math.max(1.2, Math.min(5, (right - left) / 5));
      bars += `M${middle - half} ${BANDS_Y - 3}V${BANDS_Y - 3 - height}H${middle + half}V${BANDS_Y - 3}Z`;
    }
  });
  // There is one path for each state, so that overlapping bands have the same shade.
  for (const state of STATES) if (paths[state]) add(svg, "path", { class: state, d: paths[state] });
  if (bars) add(svg, "path", { class: "sharp", d: bars });
  const y = BOTTOM + 22;
  add(svg, "text", { x: x(rail.near_um), y, "text-anchor": "start" }, `A  ${length(rail.near_um, 6)}`);
  add(svg, "text", { x: x(rail.far_um), y, "text-anchor": "end" }, `B  ${length(rail.far_um, 6)}`);
  if (bars) add(svg, "text", { x: LEFT + 10, y: BANDS_TOP + 11 }, "sharpness");
}

function drawCarriage(svg, rail, travel, zoom, width) {
  const at = travel(rail.position_um);
  add(svg, "path", { class: "carriage", d: `M${at - 8} ${TRAVEL_Y + 14}L${at} ${TRAVEL_Y + 1}L${at + 8} ${TRAVEL_Y + 14}Z` });
  const close = zoom(rail.position_um);
  if (close < LEFT || close > width - RIGHT) return;
  add(svg, "path", { class: "carriage-line", d: `M${close} ${BANDS_TOP - 4}V${BOTTOM + 4}` });
  if (close < 240 || close > width - 240) return; // it would cover A or B
  add(svg, "text", { x: close, y: BOTTOM + 22, "text-anchor": "middle" }, length(rail.position_um, 6));
}
