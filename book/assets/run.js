// Lets code cells be changed and run on the page. Cells say by their tags what they are (see
// book/extensions/normcourse_run.py). Nothing is loaded before the first click; without this
// script the page reads as it is.

const element = document.querySelector("#nc-run");
const settings = JSON.parse(element.textContent);
const address = (path) => new URL(path, document.baseURI).href;
const INDENT = 4;

// An element with properties; what HTML writes with a hyphen, and the role, are attributes.
function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (/-|^role$/.test(name)) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

const button = (text, act, more) =>
  make("button", { type: "button", textContent: text, onclick: act, ...more });

// Python ------------------------------------------------------------------------------------------

const NOBODY = { loading() {}, printed() {} };

class Python {
  #worker;
  #ready;
  #isReady = false;
  #heard = NOBODY; // the run that waits, and what it wants to hear of
  #queue = Promise.resolve();

  // Answers for one run; the others wait for their turn.
  run(request, heard) {
    const turn = this.#queue.then(() => this.#run(request(), heard));
    this.#queue = turn.catch(() => {});
    return turn;
  }

  async #run(request, heard) {
    this.#heard = heard;
    if (!this.#isReady) heard.loading(0);
    await this.#start();
    heard.running();
    const seconds = Number(element.dataset.deadline ?? 10);
    let deadline;
    try {
      return await new Promise((resolve, reject) => {
        Object.assign(heard, { result: resolve, failed: reject });
        deadline = setTimeout(reject, 1000 * seconds, `Stopped after ${seconds} s: the code did not
          come to an end. Is there a loop without end, here or in a task above? What you wrote is
          still there.`);
        this.#worker.postMessage({ run: request });
      });
    } catch (reason) {
      this.#stop();
      this.#start().catch(() => {}); // ready when the learner is
      throw reason;
    } finally {
      clearTimeout(deadline);
    }
  }

  #start() {
    this.#ready ??= new Promise((resolve, reject) => {
      const fail = (reason) => {
        this.#stop();
        reject(`Python could not be loaded: ${reason}. Once more may help.`);
      };
      this.#worker = new Worker(address(settings.worker));
      this.#worker.onerror = (event) => fail(event.message ?? "the address does not answer");
      this.#worker.onmessage = ({ data }) => {
        if (data.ready) {
          this.#worker.onerror = (event) => this.#heard.failed?.(crashed(event.message));
          this.#isReady = true;
          document.documentElement.dataset.ncPython = "loaded";
          resolve();
        } else if (data.loaded) this.#heard.loading(data.loaded / settings.bytes);
        else if (data.printed) this.#heard.printed(data.printed);
        else if (data.result) this.#heard.result(data.result);
        else if (this.#heard.failed) this.#heard.failed(crashed(data.failed));
        else fail(data.failed);
      };
      const paths = ["pyodide", "package", "digits"].filter((name) => settings[name]);
      const start = Object.fromEntries(paths.map((name) => [name, address(settings[name])]));
      this.#worker.postMessage({ start });
    });
    return this.#ready;
  }

  #stop() {
    this.#worker?.terminate();
    this.#worker = this.#ready = undefined;
    this.#isReady = false;
    this.#heard = NOBODY;
  }
}

const crashed = (reason) =>
  `Python ended (${reason}) and was started again. Too deep a recursion, or too large an array?`;

// What is kept in the browser ---------------------------------------------------------------------

// {code, reports: by cell name; state: of the session; scoreboard}
const EMPTY = { code: {}, reports: {}, state: {}, scoreboard: "" };

class Store {
  #key = `normcourse:${settings.name}:1`;
  #data = EMPTY;
  works = true;

  constructor() {
    this.change(() => {}); // a full or forbidden storage is found out now
  }

  read() {
    if (!this.works) return this.#data;
    try {
      const stored = Object.entries(JSON.parse(localStorage.getItem(this.#key)) ?? {});
      const fit = stored.filter(([part, value]) => value && typeof value === typeof EMPTY[part]);
      return { ...structuredClone(EMPTY), ...Object.fromEntries(fit) };
    } catch {
      return structuredClone(this.#data);
    }
  }

  // Read before each change: another tab may have written.
  change(edit) {
    this.#data = this.read();
    edit(this.#data);
    try {
      localStorage.setItem(this.#key, JSON.stringify(this.#data));
    } catch {
      this.works = false;
      document.documentElement.dataset.ncKeeps = "nothing";
    }
  }
}

// Reports come as HTML, also out of the storage, which other pages of the host may write to: only
// what a report is made of is taken from it.
const PARTS = new Set("SECTION H3 H4 P TABLE THEAD TBODY TR TH TD".split(" "));

function report(html) {
  const copy = (node) => {
    if (node.nodeType === Node.TEXT_NODE) return node.data;
    if (!PARTS.has(node.tagName)) return "";
    const made = document.createElement(node.tagName);
    for (const name of ["class", "scope"]) {
      if (node.hasAttribute(name)) made.setAttribute(name, node.getAttribute(name));
    }
    made.append(...[...node.childNodes].map(copy));
    return made;
  };
  return [...new DOMParser().parseFromString(html, "text/html").body.childNodes].map(copy);
}

// Editor ------------------------------------------------------------------------------------------

// A text area that knows Python's indentation. Tab is left to the browser: it moves on.
class Editor {
  constructor(label, text, changed, run) {
    this.lines = make("div", { className: "nc-lines", "aria-hidden": "true" });
    this.area = make("textarea", {
      "aria-label": label,
      "aria-describedby": "nc-keys",
      autocapitalize: "off",
      autocomplete: "off",
      autocorrect: false,
      spellcheck: false,
      wrap: "off",
    });
    this.root = make("div", { className: "nc-editor" }, this.lines, this.area);
    this.area.value = text;
    this.area.addEventListener("input", () => {
      this.#fit();
      changed(this.area.value);
    });
    this.area.addEventListener("keydown", (event) => this.#key(event, run));
    this.#fit();
  }

  get text() {
    return this.area.value;
  }

  set text(text) {
    this.area.select();
    this.#type(text);
  }

  #fit() {
    const count = this.text.split("\n").length;
    this.area.rows = count;
    this.lines.textContent = Array.from({ length: count }, (_, i) => i + 1).join("\n");
  }

  // As if typed: the browser's own undo takes it back.
  #type(text) {
    this.area.focus();
    const done = document.execCommand(text ? "insertText" : "delete", false, text);
    if (done) return;
    this.area.setRangeText(text, this.area.selectionStart, this.area.selectionEnd, "end");
    this.area.dispatchEvent(new Event("input"));
  }

  #key(event, run) {
    if (event.isComposing || event.altKey) return;
    const control = event.ctrlKey || event.metaKey;
    const { selectionStart: start, selectionEnd: end } = this.area;
    const line = this.text.slice(this.text.lastIndexOf("\n", start - 1) + 1, start);
    if (control && event.key === "Enter") run();
    else if (control && (event.key === "]" || event.key === "[")) this.#shift(event.key === "]");
    else if (event.key === "Enter" && !control && !event.shiftKey) {
      const deeper = /:\s*(#.*)?$/.test(line) ? INDENT : 0;
      this.#type("\n" + " ".repeat(/^ */.exec(line)[0].length + deeper));
    } else if (event.key === "Backspace" && !control && start === end && /^ +$/.test(line)) {
      this.area.setSelectionRange(start - ((line.length - 1) % INDENT) - 1, start);
      this.#type("");
    } else return;
    event.preventDefault();
  }

  #shift(right) {
    const { selectionStart: start, selectionEnd: end } = this.area;
    const from = this.text.lastIndexOf("\n", start - 1) + 1;
    const next = this.text.indexOf("\n", Math.max(end - (end > start ? 1 : 0), from));
    const to = next < 0 ? this.text.length : next;
    const lines = this.text.slice(from, to).split("\n");
    const shifted = lines.map((line) =>
      right ? (line ? " ".repeat(INDENT) + line : line) : line.replace(/^ {1,4}/, ""),
    );
    this.area.setSelectionRange(from, to);
    this.#type(shifted.join("\n"));
    const first = shifted[0].length - lines[0].length;
    const caret = Math.max(from, start + first);
    if (start === end) this.area.setSelectionRange(caret, caret);
    else this.area.setSelectionRange(from, from + shifted.join("\n").length);
  }
}

// A cell that runs --------------------------------------------------------------------------------

const sourceOf = (cell) => cell.querySelector(".cell_input pre").textContent.replace(/\n$/, "");

class Cell {
  constructor(cell, check, number) {
    this.stub = sourceOf(cell);
    this.check = check && sourceOf(check);
    this.name = (check && /^(?:def|class)\s+(\w+)/m.exec(this.stub)?.[1]) ?? `cell ${number}`;
    const label = check ? `Your code: ${this.name}` : `Code to try: ${this.name}`;
    const { code, reports } = store.read();

    this.editor = new Editor(
      label,
      code[this.name] ?? this.stub,
      (text) => this.#changed(text),
      () => this.run(),
    );
    this.button = button(check ? "Run and check" : "Run it here", () => this.run(), {
      className: "nc-run",
    });
    this.reset = button("Reset", () => this.#reset());
    this.undo = button("Undo reset", () => this.#undo(), { hidden: true });
    this.status = make("p", { className: "nc-status", role: "status" });
    this.bar = make("progress", { max: 1, value: 0, "aria-label": "Python is loading" });
    this.share = make("span");
    this.progress = make("div", { className: "nc-progress", hidden: true }, this.bar, this.share);
    this.output = make("div", {
      className: "nc-output",
      hidden: true,
      tabIndex: 0, // it scrolls
      role: "region",
      "aria-label": `Output: ${this.name}`,
    });
    this.report = make("div", { className: "nc-report" });
    const cost = make("span", {
      className: "nc-cost",
      textContent: `loads Python, about ${settings.megabytes} MB, once`,
    });
    this.root = make(
      "section",
      { className: "nc-cell", "aria-label": check ? `Exercise ${this.name}` : label },
      this.editor.root,
      make("div", { className: "nc-actions" }, this.button, this.reset, this.undo, cost),
      this.progress,
      this.status,
      this.output,
      this.report,
    );
    if (check) {
      const invitation = report(check.querySelector(".nc-check").outerHTML);
      const summary = make("summary", { textContent: "The task in one sentence" });
      this.invitation = make("details", {}, summary, ...invitation);
      const style = check.querySelector("style");
      if (style && !document.head.querySelector("style.nc-report-style")) {
        document.head.append(Object.assign(style, { className: "nc-report-style" }));
      }
      this.#show(reports[this.name]);
      check.remove();
      cell.replaceWith(this.root);
    } else {
      cell.querySelector(".cell_input").replaceWith(this.root);
      this.stored = cell.querySelector(".cell_output");
      // A stored report is about the functions that nobody had written.
      if (this.stored?.querySelector(".nc-check")) this.stored.hidden = true;
    }
  }

  #show(kept) {
    this.report.replaceChildren(...(kept ? report(kept.html) : [this.invitation]));
    this.checked = kept?.code;
    this.verdict = `${kept?.title ?? ""}`.replace(/^[^:]+: (.)/, (_, first) => first.toUpperCase());
    this.#say(this.verdict);
    this.#aged();
  }

  // A report is about the code that was checked.
  #aged(failed = false) {
    const old = this.checked !== undefined && (failed || this.checked !== this.editor.text);
    this.root.classList.toggle("nc-aged", old);
    if (this.checked !== undefined && !failed) {
      this.#say(old ? "Changed since the last check." : this.verdict);
    }
  }

  #changed(text) {
    this.undo.hidden = true;
    store.change(({ code }) => {
      if (text === this.stub) delete code[this.name];
      else code[this.name] = text;
    });
    this.#aged();
  }

  #reset() {
    const before = this.editor.text;
    if (before === this.stub) return;
    this.editor.text = this.stub;
    this.before = before;
    this.undo.hidden = false;
    this.status.textContent = "Reset. Undo brings back what you wrote.";
    this.undo.focus();
  }

  #undo() {
    this.editor.text = this.before;
    this.undo.hidden = true;
  }

  #say(text) {
    this.status.textContent = text.replace(/\s+/g, " ");
  }

  #print(entries) {
    this.output.hidden = false;
    for (const [where, text] of entries) {
      const last = this.output.lastElementChild;
      if (last?.where === where) last.querySelector("pre").append(text);
      else {
        const line = make("div", { where }, make("pre", { textContent: text }));
        if (where) line.prepend(make("span", { textContent: where }));
        this.output.append(line);
      }
    }
  }

  async run() {
    if (this.busy) return;
    this.busy = true;
    this.button.setAttribute("aria-disabled", "true");
    this.output.replaceChildren();
    this.output.hidden = true;
    this.#say("Waiting for Python.");
    this.root.classList.remove("nc-aged");
    const code = this.editor.text;
    const heard = {
      loading: (share) => {
        this.progress.hidden = false;
        this.bar.value = Math.min(share, 1);
        const percent = Math.floor(100 * share);
        this.share.textContent = percent < 100 ? `Loading Python: ${percent} %` : "Python starts";
      },
      running: () => {
        this.progress.hidden = true;
        this.#say("Running.");
      },
      printed: (entries) => this.#print(entries),
    };
    try {
      this.#finish(await python.run(() => this.#request(code), heard), code);
    } catch (reason) {
      this.#say(String(reason));
      this.#aged(true);
    }
    this.progress.hidden = true;
    this.busy = false;
    this.button.removeAttribute("aria-disabled");
  }

  #request(code) {
    const above = cells.slice(0, cells.indexOf(this));
    return {
      before: [
        { name: "setup", source: setup },
        ...above.map(({ name, editor }) => ({ name, source: editor.text })),
      ],
      cell: { name: this.name, source: code },
      check: this.check ?? null,
      scoreboard: scoreboard?.source ?? null,
      state: store.read().state,
    };
  }

  #finish({ error, html, text, title, cut, state, scoreboard: board }, code) {
    if (this.stored) this.stored.hidden = true;
    if (cut) this.#print([["", `... and ${cut} more characters`]]);
    if (text) this.#print([["", text]]);
    if (error) {
      this.#print([["", error]]);
      this.#say(`${this.check ? "Not checked: the code" : "The code"} ended with an error.`);
      this.#aged(true);
    } else if (!this.check) this.#say(this.output.hidden ? "Done. Nothing was printed." : "Done.");
    store.change((kept) => {
      if (html && this.check) kept.reports[this.name] = { html, title, code };
      Object.assign(kept, { state, scoreboard: board ?? "" });
    });
    if (html) this.#show({ html, title, code });
    scoreboard?.show();
  }
}

// The page ----------------------------------------------------------------------------------------

class Scoreboard {
  constructor(cell) {
    this.source = sourceOf(cell);
    const nothingYet = report(cell.querySelector(".nc-check").outerHTML);
    this.place = make("div", { className: "nc-report" }, ...nothingYet);
    cell.replaceWith(
      make(
        "section",
        { className: "nc-cell nc-scoreboard", "aria-label": "Points" },
        this.place,
        make(
          "div",
          { className: "nc-actions" },
          button("Download notebook", () => downloadNotebook()),
          button("Download .py", () => download(".py", pythonFile())),
        ),
        make("p", {
          className: "nc-kept",
          textContent: "What you write stays in this browser, on this machine.",
        }),
      ),
    );
    this.show();
  }

  show() {
    const { scoreboard } = store.read();
    if (scoreboard) this.place.replaceChildren(...report(scoreboard));
  }
}

function download(ending, text) {
  const link = make("a", { download: settings.name.split("/").at(-1) + ending });
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// The notebook as it is in the course, with what was written; its old outputs no longer fit.
async function downloadNotebook() {
  const notebook = await (await fetch(address(settings.notebook))).json();
  const written = cells.map(({ editor }) => editor.text);
  for (const cell of notebook.cells.filter((cell) => cell.cell_type === "code")) {
    Object.assign(cell, { outputs: [], execution_count: null });
    const editable = cell.metadata.tags?.some((tag) => tag === "stub" || tag === "try");
    if (editable) cell.source = written.shift().match(/.*\n|.+$/g) ?? [];
  }
  download(".ipynb", JSON.stringify(notebook, null, 1) + "\n");
}

// Cells as Jupytext and editors mark them: a mistake in one does not spoil the others.
function pythonFile() {
  const sources = [setup, ...cells.map(({ editor }) => editor.text)];
  const asCell = (source) => `# %%\n${source.replace(/^# ?%%/gm, "#  %%").trimEnd()}\n`;
  return sources.map(asCell).join("\n");
}

const python = new Python();
const store = new Store();
const setupCell = document.querySelector("div.cell.tag_setup");
const setup = setupCell ? sourceOf(setupCell) : "import numpy as np";
const cells = [];
for (const cell of document.querySelectorAll("div.cell.tag_stub, div.cell.tag_try")) {
  const next = cell.nextElementSibling;
  const check = next?.matches("div.cell.tag_check") ? next : null;
  cells.push(new Cell(cell, check, cells.length + 1));
}
const board = document.querySelector("div.cell.tag_scoreboard");
const scoreboard = board && new Scoreboard(board);

const keys = "Ctrl+Enter runs, Ctrl+] and Ctrl+[ shift lines, Tab moves on.";
cells[0]?.root.before(
  make("p", { className: "nc-keys", id: "nc-keys", textContent: keys }),
  make("p", {
    className: "nc-keeps-nothing",
    textContent: "This browser keeps nothing for this page: download what you want to keep.",
  }),
);
