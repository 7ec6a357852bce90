"""Questions with feedback on every choice."""

import tomllib
from pathlib import Path

import anywidget
import traitlets

from normcourse.widgets.base import CSS, identity, script

__all__ = ["QuickCheck"]


def _height(question):
    """About how many pixels a question takes beside the text, so that the page does not jump."""
    texts = [question["ask"], *(c["text"] for c in question["choice"])]
    return 115 + sum(30 + 22 * (len(text) // 86) for text in texts)


class QuickCheck(anywidget.AnyWidget):
    """Questions to check oneself with: choose, press Check, read why. Nothing is scored.

    Args:
        path: a TOML file beside the chapter, with ``[[question]]`` tables: ``ask``, and
            ``[[question.choice]]`` tables with ``text``, ``why`` and, for one, ``right = true``.
            Backticks mark code.

    Raises:
        ValueError: a question without exactly one right choice, or a choice without ``why``.
    """

    _esm = script("quickcheck")
    _css = CSS
    title = traitlets.Unicode("Quick checks").tag(sync=True)
    questions = traitlets.List().tag(sync=True)
    answers = traitlets.Dict().tag(sync=True)
    height_hint = traitlets.Int(0).tag(sync=True)

    def __init__(self, path):
        path = Path(path)
        questions = tomllib.loads(path.read_text(encoding="utf-8"))["question"]
        for q in questions:
            right = [c for c in q["choice"] if c.get("right")]
            if len(right) != 1:
                raise ValueError(f"{path.name}: {q['ask']!r} has {len(right)} right choices.")
            for c in q["choice"]:
                if not c.get("why"):
                    raise ValueError(f"{path.name}: choice {c['text']!r} does not say why.")
        key = path.name.split(".")[0]
        super().__init__(
            **identity(self, f"quickcheck-{key}"),
            questions=questions,
            height_hint=sum(map(_height, questions)),
        )

    def __repr__(self):
        asks = "\n".join(f"  {i}. {q['ask']}" for i, q in enumerate(self.questions, 1))
        return f"<QuickCheck: {len(self.questions)} questions>\n{asks}"
