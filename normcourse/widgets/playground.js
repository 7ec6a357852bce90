// Draws the pictures that Python computed. Nothing is computed here: bytes become marks,
// texts are shown as they are. Works with a kernel and without one.

const CENTER = 127; // the byte that stands for zero in a grid
const FULL = 254; // the byte at the top of an axis
const ABSENT = 255; // nothing to draw

// ---- panels: each returns its node and a function that shows a frame ---------------------

const WIDTH = 320;
const HEIGHT = 200;

function picture() {
  return svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
}

// How strong a cell's colour is, by its byte; made once because it is needed for every cell.
const OPACITY = Array.from({ length: 256 }, (_, byte) => (Math.abs(byte - CENTER) / CENTER).toFixed(3));

function grid(spec, _, stored) {
  const root = picture();
  const outline = svg("path", { class: "nc-outline" });
  const marks = svg("g");
  const scale = html("p", { class: "nc-scale", "aria-hidden": "true" });
  const low = html("span"), high = html("span");
  scale.append(low, html("span", { class: "nc-ramp" }), high);
  const caption = html("p", { class: "nc-caption" }, `rows: ${spec.rows} · columns: ${spec.columns}`);

  // One sheet of cells for each shape, made when it is first needed.
  const sheets = new Map();
  function sheet(rows, columns, numbers) {
    const key = `${rows} ${columns} ${Boolean(numbers)}`;
    if (!sheets.has(key)) sheets.set(key, makeSheet(rows, columns, numbers));
    return sheets.get(key);
  }

  // As high as the highest of the stored shapes, so that what stands below does not jump.
  let height = 0;
  function makeRoom([rows, columns]) {
    const needed = rows * cell(rows, columns).h;
    if (needed <= height) return;
    height = needed;
    const margin = spec.margin ?? 0;
    root.setAttribute("viewBox", `${-margin} 0 ${WIDTH + margin} ${height}`);
  }
  stored.forEach((frame) => makeRoom(frame.shape));

  let shown;
  function update(frame, bytes) {
    const [rows, columns] = frame.shape;
    makeRoom(frame.shape);
    const now = sheet(rows, columns, frame.numbers);
    if (now !== shown) root.replaceChildren(now.cells, outline, now.texts, marks);
    now.marks.forEach((mark, i) => {
      const byte = bytes[frame.cells + i];
      // Setting an equal value would make the browser restyle the cell all the same.
      if (mark.byte === byte) return;
      if (mark.byte === undefined || mark.byte < CENTER !== byte < CENTER)
        mark.setAttribute("class", byte < CENTER ? "nc-cold" : "nc-hot");
      mark.setAttribute("fill-opacity", OPACITY[byte]);
      mark.byte = byte;
    });
    now.labels.forEach((label, i) => (label.textContent = frame.numbers[i]));
    marks.replaceChildren(...(frame.marks ?? []).map((mark, r) =>
      svg("text", { x: -6, y: (r + 0.5) * now.size.h, class: "nc-mark" }, mark)));
    outline.setAttribute("d", "groups" in frame ? borders(bytes, frame.groups, rows, columns, now.size) : "");
    shown = now;
    low.textContent = `−${frame.limit}`;
    high.textContent = frame.limit;
    root.setAttribute("aria-label", `${spec.title}: ${rows} ${spec.rows} by ${columns} ${spec.columns}, colours from −${frame.limit} to ${frame.limit}${(frame.marks ?? []).map((mark, r) => `; row ${r + 1} ${mark}`).join("")}`);
  }
  return { node: html("div", {}, root, scale, caption), update };
}

function cell(rows, columns) {
  const w = WIDTH / columns;
  return { w, h: Math.min(HEIGHT / rows, 44, 2 * w) };
}

function makeSheet(rows, columns, numbers) {
  const { w, h } = cell(rows, columns);
  const marks = [], labels = [];
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) {
      marks.push(svg("rect", { x: c * w, y: r * h, width: w, height: h }));
      if (numbers)
        labels.push(svg("text", { x: (c + 0.5) * w, y: (r + 0.5) * h, "font-size": Math.min(15, w / 3.4) }));
    }
  return { marks, labels, cells: svg("g", {}, ...marks), texts: svg("g", {}, ...labels), size: { w, h } };
}

// The lines between cells that do not share a statistic, and around the whole.
function borders(bytes, start, rows, columns, { w, h }) {
  const at = (r, c) => (r < 0 || c < 0 || r >= rows || c >= columns ? -1 : bytes[start + r * columns + c]);
  let d = "";
  for (let r = 0; r <= rows; r++)
    for (let c = 0; c <= columns; c++) {
      if (c < columns && at(r, c) !== at(r - 1, c)) d += `M${c * w} ${r * h}h${w}`;
      if (r < rows && at(r, c) !== at(r, c - 1)) d += `M${c * w} ${r * h}v${h}`;
    }
  return d;
}

const BASE = 176; // y of the x axis in histograms and curves

function histogram(spec) {
  const root = picture();
  const w = WIDTH / spec.bins;
  const bars = Array.from({ length: spec.bins }, (_, i) =>
    svg("rect", { class: spec.colour === "raw" ? "nc-raw" : "nc-accent", x: i * w + 0.5, width: w - 1 }));
  const ticks = ["start", "middle", "end"].map((anchor, i) =>
    svg("text", { x: (i * WIDTH) / 2, y: 194, "text-anchor": anchor }));
  const top = svg("text", { x: WIDTH, y: 10, "text-anchor": "end" });
  root.append(...bars, svg("path", { class: "nc-axis", d: `M0 ${BASE}H${WIDTH}` }), ...ticks, top);

  function update(frame, bytes) {
    bars.forEach((bar, i) => {
      const height = (bytes[frame.bars + i] / FULL) * (BASE - 16);
      bar.setAttribute("y", BASE - height);
      bar.setAttribute("height", height);
    });
    ticks.forEach((tick, i) => (tick.textContent = frame.ticks[i]));
    top.textContent = `tallest: ${frame.top}`;
    root.setAttribute("aria-label", `${spec.title}: histogram from ${frame.ticks[0]} to ${frame.ticks[2]}, tallest bar ${frame.top} values`);
  }
  return { node: html("div", {}, root), update };
}

function lines(spec) {
  const root = picture();
  const left = 44, top = 8, width = WIDTH - left - 8, height = BASE - 22;
  const y = (t) => top + (1 - t) * (height - top);
  for (const [t, label] of spec.yticks)
    root.append(
      svg("path", { class: "nc-gridline", d: `M${left} ${y(t)}h${width}` }),
      svg("text", { x: left - 6, y: y(t) + 4, "text-anchor": "end" }, label));
  spec.xticks.forEach((label, i) =>
    root.append(svg("text", { x: left + (i * width) / 2, y: height + 16, "text-anchor": "middle" }, label)));
  root.append(svg("text", { x: left + width / 2, y: 192, "text-anchor": "middle" }, spec.xlabel));
  const curves = spec.curves.map(([, colour], i) =>
    svg("path", { class: "nc-curve", style: colour ? `stroke:${colour}` : "", "stroke-dasharray": ["", "6 4", "2 3", "9 3 2 3"][i % 4] }));
  root.append(...curves);
  const legend = html("p", { class: "nc-legend" });
  const several = spec.curves.length > 1 ? spec.curves : [];
  several.forEach(([name], i) => {
    const sample = svg("svg", { viewBox: "0 0 28 10", width: 28, height: 10, "aria-hidden": "true" }, curves[i].cloneNode());
    sample.firstChild.setAttribute("d", "M1 5H27");
    legend.append(html("span", {}, sample, ` ${name}`));
  });
  legend.prepend(html("span", { class: "nc-caption" }, several.length ? `${spec.ylabel}: ` : spec.ylabel));

  function update(frame, bytes) {
    frame.points.forEach(([start, count], k) => {
      let d = "", pen = "M";
      for (let i = 0; i < count; i++) {
        const byte = bytes[start + i];
        if (byte === ABSENT) { pen = "M"; continue; }
        d += `${pen}${(left + (i * width) / Math.max(1, count - 1)).toFixed(1)} ${y(byte / FULL).toFixed(1)}`;
        pen = "L";
      }
      curves[k].setAttribute("d", d);
    });
    root.setAttribute("aria-label", `${spec.title}: ${spec.ylabel} against ${spec.xlabel}, curves ${spec.curves.map(([name]) => name).join(", ")}`);
  }
  return { node: html("div", {}, root, legend), update };
}

function table(spec) {
  const head = html("tr", {}, html("td"), ...spec.columns.map((c) => html("th", { scope: "col" }, c)));
  const rows = spec.rows.map((name) =>
    html("tr", {}, html("th", { scope: "row" }, name), ...spec.columns.map(() => html("td"))));
  const node = html("table", {}, html("caption", { class: "nc-hidden" }, spec.title), html("thead", {}, head), html("tbody", {}, ...rows));
  const update = (frame) =>
    frame.entries.forEach((entries, r) => entries.forEach((text, c) => (rows[r].children[c + 1].textContent = text)));
  return { node, update };
}

function note() {
  const node = html("p", { role: "status", class: "nc-note" });
  return { node, update: (frame) => node.textContent !== frame.text && (node.textContent = frame.text) };
}

// Vectors of a plane. The ends of some are dragged: the nearest stored setting is chosen.
function arrows(spec, choose) {
  const size = 160, root = svg("svg", { viewBox: `${-size} ${-size} ${2 * size} ${2 * size}`, role: "img" });
  const at = (byte) => ((byte - CENTER) / CENTER) * size;
  const lines = spec.arrows.map(([, colour]) => svg("path", { class: "nc-arrow", style: `stroke:${colour || "var(--nc-accent)"}` }));
  const labels = spec.arrows.map(([name, colour]) => svg("text", { style: `fill:${colour || "var(--nc-accent)"}` }, name));
  const removed = svg("path", { class: "nc-removed" });
  const outline = svg("path", { class: "nc-outline", style: "stroke:var(--nc-accent);stroke-opacity:.45" });
  const handles = spec.handles.map(() => svg("circle", { class: "nc-handle", r: 11 }));
  root.append(outline, svg("circle", { class: "nc-circle", r: (spec.radius / spec.limit) * size }), removed, ...lines, ...handles, ...labels);
  let starts = [];

  handles.forEach((handle, k) => {
    handle.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      handle.setPointerCapture(event.pointerId);
    });
    handle.addEventListener("pointermove", (event) => {
      if (!handle.hasPointerCapture(event.pointerId)) return;
      const box = root.getBoundingClientRect();
      const [index, angle, length] = spec.handles[k];
      const x = ((event.clientX - box.left) / box.width - 0.5) * 2 * spec.limit - starts[index][0];
      const y = (0.5 - (event.clientY - box.top) / box.height) * 2 * spec.limit - starts[index][1];
      if (Array.isArray(length)) { // the place of each value
        const places = new Map(length);
        choose(angle, (value) => Math.hypot(places.get(value)[0] - x, places.get(value)[1] - y));
        return;
      }
      const degrees = (Math.atan2(y, x) * 180) / Math.PI;
      choose(angle, (value) => Math.abs(((value - degrees + 540) % 360) - 180));
      if (length) choose(length, (value) => Math.abs(value - Math.hypot(x, y)));
    });
  });

  function update(frame, bytes) {
    const point = (i) => [at(bytes[frame.ends + 2 * i]), -at(bytes[frame.ends + 2 * i + 1])];
    starts = [];
    spec.arrows.forEach(([name], k) => {
      const [x0, y0] = point(2 * k), [x1, y1] = point(2 * k + 1);
      const long = Math.hypot(x1 - x0, y1 - y0) || 1, u = (x1 - x0) / long, v = (y1 - y0) / long;
      const head = Math.min(9, long);
      lines[k].setAttribute("d", `M${x0} ${y0}L${x1} ${y1}M${x1 - head * u + 0.5 * head * v} ${y1 - head * v - 0.5 * head * u}` +
        `L${x1} ${y1}L${x1 - head * u - 0.5 * head * v} ${y1 - head * v + 0.5 * head * u}`);
      labels[k].setAttribute("x", x1 + 18 * u);
      labels[k].setAttribute("y", y1 + 18 * v + 5);
      starts.push([(x0 / size) * spec.limit, (-y0 / size) * spec.limit]);
      spec.handles.forEach(([index], h) => {
        if (index !== k) return;
        handles[h].setAttribute("cx", x1);
        handles[h].setAttribute("cy", y1);
      });
    });
    const [a, b] = [point(2 * lines.length), point(2 * lines.length + 1)];
    removed.setAttribute("d", `M${a}L${b}`);
    if (frame.points) {
      const [[start, count]] = frame.points;
      const corner = (i) => [at(bytes[start + 2 * i]), -at(bytes[start + 2 * i + 1])];
      outline.setAttribute("d", `M${Array.from({ length: count / 2 }, (_, i) => corner(i)).join("L")}Z`);
    }
    root.setAttribute("aria-label", `${spec.title}: arrows ${spec.arrows.map(([name]) => name).join(", ")}`);
  }
  return { node: html("div", {}, root), update };
}

// Samples side by side. A click picks a number; what goes with it is filled.
function sharing(spec, choose) {
  const [samples, rows, columns] = spec.shape;
  const cell = 24, gap = 20, card = columns * cell + gap;
  const root = svg("svg", { viewBox: `0 0 ${samples * card - gap} ${rows * cell + 20}`, role: "img" });
  const caption = html("p", { class: "nc-caption" });
  const cells = Array.from({ length: samples * rows * columns }, (_, i) => {
    const at = [Math.floor(i / (rows * columns)), Math.floor(i / columns) % rows, i % columns];
    const rect = svg("rect", { x: at[0] * card + at[2] * cell, y: at[1] * cell, width: cell, height: cell });
    rect.addEventListener("click", () =>
      spec.controls.forEach((name, k) => choose(name, (value) => Math.abs(value - 1 - at[k]))));
    return rect;
  });
  const dot = svg("circle", { r: 5 });
  root.append(...cells, dot, ...Array.from({ length: samples }, (_, n) =>
    svg("text", { x: n * card + (card - gap) / 2, y: rows * cell + 16 }, `sample ${n + 1}`)));

  function update(frame, bytes) {
    cells.forEach((rect, i) => rect.setAttribute("class",
      `${bytes[frame.cells + i] ? "nc-accent" : "nc-apart"}${i === frame.picked ? " nc-picked" : ""}`));
    const at = cells[frame.picked];
    dot.setAttribute("cx", Number(at.getAttribute("x")) + cell / 2);
    dot.setAttribute("cy", Number(at.getAttribute("y")) + cell / 2);
    caption.textContent = `rows: ${frame.rows} · columns: ${frame.columns}`;
    root.setAttribute("aria-label", `${spec.title}: ${samples} samples of ${rows} ${frame.rows} by ${columns} ${frame.columns}`);
  }
  return { node: html("div", {}, root, caption), update };
}

// A small picture: three bytes for each pixel, one stroke for all.
function colours(spec) {
  const [height, width] = spec.shape;
  const canvas = html("canvas", { width, height, role: "img", "aria-label": `${spec.title}: ${width} by ${height} pixels` });
  const context = canvas.getContext("2d", { willReadFrequently: true }), image = context.createImageData(width, height);
  function update(frame, bytes) {
    for (let i = 0; i < width * height; i++) {
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = bytes[frame.pixels + 3 * i + c];
      image.data[4 * i + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }
  return { node: html("div", {}, canvas), update };
}

const PANELS = { grid, histogram, lines, arrows, sharing, picture: colours, table, note };

// ---- controls: native inputs; each shows and sets the index of one of the stored values ----

function slider(spec, get, set) {
  const id = unique();
  const input = html("input", { type: "range", id, min: 0, max: spec.values.length - 1, step: 1 });
  const output = html("output", { for: id });
  input.addEventListener("input", () => set(Number(input.value)));
  onArrows(input, spec.values.length, get, set);
  const show = (index, value) => {
    const text = index < 0 ? String(value) : spec.texts[index];
    if (index >= 0) input.value = index;
    input.setAttribute("aria-valuetext", text);
    output.textContent = text;
  };
  return { node: html("div", { class: "nc-control" }, html("label", { for: id }, spec.label), input, output), show };
}

function choice(spec, get, set) {
  const name = unique();
  const inputs = spec.values.map((_, i) => html("input", { type: "radio", name, value: i }));
  inputs.forEach((input, i) => input.addEventListener("change", () => set(i)));
  const labels = inputs.map((input, i) => html("label", {}, input, html("span", {}, spec.texts[i])));
  const node = html("fieldset", { class: "nc-control" }, html("legend", {}, spec.label), html("div", { class: "nc-pills" }, ...labels));
  onArrows(node, inputs.length, get, (i) => { set(i); inputs[i].focus(); });
  return { node, show: (index) => inputs.forEach((input, i) => (input.checked = i === index)) };
}

function steps(spec, get, set) {
  const part = slider(spec, get, set);
  const last = spec.values.length - 1;
  const button = (text, by) => {
    const node = html("button", { type: "button" }, text);
    node.addEventListener("click", () => set(Math.min(last, Math.max(0, get() + by))));
    return node;
  };
  const back = button("Back", -1), next = button("Next", 1);
  part.node.classList.add("nc-steps");
  part.node.append(html("span", { class: "nc-buttons" }, back, next));
  const show = (index, value) => {
    part.show(index, value);
    // aria-disabled keeps the focus where it is when the end is reached.
    back.setAttribute("aria-disabled", index <= 0);
    next.setAttribute("aria-disabled", index >= last);
  };
  return { node: part.node, show };
}

const CONTROLS = { slider, choice, steps };

// ---- the widget -------------------------------------------------------------------------

function render({ model, el }) {
  const specs = model.get("controls");
  const root = html("section", { class: "nc-playground", style: `--nc-accent:${model.get("accent")}` });
  root.setAttribute("aria-label", model.get("title"));
  const heading = html("p", { class: "nc-title" }, model.get("title"));

  const indices = () => specs.map((s) => s.values.indexOf(model.get(s.name)));
  const controls = specs.map((spec) =>
    CONTROLS[spec.kind](spec, () => spec.values.indexOf(model.get(spec.name)), (index) => {
      model.set(spec.name, spec.values[index]);
      model.save_changes();
    }));
  // The value of a control that is nearest by some distance.
  function choose(name, distance) {
    const { values } = specs.find((spec) => spec.name === name);
    const nearest = values.reduce((best, value) => (distance(value) < distance(best) ? value : best));
    if (nearest === model.get(name)) return;
    model.set(name, nearest);
    model.save_changes();
  }
  const panels = model.get("panels").map((spec, k) => {
    const panel = PANELS[spec.kind](spec, choose, model.get("frames").map((frame) => frame[k]));
    const node = html("div", { class: `nc-panel nc-panel-${spec.kind}` }, html("p", { class: "nc-panel-title" }, spec.title), panel.node);
    return { node, update: panel.update };
  });
  root.append(heading,
    html("div", { class: "nc-controls" }, ...controls.map((c) => c.node)),
    html("div", { class: "nc-panels" }, ...panels.map((p) => p.node)));
  el.append(root);

  // A stored picture, or the one a kernel has just computed for a setting outside the stored.
  function find(at) {
    if (!at.includes(-1)) {
      const frame = at.reduce((sum, index, k) => sum * specs[k].values.length + index, 0);
      return { frame: model.get("frames")[frame], data: model.get("data") };
    }
    const live = model.get("live");
    const fits = live.settings && specs.every((s) => live.settings[s.name] === model.get(s.name));
    return fits ? live : null;
  }

  function draw() {
    const at = indices();
    controls.forEach((control, k) => control.show(at[k], model.get(specs[k].name)));
    const found = find(at);
    root.classList.toggle("nc-waiting", !found);
    if (!found) return;
    const bytes = new Uint8Array(found.data.buffer, found.data.byteOffset, found.data.byteLength);
    panels.forEach((panel, k) => panel.update(found.frame[k], bytes));
  }

  const events = [...specs.map((s) => `change:${s.name}`), "change:data", "change:frames", "change:live"];
  events.forEach((event) => model.on(event, draw));
  draw();
  return () => events.forEach((event) => model.off(event, draw));
}

export default { render };
