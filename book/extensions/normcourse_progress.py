"""What there is to answer and to solve in the book, for its progress page.

The page that holds ``id="nc-progress"`` gets a list of all pages with
quick checks, predictions or exercises, in the order of the book, and
``progress.js``, which reads beside it what this browser keeps.
"""

import json
from pathlib import Path

import yaml

from normcourse.exercises.session import EXERCISES
from normcourse.lab.claims.ledger import fingerprint

ROOT = Path(__file__).parents[2]
WIDGETS = "application/vnd.jupyter.widget-state+json"
COURSE = ("foundations", "activations", "weights", "adaptive", "exercises")


def setup(app):
    app.connect("html-page-context", adapt_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def adapt_page(app, pagename, templatename, context, doctree):
    body = context.get("body", "")
    if 'id="nc-progress"' not in body:
        return
    found = [
        part | {"link": context["pathto"](name)}
        for name in pages()
        if (part := contents(ROOT / f"{name}.ipynb"))
    ]
    text = json.dumps(found, ensure_ascii=False).replace("<", "\\u003c")
    context["body"] = (
        f'{body}<script type="application/json" id="nc-contents">'
        f"{text}</script>"
    )
    app.add_js_file("progress.js", type="module")
    app.add_css_file("practice.css")


def pages():
    """The pages of the book in its order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return [
        chapter["file"]
        for part in toc["parts"]
        for chapter in part["chapters"]
    ]


def contents(path):
    """What a notebook asks; nothing where it asks nothing."""
    if not path.exists():
        return None
    notebook = json.loads(path.read_text(encoding="utf-8"))
    widgets = notebook["metadata"].get("widgets", {}).get(WIDGETS, {})
    found = {"checks": [], "predictions": [], "points": {}}
    for key, model in widgets.get("state", {}).items():
        state, kept = model["state"], f"normcourse:answers/{key}:1"
        if key.startswith("quickcheck-") and "questions" in state:
            found["checks"].append(checks(kept, state["questions"]))
        if key.startswith("prediction-") and "choices" in state:
            found["predictions"].append(prediction(kept, state))
    folder, name = path.parts[-2], path.stem
    if folder == "exercises":
        found["kept"] = f"normcourse:exercises/{name}:1"
        found["points"] = {
            f"{name}.{e.name}": e.points for e in EXERCISES[name]
        }
    if not any(
        found[kind] for kind in ("checks", "predictions", "points")
    ):
        return None
    found["predictions"].sort(key=lambda part: part["key"])
    heading = "".join(notebook["cells"][0]["source"]).splitlines()[0]
    return found | {
        "title": heading.removeprefix("# "),
        "counts": folder in COURSE and name != "capstone",
    }


def checks(key, questions):
    texts, right = [], []
    for question in questions:
        choices = question["choice"]
        texts += [question["ask"], *(choice["text"] for choice in choices)]
        right.append([bool(c.get("right")) for c in choices].index(True))
    return {"key": key, "of": fingerprint(texts), "right": right}


def prediction(key, state):
    axis, texts = state["axis"], [state["title"], *state["choices"]]
    if axis.get("label"):
        texts += [axis["label"], *axis.get("over", ())]
    return {
        "key": key,
        "of": fingerprint(texts),
        "right": state["right"],
        "bet": "answers/prediction-bet-" in key,
    }
