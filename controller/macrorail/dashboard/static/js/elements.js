// Creates elements without HTML strings, so that text from a file never becomes HTML.

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, act] of Object.entries(value)) made.addEventListener(event, act);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// Replaces the content of an element and keeps the keyboard's focus.
export function refill(container, children) {
  const held = container.contains(document.activeElement) ? keyOf(document.activeElement) : null;
  container.replaceChildren(...children);
  if (!held || container.contains(document.activeElement)) return;
  [...container.querySelectorAll("a, button")].find((one) => keyOf(one) === held)?.focus({ preventScroll: true });
}

function keyOf(one) {
  return one.id || `${one.closest("[data-run]")?.dataset.run || ""}/${one.dataset.key || one.textContent}`;
}
