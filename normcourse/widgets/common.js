// What all widgets share; Python puts it in front of each one's own module (base.script).

const html = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// For ids and radio groups. A notebook loads this module once for each widget: a counter would repeat.
const unique = () => `nc-${Math.random().toString(36).slice(2)}`;

// JupyterLab keeps arrow keys from reaching inputs, so each widget handles them itself.
function onKeys(node, moves, act) {
  node.addEventListener("keydown", (event) => {
    if (!(event.key in moves) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    act(moves[event.key]);
  });
}

const ARROWS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, Home: -Infinity, End: Infinity };

// Of a slider with `length` places.
const onArrows = (node, length, get, set) =>
  onKeys(node, ARROWS, (by) => set(Math.min(length - 1, Math.max(0, get() + by))));

// Of radio buttons, where up is back.
function onRadioArrows(inputs) {
  const moves = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1 };
  inputs.forEach((input, i) => onKeys(input, moves, (by) => {
    const next = inputs[(i + by + inputs.length) % inputs.length];
    next.click();
    next.focus();
  }));
}

