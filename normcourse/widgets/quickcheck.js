// Questions to check oneself with: choose, press Check, read why. Nothing is scored.

function html(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// Backticks mark code.
function prose(tag, text, attributes = {}) {
  const parts = text.split("`").map((part, i) => (i % 2 ? html("code", {}, part) : part));
  return html(tag, attributes, ...parts);
}

let count = 0;

function question(spec, number, answer, save) {
  const name = `nc-question-${count++}`;
  const inputs = spec.choice.map((_, i) => html("input", { type: "radio", name, value: i }));
  const labels = spec.choice.map((choice, i) => html("label", {}, inputs[i], prose("span", choice.text)));
  const feedback = html("p", { role: "status", class: "nc-feedback" });
  const check = html("button", { type: "button" }, "Check");

  function show(index) {
    const choice = spec.choice[index];
    const verdict = choice.right ? "Yes." : "Not quite.";
    feedback.className = `nc-feedback ${choice.right ? "nc-right" : "nc-wrong"}`;
    feedback.replaceChildren(html("strong", {}, verdict), " ", prose("span", choice.why));
  }
  check.addEventListener("click", () => {
    const index = inputs.findIndex((input) => input.checked);
    if (index < 0) {
      feedback.className = "nc-feedback";
      feedback.textContent = "Choose an answer first.";
      return;
    }
    show(index);
    save(index);
  });
  inputs.forEach((input) => input.addEventListener("change", () => {
    feedback.className = "nc-feedback";
    feedback.replaceChildren();
  }));
  // JupyterLab keeps arrow keys from reaching radio buttons.
  labels.forEach((label, i) => label.addEventListener("keydown", (event) => {
    const by = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    inputs[(i + by + inputs.length) % inputs.length].click();
    inputs[(i + by + inputs.length) % inputs.length].focus();
  }));
  if (answer !== undefined) {
    inputs[answer].checked = true;
    show(answer);
  }
  const legend = html("legend", {}, html("span", { class: "nc-number" }, `${number}. `), prose("span", spec.ask));
  return html("fieldset", { class: "nc-question" }, legend, ...labels, check, feedback);
}

function render({ model, el }) {
  const root = html("section", { class: "nc-quickcheck", "aria-label": model.get("title") });
  model.get("questions").forEach((spec, i) => {
    const key = String(i);
    const save = (index) => {
      model.set("answers", { ...model.get("answers"), [key]: index });
      model.save_changes();
    };
    root.append(question(spec, i + 1, model.get("answers")[key], save));
  });
  el.append(root);
}

export default { render };
