"""How long a chapter takes to read: ``python -m normcourse.lab.reading [notebook ...]``.

200 words a minute, 6 seconds for a line of code that is seen, 30 seconds for a display formula, and
a minute for a card or a playground, half of it for a prediction. What is folded does not count.
"""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Reading", "chapters", "read"]

FOLDED = {"hide-input", "hide-cell", "remove-input", "remove-cell"}
CLAIM = "application/vnd.normcourse.claim+json"
WIDGET = "application/vnd.jupyter.widget-view+json"


@dataclass(frozen=True)
class Reading:
    """What there is to read in a chapter."""

    words: int
    code: int
    formulas: int
    cards: float

    @property
    def minutes(self):
        seconds = 60 * self.words / 200 + 6 * self.code + 30 * self.formulas + 60 * self.cards
        return seconds / 60


def chapters(root="book"):
    """The notebooks that are read as chapters."""
    parts = ("foundations", "activations", "weights", "adaptive", "practice")
    return sorted(path for part in parts for path in Path(root, part).glob("*.ipynb"))


def read(path):
    """What there is to read in the notebook at ``path``."""
    words = code = formulas = cards = 0
    for cell in json.loads(Path(path).read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            prose = re.sub(r"<details.*?</details>", "", source, flags=re.DOTALL)
            formulas += len(re.findall(r"\$\$.*?\$\$", prose, re.DOTALL))
            prose = re.sub(r"\$\$.*?\$\$", " ", prose, flags=re.DOTALL)
            prose = re.sub(r"\]\([^)]*\)", "]", prose)  # addresses are not read
            words += len(re.findall(r"\w+(?:[-'’.]\w+)*", prose))
        elif cell["cell_type"] == "code":
            tags = set(cell["metadata"].get("tags", ()))
            if not tags & FOLDED:
                code += sum(bool(line.strip()) for line in source.splitlines())
            for output in cell.get("outputs", ()):
                data = output.get("data", {})
                if {CLAIM, WIDGET} & data.keys() and "hide-output" not in tags:
                    model = data.get(WIDGET, {}).get("model_id", "")
                    cards += 0.5 if model.startswith("prediction-") else 1
                shown = "".join(data.get("text/markdown", ""))
                code += sum(
                    bool(line.strip()) for line in shown.splitlines() if not line.startswith("```")
                )
    return Reading(words, code, formulas, cards)


def main(paths):
    for path in map(Path, paths or chapters()):
        r = read(path)
        counts = (
            f"{r.words} words, {r.code} lines of code, {r.formulas} formulas, {r.cards:g} cards"
        )
        print(f"{path}: {r.minutes:.0f} minutes ({counts})")


if __name__ == "__main__":
    main(sys.argv[1:])
