// The decision guide: shows the answers that fit what is chosen, and the questions that matter for
// it. The choice is kept behind # in the address, so that each answer has a link, and "back" works.

const guide = document.querySelector(".nc-choose");
const form = guide.querySelector("form");
const questions = [...form.querySelectorAll("fieldset")];
const inputs = [...form.querySelectorAll("input")];
const answers = [...guide.querySelectorAll(".nc-answer")];

function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const status = make("span");
status.setAttribute("role", "status");
const link = make("a", { textContent: "Link to this choice" });
const again = make("button", { type: "reset", textContent: "Begin again" });
form.append(make("p", { className: "nc-chosen" }, status, link, again));

// {question: key} of the questions that are asked; the others are hidden, and keep what was chosen.
function chosen() {
  const choice = {};
  for (const question of questions) {
    const when = Object.entries(JSON.parse(question.dataset.when));
    question.hidden = !when.every(([name, keys]) => keys.includes(choice[name]));
    const input = question.querySelector("input:checked");
    if (input && !question.hidden) choice[input.name] = input.value;
  }
  return choice;
}

function show() {
  const choice = chosen();
  for (const answer of answers) {
    const needs = Object.entries(JSON.parse(answer.dataset.needs));
    answer.hidden = !needs.every(([name, keys]) => !(name in choice) || keys.includes(choice[name]));
    for (const line of answer.querySelectorAll("[data-framework]")) {
      line.hidden = Boolean(choice.framework) && line.dataset.framework !== choice.framework;
    }
  }
  const count = answers.filter((answer) => !answer.hidden).length;
  const open = questions.some((question) => !question.hidden && !question.querySelector("input:checked"));
  status.textContent = `${count} of ${answers.length} answers fit${open ? " so far" : ""}.`;
  const address = String(new URLSearchParams(choice));
  link.href = `#${address}`;
  link.hidden = again.hidden = !address;
  return address;
}

// A place on the page, such as #quick-checks, is no choice, and changes none.
function read() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  if (location.hash && !inputs.some((input) => wanted.has(input.name))) return;
  for (const input of inputs) input.checked = wanted.get(input.name) === input.value;
  show();
}

function keep() {
  const address = show();
  history.pushState(null, "", address ? `#${address}` : location.pathname + location.search);
}

form.addEventListener("change", keep);
form.addEventListener("reset", () => setTimeout(() => { // once it is reset
  keep();
  inputs[0].focus();
}));
form.addEventListener("submit", (event) => event.preventDefault());
addEventListener("popstate", read);
form.hidden = false;
show();
read();
