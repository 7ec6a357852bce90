"""Source as a chapter shows it: no docstrings, no annotations, everything else as it stands."""

import ast
import importlib
import inspect

import pytest

import normcourse
from normcourse import core
from normcourse.lab.source import WIDTH, bare, show_source
from normcourse.palette import ACCENT

SOURCE = '''
class Layer(Base):
    """What it is."""

    def forward(self, x: Array, *rest: int, eps: float = 1e-5, **more: str) -> Array:
        """What it does.

        More of it.
        """

        # A comment stays.
        return x + eps  # and this one

    def later(self) -> None:
        """Nothing yet."""
'''


def test_docstrings_and_annotations_are_left_out():
    assert bare(SOURCE).strip() == (
        "class Layer(Base):\n"
        "    def forward(self, x, *rest, eps=1e-05, **more):\n"
        "        # A comment stays.\n"
        "        return x + eps  # and this one\n\n"
        "    def later(self):\n"
        "        ..."
    )


def test_what_is_shown_is_what_runs():
    """The shown source, executed in the module's names, computes the same."""
    import numpy as np

    names = dict(vars(normcourse.batch_norm.__globals__["core"]))
    namespace = {**names, **normcourse.batch_norm.__globals__, "core": core}
    exec(show_source(normcourse.batch_norm).source, namespace)
    x = np.random.default_rng(0).normal(size=(5, 3))
    assert np.array_equal(namespace["batch_norm"](x), normcourse.batch_norm(x))


def test_long_headers_are_broken():
    shown = show_source(normcourse.batch_norm_inference_backward, core.channels_backward).source
    headers = [line for line in shown.splitlines() if line.startswith("def")]
    assert all(len(line) <= WIDTH for line in headers)
    ast.parse(shown)
    assert '"""' not in shown
    assert '"""' in show_source(core.standardize, whole=True).source


def public_functions():
    """Those of all techniques, and of core; the scalers' source is not shown."""
    for name in ("core", *(ACCENT.keys() - {"rescaling"})):
        module = importlib.import_module(f"normcourse.{name}")
        public = (getattr(module, key) for key in module.__all__)
        yield from filter(inspect.isfunction, public)


@pytest.mark.parametrize("function", sorted(set(public_functions()), key=lambda f: f.__name__))
def test_shown_source_fits_the_column(function):
    lines = bare(inspect.getsource(function)).splitlines()
    assert [line for line in lines if len(line) > WIDTH] == []
