// A prediction: choose, place a point or draw a line; then the answer stands beside it. Nothing is scored.

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

function choices(model, pick) {
  const name = unique();
  const inputs = model.get("choices").map((_, i) => html("input", { type: "radio", name, value: i }));
  inputs.forEach((input, i) => input.addEventListener("change", () => pick(i)));
  const labels = inputs.map((input, i) => html("label", {}, input, html("span", {}, model.get("choices")[i])));
  onRadioArrows(inputs);
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
  const id = unique();
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

const HIGH = 300, TOP = 14, BOTTOM = 246, SIDE = 64;
const DASHES = ["", "9 4", "3 3", "9 3 2 3"];

// A line is drawn point by point, or in one stroke; each point is a slider for the keyboard.
function line(model, draw) {
  const axis = model.get("axis");
  const last = axis.values.length - 1, points = axis.over.length;
  const x = (i) => SIDE + 24 + (i * (WIDTH - SIDE - 48)) / Math.max(1, points - 1);
  const y = (t) => BOTTOM - t * (BOTTOM - TOP);
  let stops = axis.over.map(() => Math.round(last / 2));
  const path = (places) => places.map((t, i) => `${i ? "L" : "M"}${x(i)} ${y(t)}`).join("");
  const drawn = svg("path", { class: "nc-drawn" });
  const handles = axis.over.map((at, i) => {
    const handle = svg("circle", { class: "nc-handle", r: 10, cx: x(i), tabindex: 0, role: "slider",
      "aria-label": `${axis.label} at ${at}`, "aria-valuemin": 0, "aria-valuemax": last, "aria-orientation": "vertical" });
    onArrows(handle, last + 1, () => stops[i], (stop) => set(i, stop));
    return handle;
  });
  const answers = svg("g", { class: "nc-answers" });
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HIGH}`, role: "group", class: "nc-line" },
    ...axis.ticks.flatMap(([t, text]) => [
      svg("path", { class: "nc-gridline", d: `M${SIDE} ${y(t)}H${WIDTH}` }),
      svg("text", { x: SIDE - 8, y: y(t) + 5, "text-anchor": "end" }, text)]),
    ...axis.over.map((at, i) => svg("text", { x: x(i), y: BOTTOM + 24, class: "nc-tick" }, at)),
    svg("text", { x: (SIDE + WIDTH) / 2, y: HIGH - 6, class: "nc-tick" }, axis.over_label),
    answers, drawn, ...handles);

  function set(i, stop) {
    if (model.get("shown")) return;
    stops = stops.map((old, k) => (k === i ? stop : old));
    draw(stops);
  }
  // The stroke goes to the nearest point of the horizontal axis.
  function follow(event) {
    if (!picture.hasPointerCapture(event.pointerId)) return;
    const box = picture.getBoundingClientRect();
    const across = ((event.clientX - box.left) / box.width) * WIDTH;
    const up = ((event.clientY - box.top) / box.height) * HIGH;
    const nearest = axis.over.map((_, i) => Math.abs(x(i) - across));
    const t = Math.min(1, Math.max(0, (BOTTOM - up) / (BOTTOM - TOP)));
    set(nearest.indexOf(Math.min(...nearest)), Math.round(t * last));
  }
  picture.addEventListener("pointerdown", (event) => {
    if (event.target.classList.contains("nc-handle")) event.target.focus({ preventScroll: true });
    event.preventDefault();
    picture.setPointerCapture(event.pointerId);
    follow(event);
  });
  picture.addEventListener("pointermove", follow);

  const said = (texts) => texts.map((text, i) => `${text} at ${axis.over[i]}`).join(", ");
  const show = (_, shown) => {
    const made = model.get("line");
    if (made.length) stops = [...made];
    drawn.setAttribute("d", path(stops.map((stop) => stop / last)));
    drawn.classList.toggle("nc-untouched", !made.length);
    handles.forEach((handle, i) => {
      handle.setAttribute("cy", y(stops[i] / last));
      handle.setAttribute("aria-valuenow", stops[i]);
      handle.setAttribute("aria-valuetext", axis.texts[stops[i]]);
      handle.setAttribute("aria-disabled", shown);
    });
    picture.setAttribute("aria-label", `${axis.label} over ${axis.over_label}. Your line: ` +
      (made.length ? said(stops.map((stop) => axis.texts[stop])) : "not drawn yet"));
    answers.replaceChildren(...(shown ? axis.answers : []).flatMap(([, places], k) => [
      svg("path", { d: path(places), "stroke-dasharray": DASHES[k % 4] }),
      ...places.map((t, i) => svg("circle", { cx: x(i), cy: y(t), r: 5 }))]));
    key.replaceChildren(...(shown ? axis.answers : []).map(([name], k) => {
      const sample = svg("path", { d: "M1 5H39", "stroke-dasharray": DASHES[k % 4] });
      return html("span", {}, svg("svg", { viewBox: "0 0 40 10", "aria-hidden": "true" }, sample), ` ${name}`);
    }));
  };
  const text = () => {
    const found = axis.answers.map(([name, , texts]) => `${name}: ${said(texts)}`).join("; ");
    return model.get("line").length ? `You drew ${said(stops.map((stop) => axis.texts[stop]))}. ${found}.` : `${found}.`;
  };
  const key = html("p", { class: "nc-key" });
  const label = html("p", { class: "nc-what" }, `${axis.label} `, html("small", {}, "drag the points, or use the arrow keys"));
  return { nodes: [label, picture, key], text, show };
}

function render({ model, el }) {
  const cells = answerCells(el);
  const veil = (on) => cells.forEach((cell) => cell.classList.toggle("nc-veiled", on));
  const pick = (guess) => {
    if (model.get("shown")) return;
    model.set("guess", guess);
    model.save_changes();
  };
  const draws = (stops) => {
    model.set("line", stops);
    model.save_changes();
  };
  const over = model.get("axis").over?.length;
  const part = model.get("choices").length ? choices(model, pick) : over ? line(model, draws) : point(model, pick);
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
    const guessed = guess >= 0 || model.get("line").length > 0;
    part.show(guess, shown);
    button.textContent = guessed ? "Show the answer" : "Show without a prediction";
    button.hidden = shown;
    root.querySelectorAll("input").forEach((input) => (input.disabled = shown));
    status.textContent = shown ? part.text(guess) : "";
    veil(!shown);
  }
  const events = ["change:guess", "change:line", "change:shown"];
  events.forEach((event) => model.on(event, draw));
  draw();
  el.append(root);
  return () => events.forEach((event) => model.off(event, draw));
}

export default { render };
