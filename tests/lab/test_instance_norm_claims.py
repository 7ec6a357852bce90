"""What the chapter on instance normalization says in a sentence is what its studies stored."""

from pathlib import Path

import pytest

from normcourse.lab.claims import claims

CHAPTER = Path(__file__).parents[2] / "book" / "activations" / "instance_norm.ipynb"


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("own statistics", "the ratio is {} ({} at batches of 4)"),
        ("plain", "without any norm it is {} and {}"),
    ],
)
def test_ratios_of_the_stylizer_are_the_stored_ones(key, said):
    rows = claims()["stylizer_improves"].measure().intervals[key]
    means = [rows[f"batches of {size}"].mean for size in (1, 4)]
    assert said.format(*means) in CHAPTER.read_text("utf-8")
