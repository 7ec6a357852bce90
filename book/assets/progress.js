// The way so far: what this browser keeps of quick checks, predictions, bets and exercises, beside
// what there is (book/extensions/normcourse_progress.py). Nothing leaves the browser.

const place = document.querySelector("#nc-progress");
const contents = JSON.parse(document.querySelector("#nc-contents").textContent);
const OURS = /^normcourse:(answers|exercises)\/[\w-]+:1$/;

function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (/-|^role$|^scope$/.test(name)) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

const button = (textContent, onclick, more) => make("button", { type: "button", textContent, onclick, ...more });

// What is kept ------------------------------------------------------------------------------------

let works = true;
try {
  localStorage.setItem("normcourse:try", "1");
  localStorage.removeItem("normcourse:try");
} catch {
  works = false; // a full or forbidden storage is found out now
}

function read(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}

function everything() {
  try {
    const keys = Object.keys(localStorage).filter((key) => OURS.test(key)).sort();
    return Object.fromEntries(keys.map((key) => [key, read(key)]).filter(([, value]) => value));
  } catch {
    works = false;
    return {};
  }
}

function write(kept) {
  try {
    for (const key of Object.keys(everything())) localStorage.removeItem(key);
    for (const [key, value] of Object.entries(kept)) localStorage.setItem(key, JSON.stringify(value));
  } catch {
    works = false;
  }
}

function wayOf(page) {
  const answers = ({ key, of }) => {
    const kept = read(key);
    return kept?.of === of ? kept : null;
  };
  const way = { checks: [0, 0], predictions: [0, 0], points: [0, 0], bets: 0, right: 0 };
  for (const check of page.checks) {
    const given = answers(check)?.answers ?? {};
    way.checks[1] += check.right.length;
    way.checks[0] += check.right.filter((right, i) => given[i] === right).length;
  }
  for (const prediction of page.predictions) {
    const kept = answers(prediction);
    const made = kept?.shown && (kept.guess >= 0 || kept.line?.length > 0);
    way.predictions[1] += 1;
    way.predictions[0] += Number(Boolean(made));
    if (made && prediction.bet) {
      way.bets += 1;
      way.right += Number(kept.guess === prediction.right);
    }
  }
  const best = (page.kept && read(page.kept)?.state?.best) ?? {};
  for (const [task, points] of Object.entries(page.points)) {
    way.points[1] += points;
    way.points[0] += Math.min(points, Number(best[task]) || 0);
  }
  return way;
}

const isDone = ({ checks, points }) => checks[0] === checks[1] && points[0] === points[1];

// The table, and what is next ---------------------------------------------------------------------

const next = make("p", { className: "nc-next" });
const body = make("tbody");
const heads = ["Page", "Quick checks", "Predictions", "Points"];
const table = make("table", { className: "nc-progress-table" },
  make("thead", {}, make("tr", {}, ...heads.map((textContent) => make("th", { scope: "col", textContent })))), body);
const bets = make("p");
const status = make("p", { role: "status", className: "nc-kept-status" });

function draw() {
  const ways = contents.map((page) => [page, wayOf(page)]);
  body.replaceChildren(...ways.map(([page, way]) => make("tr", {},
    make("th", { scope: "row" }, make("a", { href: page.link, textContent: page.title })),
    ...["checks", "predictions", "points"].map((kind) => {
      const [got, all] = way[kind];
      const share = all ? `${got} of ${all}` : "";
      return make("td", { className: all && got === all ? "nc-full" : "" }, share, all && got === all ? " ✓" : "");
    }))));
  const open = ways.find(([, way]) => !isDone(way));
  next.replaceChildren(...(open
    ? [ways.some(([, way]) => way.checks[0] + way.points[0] + way.predictions[0]) ? "Next: " : "Begin with ",
       make("a", { href: open[0].link, textContent: open[0].title }), "."]
    : ["All pages are done."]));
  const made = ways.reduce((sum, [, way]) => sum + way.bets, 0);
  const right = ways.reduce((sum, [, way]) => sum + way.right, 0);
  bets.textContent = made ? `In the chapters you bet on ${made} claims, and were right ${right} times.` : "";
  const needed = ways.filter(([page]) => page.counts);
  certify(needed.filter(([, way]) => !isDone(way)).length, needed);
  everything();
  if (!works) status.textContent = "This browser keeps nothing for this site, so there is nothing to sum up.";
}

// Out, in, away -----------------------------------------------------------------------------------

function save() {
  const text = JSON.stringify({ normcourse: 1, kept: everything() }, null, 1) + "\n";
  const link = make("a", { download: "normcourse-progress.json" });
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// What is here stays; what the file has besides, comes to it. Of points the better ones count.
function merge(mine, theirs) {
  const merged = { ...mine };
  for (const [key, value] of Object.entries(theirs)) {
    const old = merged[key];
    if (!old) merged[key] = value;
    else if (key.startsWith("normcourse:exercises/")) merged[key] = exercise(old, value);
    else if (old.of === value.of) {
      merged[key] = { ...value, ...old };
      if (old.answers) merged[key].answers = { ...value.answers, ...old.answers };
      else if (!old.shown) merged[key] = value;
    } else merged[key] = old;
  }
  return merged;
}

function exercise(old, other) {
  const best = { ...other.state?.best };
  for (const [task, points] of Object.entries(old.state?.best ?? {})) best[task] = Math.max(points, best[task] ?? 0);
  return {
    ...other,
    ...old,
    code: { ...other.code, ...old.code },
    reports: { ...other.reports, ...old.reports },
    state: { failures: {}, ...other.state, ...old.state, best },
  };
}

function fromSession({ best = {} }) {
  const kept = {};
  for (const page of contents.filter(({ kept: key }) => key)) {
    const tasks = Object.keys(page.points).filter((task) => Number(best[task]) > 0);
    if (tasks.length) {
      const points = Object.fromEntries(tasks.map((task) => [task, Math.min(Number(best[task]), page.points[task])]));
      kept[page.kept] = { state: { failures: {}, best: points } };
    }
  }
  return kept;
}

async function load(file) {
  let found;
  try {
    found = JSON.parse(await file.text());
  } catch {
    found = null;
  }
  const isObject = (value) => value && typeof value === "object" && !Array.isArray(value);
  if (found?.normcourse !== 1 || !(isObject(found.kept) || isObject(found.session))) {
    status.textContent = `${file.name} is no file of this course. Import reads what Export wrote, or save_points("points.json") in a notebook.`;
    return;
  }
  const entries = isObject(found.kept) ? Object.entries(found.kept) : Object.entries(fromSession(found.session));
  const fit = entries.filter(([key, value]) => OURS.test(key) && isObject(value));
  change(merge(everything(), Object.fromEntries(fit)), `Brought in ${fit.length} parts from ${file.name}.`);
}

let before;
function change(kept, text) {
  before = everything();
  write(kept);
  draw();
  status.textContent = text;
  undo.hidden = false;
}

const chooser = make("input", { type: "file", accept: ".json,application/json", hidden: true });
chooser.addEventListener("change", async () => {
  if (chooser.files.length) await load(chooser.files[0]);
  chooser.value = "";
});
const undo = button("Undo", () => {
  write(before);
  undo.hidden = true;
  draw();
  status.textContent = "As it was before.";
  reset.focus();
}, { hidden: true });
const reset = button("Reset", () => {
  change({}, "Everything is deleted: answers, bets, points, and the code you wrote. Undo brings it back while this page is open.");
  undo.focus();
});

// The certificate ---------------------------------------------------------------------------------

const missing = make("p");
const name = make("input", { type: "text", autocomplete: "name", id: "nc-name" });
const signed = make("p", { className: "nc-name" });
const facts = make("p");
const certificate = make("section", { className: "nc-certificate", "aria-label": "Certificate" },
  make("p", { className: "nc-certificate-title", textContent: "Normalization in deep learning" }), signed, facts,
  make("p", {
    textContent: "Checked by the course's own questions and tests, in the reader's browser. Nobody watched; this is no proof of authorship.",
  }));
const print = button("Print", () => window.print());
const form = make("div", { className: "nc-certificate-form" }, make("label", { htmlFor: "nc-name", textContent: "Your name " }), name, print);
name.addEventListener("input", () => (signed.textContent = name.value));

function certify(open, needed) {
  const sum = (kind) => needed.reduce((total, [, way]) => total + way[kind][0], 0);
  missing.textContent = open ? `The certificate appears here once all is done: ${open} of ${needed.length} pages are open.` : "";
  certificate.hidden = form.hidden = open > 0;
  const date = new Date().toISOString().slice(0, 10);
  facts.textContent = `By ${date}, ${sum("checks")} quick checks answered rightly and ${sum("points")} points in the exercises on rescaling, batch, layer, instance, group, RMS, weight, spectral, divisive and switchable normalization: all that there are.`;
}

place.append(next,
  make("div", { className: "nc-progress-box", tabIndex: 0, role: "region", "aria-label": "The way so far" }, table), bets,
  make("div", { className: "nc-progress-tools" },
    button("Export", save), button("Import", () => chooser.click()), reset, undo, chooser),
  status, missing, form, certificate);
draw();
window.addEventListener("storage", draw);
