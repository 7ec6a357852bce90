"""What the course has of each technique: a table whose cells are links.

It looks for each part where it would be: a section of a chapter by how its
heading begins, functions and classes by name, tests and exercises by file.
What is missing stops the build.
"""

import json
import re
import tomllib
from pathlib import Path

from sphinx.util.docutils import SphinxDirective

from normcourse.exercises.session import EXERCISES

BOOK = Path(__file__).parents[1]
CLAIM = "application/vnd.normcourse.claim+json"
NN, UTILS = "normcourse.nn", "normcourse.nn.utils.parametrizations"
SCALERS = "normcourse.preprocessing"
# Name, the file it has everywhere, its function, its class.
TECHNIQUES = (
    ("Min-max", "rescaling", "min_max_scale", f"{SCALERS}.MinMaxScaler"),
    (
        "Standardization",
        "rescaling",
        "standard_scale",
        f"{SCALERS}.StandardScaler",
    ),
    ("Batch", "batch_norm", "batch_norm", f"{NN}.BatchNorm2d"),
    ("Layer", "layer_norm", "layer_norm", f"{NN}.LayerNorm"),
    ("Instance", "instance_norm", "instance_norm", f"{NN}.InstanceNorm2d"),
    ("Group", "group_norm", "group_norm", f"{NN}.GroupNorm"),
    ("RMS", "rms_norm", "rms_norm", f"{NN}.RMSNorm"),
    ("Weight", "weight_norm", "weight_norm", f"{UTILS}.weight_norm"),
    (
        "Spectral",
        "spectral_norm",
        "spectral_norm",
        f"{UTILS}.spectral_norm",
    ),
    ("Divisive", "divisive_norm", "divisive_norm", f"{NN}.DivisiveNorm"),
    (
        "Switchable",
        "switchable_norm",
        "switchable_norm",
        f"{NN}.SwitchableNorm2d",
    ),
)


def setup(app):
    app.add_directive("normcourse-parts", Parts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class Parts(SphinxDirective):
    """The table as Markdown: a link that leads nowhere stops the build."""

    def run(self):
        rows = [
            (name, dict(parts(*technique)))
            for name, *technique in TECHNIQUES
        ]
        heads = list(rows[0][1])
        lines = [
            f"| Norm | {' | '.join(heads)} |",
            "|---" * (1 + len(heads)) + "|",
        ]
        for name, cells in rows:
            row = " | ".join(cells[head] for head in heads)
            lines.append(f"| **{name}** | {row} |")
        (table,) = self.parse_text_to_nodes("\n".join(lines))
        table["classes"].append("nc-parts")
        return [table]


def parts(file, function, module):
    """(head, cell) for each of the twelve parts of a technique."""
    (chapter,) = BOOK.glob(f"[!e]*/{file}.ipynb")
    cells = json.loads(chapter.read_text(encoding="utf-8"))["cells"]

    def section(*beginnings, text="✓"):
        """A link to the first heading with one of these beginnings."""
        place = anchor(cells, beginnings)
        return f"[{text}](../{chapter.relative_to(BOOK)}#{place})"

    claims = sum(
        len(output["data"][CLAIM])
        for cell in cells
        for output in cell.get("outputs", ())
        if CLAIM in output.get("data", {})
    )
    checks = tomllib.loads(
        chapter.with_suffix(".checks.toml").read_text(encoding="utf-8")
    )
    names = {m.name for e in EXERCISES[file] for m in e.mistakes}
    exercise = f"../exercises/{file}.ipynb"
    test = f"../../tests/test_{file}.py"
    yield "Forward", section("The forward pass", "Two scalers")
    yield "Backward", section("The backward pass")
    yield "Function", f"{{py:obj}}`✓ <normcourse.{function}>`"
    yield "Module", f"{{py:obj}}`✓ <{module}>`"
    yield "Parity", section("The implementation")
    yield "Playground", section("Playground")
    yield "Claims", section("Claims", text=claims)
    yield (
        "Quick checks",
        section("Quick checks", text=len(checks["question"])),
    )
    yield "Exercise", f"[✓]({exercise})"
    yield "Mistakes", f"[{len(names)}]({exercise})"
    yield "Pitfalls", section("Pitfalls", "When to use it")
    yield "Hard inputs", f"{{download}}`✓ <{test}>`"


def anchor(cells, beginnings):
    """The anchor of the first heading that begins so, as MyST makes it."""
    for cell in cells:
        if cell["cell_type"] == "markdown":
            for head in re.findall(
                r"^#+ (.+)$", "".join(cell["source"]), re.MULTILINE
            ):
                if head.startswith(beginnings):
                    kept = re.sub(r"[^\w\s-]", "", head.lower())
                    return kept.strip().replace(" ", "-")
    raise ValueError(f"no heading begins with {' or '.join(beginnings)}")
