// The ledger of claims: rows are filtered by verdict, chapter and who says it, and a reader may bet
// before a verdict is shown. Bets are those of the chapters: kept in this browser, by claim.

const ledger = document.querySelector(".nc-ledger");
const choices = JSON.parse(ledger.dataset.choices);
const sources = JSON.parse(ledger.dataset.sources);
const rows = [...ledger.querySelectorAll(".nc-claim")];
const chapters = [...ledger.querySelectorAll("[data-chapter]")];
const VERDICTS = ["holds", "holds in some cases", "does not hold here", "not shown"];

function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// Bets --------------------------------------------------------------------------------------------

const forgotten = new Map(); // where the browser keeps nothing
const keyOf = (row) => `normcourse:answers/prediction-bet-${row.dataset.claim}:1`;

function betOn(row) {
  if (forgotten.has(row)) return forgotten.get(row);
  try {
    const kept = JSON.parse(localStorage.getItem(keyOf(row)));
    return kept?.of === Number(row.dataset.of) && kept.shown && kept.guess >= 0 ? kept.guess : -1;
  } catch {
    return -1;
  }
}

function bet(row, guess) {
  try {
    const kept = { of: Number(row.dataset.of), guess, line: [], shown: true };
    localStorage.setItem(keyOf(row), JSON.stringify(kept));
  } catch {
    forgotten.set(row, guess);
  }
}

let betting = false;

function show(row) {
  const guess = betOn(row), right = Number(row.dataset.right);
  const asks = betting && guess < 0 && right >= 0;
  row.querySelector(".nc-outcome").hidden = asks;
  row.form.hidden = !asks;
  const said = guess === right ? `You bet that ${choices[guess]}: right.` : `You bet that ${choices[guess]}.`;
  row.said.textContent = guess < 0 ? "" : said;
}

function count() {
  const bets = rows.map((row) => [betOn(row), Number(row.dataset.right)]).filter(([guess]) => guess >= 0);
  const right = bets.filter(([guess, answer]) => guess === answer).length;
  score.textContent = bets.length
    ? `You have bet on ${bets.length} of ${rows.length} claims, and were right ${right} times.`
    : "You have not bet yet.";
}

for (const row of rows) {
  const inputs = choices.map((_, i) => make("input", { type: "radio", name: `bet-${row.dataset.claim}`, value: i }));
  const labels = inputs.map((input, i) => make("label", {}, input, ` ${choices[i]}`));
  const button = make("button", { type: "button", textContent: "Show the verdict" });
  const hint = make("span");
  hint.setAttribute("role", "status");
  button.addEventListener("click", () => {
    const guess = inputs.findIndex((input) => input.checked);
    if (guess < 0) {
      hint.textContent = " Choose first.";
      return;
    }
    bet(row, guess);
    show(row);
    count();
    row.said.focus();
  });
  row.form = make("fieldset", { className: "nc-bet" }, make("legend", { textContent: "Your bet" }), ...labels, button, hint);
  row.said = make("p", { className: "nc-said-bet", tabIndex: -1 });
  row.querySelector(".nc-outcome").before(row.form, row.said);
}

// Filters -----------------------------------------------------------------------------------------

function select(label, options) {
  const field = make("select", {}, make("option", { value: "", textContent: "all" }),
    ...options.map(([value, textContent]) => make("option", { value, textContent })));
  field.addEventListener("change", filter);
  fields.append(make("label", {}, `${label} `, field));
  return field;
}

const fields = make("div", { className: "nc-ledger-fields" });
const verdict = select("Verdict", VERDICTS.map((text, i) => [String(i), text]));
const chapter = select("Chapter", chapters.map(({ dataset }) => [dataset.chapter, dataset.chapter]));
const source = select("Said by", [...Object.entries(sources).map(([key, text]) => [key, `${key}: ${text}`]), ["-", "a paper only"]]);
const status = make("p");
status.setAttribute("role", "status");

function filter() {
  for (const row of rows) {
    const { right, said } = row.dataset;
    const place = row.closest("[data-chapter]").dataset.chapter;
    row.hidden =
      (verdict.value && right !== verdict.value) ||
      (chapter.value && place !== chapter.value) ||
      (source.value && !(source.value === "-" ? !said : said.includes(source.value)));
  }
  for (const part of chapters) part.hidden = [...part.querySelectorAll(".nc-claim")].every((row) => row.hidden);
  status.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} claims are shown.`;
}

const toggle = make("button", { type: "button", textContent: "Bet before a verdict is shown" });
toggle.setAttribute("aria-pressed", "false");
toggle.addEventListener("click", () => {
  betting = !betting;
  toggle.setAttribute("aria-pressed", betting);
  rows.forEach(show);
});
const score = make("p", { className: "nc-score" });
score.setAttribute("role", "status");

ledger.querySelector(".nc-ledger-summary").after(
  make("section", { className: "nc-ledger-tools", ariaLabel: "Filter and bet" }, fields, status, toggle, score),
);
rows.forEach(show);
filter();
count();
