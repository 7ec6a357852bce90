// Questions to check oneself with: choose, press Check, read why. Nothing is scored.

// Backticks mark code.
function prose(tag, text, attributes = {}) {
  const parts = text.split("`").map((part, i) => (i % 2 ? html("code", {}, part) : part));
  return html(tag, attributes, ...parts);
}

function question(spec, number, answer, save) {
  const name = unique();
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
  onRadioArrows(inputs);
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
