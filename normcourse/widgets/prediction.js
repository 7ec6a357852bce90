// A prediction: choose, or place a point; then the answer stands beside it. Nothing is scored.

const html = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

let count = 0;

// The cells behind the widget that hold the answer, on a static page.
function answerCells(el) {
  const cells = [];
  let next = el.closest("div.cell")?.nextElementSibling;
  while (next?.classList.contains("tag_answer")) {
    cells.push(next);
    next = next.nextElementSibling;
  }
  return cells;
}

// JupyterLab keeps arrow keys from reaching inputs.
function onArrows(node, length, get, set) {
  node.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: get() - 1, ArrowDown: get() - 1, ArrowRight: get() + 1, ArrowUp: get() + 1, Home: 0, End: length - 1 }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    set(Math.min(length - 1, Math.max(0, to)));
  });
}

function choices(model, pick) {
  const name = `nc-prediction-${count++}`;
  const inputs = model.get("choices").map((_, i) => html("input", { type: "radio", name, value: i }));
  inputs.forEach((input, i) => input.addEventListener("change", () => pick(i)));
  const labels = inputs.map((input, i) => html("label", {}, input, html("span", {}, model.get("choices")[i])));
  labels.forEach((label, i) => label.addEventListener("keydown", (event) => {
    const by = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    const next = inputs[(i + by + inputs.length) % inputs.length];
    next.click();
    next.focus();
  }));
  const text = (guess) => {
    const right = model.get("choices")[model.get("right")];
    if (guess < 0) return `The answer: ${right}.`;
    return guess === model.get("right") ? `As you said: ${right}.` : `You said ${model.get("choices")[guess]}. It is: ${right}.`;
  };
  const show = (guess) => inputs.forEach((input, i) => (input.checked = i === guess));
  return { nodes: labels, text, show };
}

const LEFT = 24, WIDTH = 640, LINE = 58;

function point(model, pick) {
  const axis = model.get("axis");
  const x = (t) => LEFT + t * (WIDTH - 2 * LEFT);
  const last = axis.values.length - 1;
  const id = `nc-prediction-${count++}`;
  const input = html("input", { type: "range", id, min: 0, max: last, step: 1, value: Math.round(last / 2) });
  const output = html("output", { for: id });
  input.addEventListener("input", () => pick(Number(input.value)));
  onArrows(input, last + 1, () => Number(input.value), pick);
  const mark = svg("g", { class: "nc-guess" }, svg("path", { d: `M0 ${LINE}l-7 -12h14z` }), svg("text", { y: LINE - 18 }, "you"));
  const answers = svg("g", { class: "nc-answers" });
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} 122`, role: "img" },
    svg("path", { class: "nc-axis", d: `M${LEFT} ${LINE}H${WIDTH - LEFT}` }),
    ...axis.ticks.flatMap(([t, text]) => [
      svg("path", { class: "nc-axis", d: `M${x(t)} ${LINE}v5` }),
      svg("text", { x: x(t), y: LINE + 20, class: "nc-tick" }, text)]),
    mark, answers);
  const show = (guess, shown) => {
    const at = guess < 0 ? Number(input.value) : guess;
    input.value = at;
    const text = guess < 0 ? "not placed yet" : axis.texts[at];
    output.textContent = text;
    input.setAttribute("aria-valuetext", text);
    mark.setAttribute("transform", `translate(${x(at / last)} 0)`);
    mark.setAttribute("visibility", guess < 0 ? "hidden" : "visible");
    answers.replaceChildren(...(shown ? axis.answers : []).flatMap(([name, t, value], i) => [
      svg("circle", { cx: x(t), cy: LINE, r: 6 }),
      svg("path", { class: "nc-axis", d: `M${x(t)} ${LINE + 6}V${88 + 16 * (i % 2)}` }),
      svg("text", { x: x(t), y: 100 + 16 * (i % 2), "text-anchor": t > 0.8 ? "end" : t < 0.2 ? "start" : "middle" }, `${name}: ${value}`)]));
    picture.setAttribute("aria-label", `${axis.label}, from ${axis.texts[0]} to ${axis.texts[last]}. Your guess: ${text}.` +
      (shown ? axis.answers.map(([name, , value]) => ` ${name}: ${value}.`).join("") : ""));
  };
  const text = (guess) => {
    const found = axis.answers.map(([name, , value]) => `${name}: ${value}`).join("; ");
    return guess < 0 ? `${found}.` : `You said ${axis.texts[guess]}. ${found}.`;
  };
  const label = html("label", { for: id }, axis.label);
  return { nodes: [html("div", { class: "nc-control" }, label, output, input), picture], text, show };
}

function render({ model, el }) {
  const cells = answerCells(el);
  const veil = (on) => cells.forEach((cell) => cell.classList.toggle("nc-veiled", on));
  const pick = (guess) => {
    if (model.get("shown")) return;
    model.set("guess", guess);
    model.save_changes();
  };
  const part = model.get("choices").length ? choices(model, pick) : point(model, pick);
  const button = html("button", { type: "button" });
  const status = html("p", { role: "status", class: "nc-feedback" });
  button.addEventListener("click", () => {
    model.set("shown", true);
    model.save_changes();
  });
  const legend = html("legend", {}, model.get("title"));
  const root = html("fieldset", { class: "nc-prediction" }, legend, ...part.nodes, button, status);

  function draw() {
    const guess = model.get("guess"), shown = model.get("shown");
    part.show(guess, shown);
    button.textContent = guess < 0 ? "Show without a prediction" : "Show the answer";
    button.hidden = shown;
    root.querySelectorAll("input").forEach((input) => (input.disabled = shown));
    status.textContent = shown ? part.text(guess) : "";
    veil(!shown);
  }
  const events = ["change:guess", "change:shown"];
  events.forEach((event) => model.on(event, draw));
  draw();
  el.append(root);
  return () => events.forEach((event) => model.off(event, draw));
}

export default { render };
