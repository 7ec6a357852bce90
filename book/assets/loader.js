// Draws the widgets of a notebook on its static page, from the state stored in the notebook.
// It knows anywidgets only: their JavaScript travels in the state, so no other host is asked.
// What a reader answers is kept in this browser, and nowhere else.

const STATE = 'script[type="application/vnd.jupyter.widget-state+json"]';
const VIEW = 'script[type="application/vnd.jupyter.widget-view+json"]';

const decode = {
  base64: (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0)),
  hex: (text) => Uint8Array.from(text.match(/../g) ?? [], (byte) => parseInt(byte, 16)),
};

// Binary traits are stored beside the state, with the path where they belong.
function attributes({ state, buffers = [] }) {
  for (const { path, data, encoding } of buffers) {
    const parent = path.slice(0, -1).reduce((node, key) => node[key], state);
    parent[path.at(-1)] = new DataView(decode[encoding](data).buffer);
  }
  return state;
}

// By kind of widget: what is kept, and the question it answers. One that was changed is a new one.
const KEPT = {
  quickcheck: {
    traits: ["answers"],
    asks: ({ questions }) => questions.flatMap(({ ask, choice }) => [ask, ...choice.map(({ text }) => text)]),
  },
  prediction: {
    traits: ["guess", "line", "shown"],
    asks: ({ title, choices, axis }) => [title, ...choices, ...(axis.label ? [axis.label, ...(axis.over ?? [])] : [])],
  },
};

// As fingerprint of normcourse.lab.claims.ledger.
const fingerprint = (texts) =>
  [...texts.join("\n")].reduce((sum, character) => (31 * sum + character.codePointAt(0)) % 2147483647, 7);

class Kept {
  constructor(id, state) {
    const kind = KEPT[id.split("-")[0]];
    this.key = kind && `normcourse:answers/${id}:1`;
    this.traits = kind?.traits ?? [];
    this.of = kind && fingerprint(kind.asks(state));
  }

  read() {
    try {
      const { of, ...kept } = JSON.parse(localStorage.getItem(this.key)) ?? {};
      return of === this.of ? kept : {};
    } catch {
      return {}; // forbidden, or not ours
    }
  }

  write(state) {
    const kept = Object.fromEntries(this.traits.map((name) => [name, state[name]]));
    try {
      if (this.key) localStorage.setItem(this.key, JSON.stringify({ of: this.of, ...kept }));
    } catch {
      // The page works without.
    }
  }
}

// The part of a Backbone model that anywidget promises to a widget, without a kernel behind it.
class Model {
  #listeners = new Map();

  constructor(id, state) {
    this.kept = new Kept(id, state);
    this.state = { ...state, ...this.kept.read() };
  }

  get(name) {
    return this.state[name];
  }

  set(name, value) {
    if (this.state[name] === value) return;
    this.state[name] = value;
    this.#emit(`change:${name}`, this, value);
    this.#emit("change", this);
  }

  save_changes() {
    this.kept.write(this.state);
  }

  on(events, callback) {
    for (const event of events.split(" ")) {
      this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), callback]);
    }
  }

  off(event, callback) {
    if (event == null) this.#listeners.clear();
    else {
      const kept = (this.#listeners.get(event) ?? []).filter((other) => callback && other !== callback);
      this.#listeners.set(event, kept);
    }
  }

  send() {}

  #emit(event, ...details) {
    for (const callback of this.#listeners.get(event) ?? []) callback(...details);
  }
}

const once = (create) => {
  const made = new Map();
  return (key) => made.get(key) ?? made.set(key, create(key)).get(key);
};

const load = once((source) => import(URL.createObjectURL(new Blob([source], { type: "text/javascript" }))));

const addStyle = once((css) => {
  const style = document.createElement("style");
  style.textContent = css;
  return document.head.appendChild(style);
});

async function draw(script, modelOf) {
  const { model, widget } = await modelOf(JSON.parse(script.textContent).model_id);
  const place = script.parentElement;
  const el = document.createElement("div");
  script.replaceWith(el);
  await widget.render?.({ model, el });
  place.style.minHeight = "";
}

async function start() {
  const state = JSON.parse(document.querySelector(STATE)?.textContent ?? '{"state": {}}').state;
  const modelOf = once(async (id) => {
    const stored = state[id];
    if (stored?.model_module !== "anywidget") {
      throw new Error(`only anywidgets can be drawn without a kernel, not ${stored?.model_name ?? id}`);
    }
    const model = new Model(id, attributes(stored));
    if (model.get("_css")) addStyle(model.get("_css"));
    const module = await load(model.get("_esm"));
    const widget = typeof module.default === "function" ? await module.default() : module.default;
    await widget.initialize?.({ model });
    return { model, widget };
  });
  for (const script of document.querySelectorAll(VIEW)) {
    draw(script, modelOf).catch((error) => console.error("A widget was not drawn:", error));
  }
}

start();
