"""Playground and QuickCheck: what is stored is what the function computes, and both stay live."""

import numpy as np
import pytest
import traitlets

from normcourse.lab.playgrounds import PLAYGROUNDS, batch_norm, geometry
from normcourse.widgets import (
    Choice,
    Grid,
    Histogram,
    Lines,
    Playground,
    Prediction,
    QuickCheck,
    Slider,
    Table,
)
from normcourse.widgets.panels import ABSENT, Blocks, number, summary


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1.0, "1"),
        (-3.14159, "−3.14"),
        (0.0123, "0.012"),
        (123.4, "123"),
        (1e-5, "1.00e−5"),
        (2.5e8, "2.50e8"),
        (float("nan"), "undefined"),
        (float("-inf"), "−∞"),
    ],
)
def test_number(value, text):
    assert number(value) == text


def decode(blocks, start, count):
    return np.frombuffer(bytes(blocks), np.uint8)[start : start + count].astype(float)


def test_a_grid_keeps_its_values_to_one_part_in_127():
    values = np.random.default_rng(0).normal(size=(5, 7))
    blocks = Blocks()
    frame = Grid("", values, np.arange(7)).frame(blocks)
    drawn = (decode(blocks, frame["cells"], 35) - 127) / 127 * abs(values).max()
    np.testing.assert_allclose(drawn.reshape(5, 7), values, atol=abs(values).max() / 127)
    np.testing.assert_array_equal(decode(blocks, frame["groups"], 7), np.arange(7))


def test_equal_blocks_are_stored_once():
    blocks = Blocks()
    assert blocks.add(np.arange(5)) == blocks.add(np.arange(5)) == 0
    assert blocks.add(np.arange(4)) == 5


def test_a_histogram_counts_all_finite_values():
    values = np.array([0.0, 1.0, 1.0, np.nan])
    counts, low, high = Histogram("", values, bins=2).counts()
    assert (list(counts), low, high) == ([1, 2], 0, 1)
    assert Histogram("", np.full(3, np.nan)).counts()[0].sum() == 0


def test_lines_leave_a_gap_where_there_is_no_number():
    blocks = Blocks()
    frame = Lines("", {"a": [1, np.nan, 100]}, (1, 100), "x", "y").frame(blocks)
    np.testing.assert_array_equal(decode(blocks, *frame["points"][0]), [0, ABSENT, 254])


def test_the_summary_is_numpys():
    raw, normalized = np.random.default_rng(0).normal(size=(2, 50))
    rows = summary(raw, normalized).rows
    assert rows["median"] == [np.median(raw), np.median(normalized)]
    assert rows["std"] == [np.std(raw), np.std(normalized)]


@pytest.mark.parametrize("key", PLAYGROUNDS)
def test_every_stored_picture_is_the_one_computed_now(key):
    widget = PLAYGROUNDS[key]()
    lengths = [len(c["values"]) for c in widget.controls]
    assert len(widget.frames) == np.prod(lengths)
    rng = np.random.default_rng(0)
    for index in rng.choice(len(widget.frames), min(20, len(widget.frames)), replace=False):
        at = np.unravel_index(index, lengths)
        settings = {c["name"]: c["values"][i] for c, i in zip(widget.controls, at, strict=True)}
        assert_same_picture(widget, settings, widget.frames[index])


def assert_same_picture(widget, settings, stored):
    """Texts as they are, blocks of bytes by their content."""
    blocks = Blocks()
    frames = [panel.frame(blocks) for panel in widget.picture(**settings)]

    def block(data, start, size):
        return bytes(data)[start : start + size]

    for panel, new, old in zip(widget.panels, frames, stored, strict=True):
        assert new.keys() == old.keys()
        sizes = {"cells": np.prod(new.get("shape", 0)), "bars": panel.get("bins")}
        sizes["groups"] = sizes["cells"]
        sizes["ends"] = 4 * (len(panel.get("arrows", ())) + 1)
        for name in new:
            if name in sizes:
                size = int(sizes[name])
                assert block(blocks, new[name], size) == block(widget.data, old[name], size)
            elif name == "points":
                for (a, n), (b, m) in zip(new[name], old[name], strict=True):
                    assert block(blocks, a, n) == block(widget.data, b, m)
            else:
                assert new[name] == old[name]


def tiny(function=np.square, start=None):
    def picture(function, size, sign):
        x = np.arange(1.0, size + 1).reshape(1, -1) * (1 if sign == "+" else -1)
        return [Grid("grid", function(x)), Table("table", ["sum"], {"x": [function(x).sum()]})]

    controls = [Slider("size", "Size", (2, 3), start), Choice("sign", "Sign", ("+", "−"))]
    return Playground("tiny", "Tiny", controls, picture, function)


def test_controls_are_synced_traits():
    widget, seen = tiny(), []
    assert {"size", "sign"} <= set(widget.keys)
    widget.observe(seen.append, "size")
    widget.size = 3
    assert seen[0]["new"] == 3
    assert isinstance(Slider("size", "", (2, 3)).trait(), traitlets.Int)
    assert isinstance(Slider("size", "", (2, 3.5)).trait(), traitlets.Float)


def test_a_setting_outside_the_stored_ones_is_computed():
    widget = tiny()
    assert widget.live == {}
    widget.size = 5
    assert widget.live["settings"] == {"size": 5, "sign": "+"}
    assert widget.live["frame"][1]["entries"] == [["55"]]
    assert widget.live["frame"][0]["shape"] == [1, 5]


def test_a_choice_that_is_none_is_refused():
    with pytest.raises(traitlets.TraitError, match=r"\+"):
        tiny().sign = "x"


def test_the_reader_can_hand_in_a_function():
    widget = tiny()
    before = widget.data
    widget.function = lambda x: -x
    assert widget.data != before
    assert widget.frames[0][1]["entries"] == [["−3"]]
    assert widget.function(2) == -2


def test_a_function_that_fails_changes_nothing():
    widget = tiny()
    before = widget.frames
    with pytest.raises(ZeroDivisionError):
        widget.function = lambda x: 1 / 0
    assert widget.frames is before
    assert widget.function is np.square


def test_running_a_cell_twice_keeps_the_second_widget():
    first = tiny()
    second = tiny()
    assert first.comm is None
    assert second.comm is not None
    assert second.model_id == "playground-tiny"


def test_wrong_controls_are_refused():
    with pytest.raises(ValueError, match=r"size starts at 7"):
        tiny(start=7)
    with pytest.raises(ValueError, match="different names"):
        Playground("x", "", [Slider("a", "", (1,)), Slider("a", "", (2,))], lambda f, a: [])


def test_the_text_form_says_what_it_is():
    assert repr(tiny()) == "<Playground 'Tiny': Size, Sign; 4 pictures>"


def test_eps_outside_the_stored_ones_reaches_the_function():
    widget = batch_norm.playground()
    widget.eps = 0.5
    expected = widget.picture(eps=0.5)[4].frame(Blocks())
    assert widget.live["frame"][4] == expected


# ---- quick checks --------------------------------------------------------------------------

GOOD = """
[[question]]
ask = "How many?"
[[question.choice]]
text = "one"
right = true
why = "Because."
[[question.choice]]
text = "two"
why = "No."
"""


def test_questions_are_read(tmp_path):
    path = tmp_path / "some.checks.toml"
    path.write_text(GOOD)
    check = QuickCheck(path)
    assert check.model_id == "quickcheck-some"
    assert repr(check) == "<QuickCheck: 1 questions>\n  1. How many?"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('why = "No."', "", "'two' does not say why"),
        ("right = true", "", "0 right choices"),
        ('why = "No."', 'why = "No."\nright = true', "2 right choices"),
    ],
)
def test_bad_questions_are_refused(tmp_path, old, new, message):
    path = tmp_path / "some.checks.toml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(ValueError, match=message):
        QuickCheck(path)


def test_a_prediction_places_its_answers_on_the_axis():
    answers = {"raw": 4.0e6, "standardized": 92}
    widget = Prediction("steps", answers, limits=(10, 1e7), label="steps", log=True)
    assert [name for name, _, _ in widget.axis["answers"]] == ["raw", "standardized"]
    _, (_, place, text) = widget.axis["answers"]
    assert place == pytest.approx(np.log10(9.2) / 6, abs=1e-3)
    assert text == "92"
    assert widget.value is None
    widget.guess = 0
    assert widget.value == 10
    assert "steps" in repr(widget)


def test_a_prediction_by_choice():
    widget = Prediction("variance", "below 1", choices=["1", "below 1"])
    assert widget.right == 1
    widget.guess = 0
    assert widget.value == "1"


def test_bad_predictions_are_refused():
    with pytest.raises(ValueError, match="one of the choices"):
        Prediction("bad", "c", choices=["a", "b"])
    with pytest.raises(ValueError, match="limits must hold"):
        Prediction("bad", {"x": 11}, limits=(0, 10))


@pytest.mark.parametrize("technique", ["batch_norm", "rms_norm"])
def test_the_geometry_is_that_of_the_gradient(technique):
    """dx is tangent: orthogonal to xhat, and to the ones where a mean is subtracted."""
    widget = geometry.playground(technique)
    rng = np.random.default_rng(0)
    for _ in range(10):
        settings = {c["name"]: rng.choice(c["values"]).item() for c in widget.controls}
        arrows, *_ = widget.picture(**settings)
        drawn = {name: np.subtract(end, start) for name, (start, end) in arrows.arrows.items()}
        assert abs(drawn["dx"] @ drawn["x̂"]) < 1e-9
        assert np.linalg.norm(drawn["x̂"]) == pytest.approx(arrows.radius)
        kept = np.subtract(arrows.removed[1], drawn["x̂"])
        spread = np.linalg.norm(drawn["x"]) / arrows.radius
        assert drawn["dx"] * spread == pytest.approx(kept)
