"""Playground and QuickCheck: what is stored is what the function computes, and both stay live."""

import numpy as np
import pytest
import torch
import traitlets

import normcourse
from normcourse.lab.playgrounds import (
    PLAYGROUNDS,
    batch_norm,
    divisive_norm,
    geometry,
    layer_norm,
    sharing,
    spectral_norm,
    switchable_norm,
    walkthrough,
    weight_norm,
)
from normcourse.lab.playgrounds.pictures import before_after
from normcourse.palette import ACCENT
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
        (2 - 2**-52, "2"),  # what another processor's rounding makes of 2
        (1.0001, "1.00"),
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
        sizes["pixels"] = 3 * np.prod(panel.get("shape", 0))
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


def test_a_prediction_of_lines():
    widget = Prediction(
        "line", {"a": [0, 0.5], "b": [1, 1]}, limits=(0, 1), over=(2, 32), over_label="batch"
    )
    assert widget.axis["answers"] == [["a", [0, 0.5], ["0", "0.50"]], ["b", [1, 1], ["1", "1"]]]
    assert widget.axis["over"] == ["2", "32"]
    assert widget.value is None
    widget.line = [0, 48]
    assert widget.value == [0, 1]
    assert "a: 0 0.50, b: 1 1" in repr(widget)


def test_bad_predictions_are_refused():
    with pytest.raises(ValueError, match="'a' must have 2 numbers"):
        Prediction("bad", {"a": [0.5]}, limits=(0, 1), over=(2, 32))
    with pytest.raises(ValueError, match="limits must hold"):
        Prediction("bad", {"a": [0.5, 2]}, limits=(0, 1), over=(2, 32))
    with pytest.raises(ValueError, match="one of the choices"):
        Prediction("bad", "c", choices=["a", "b"])
    with pytest.raises(ValueError, match="limits must hold"):
        Prediction("bad", {"x": 11}, limits=(0, 10))


@pytest.mark.parametrize("axes", [(0,), (0, 2), (1, 2), (2,), (0, 1, 2)])
def test_before_and_after_outline_what_shares_a_statistic(axes):
    """Two numbers stand in one outline if they have one place on all axes that are kept."""
    x, y = np.random.default_rng(0).normal(size=(2, 3, 4, 2))
    raw, normalized, before, after, table, note = before_after(x, y, axes, "Look.")
    places = [tuple(np.delete(place, axes)) for place in np.ndindex(x.shape)]
    cells = raw.groups.ravel()
    for i, j in np.ndindex(x.size, x.size):
        assert (cells[i] == cells[j]) == (places[i] == places[j])
    assert np.array_equal(raw.groups, normalized.groups)
    for values, grid, histogram in ((x, raw, before), (y, normalized, after)):
        assert np.array_equal(grid.values, values.reshape(3, 8))
        assert np.array_equal(histogram.values, values)
    assert table.rows["max"] == [x.max(), y.max()]
    assert note.text == "Look."


@pytest.mark.parametrize("block", list(sharing.BLOCKS))
@pytest.mark.parametrize(
    ("technique", "axes"),
    [
        ("batch", (0, 2)),
        ("layer, whole sample", (1, 2)),
        ("layer, each position", (1,)),
        ("instance", (2,)),
        ("RMS, each position", (1,)),
    ],
)
def test_who_shares_a_statistic_is_found_by_changing_a_number(technique, axes, block):
    """Axes of (N, C, positions), as the papers give them; tokens have their features last."""
    panel, note = sharing.picture(None, block, technique, sample=2, row=3, column=1)
    expected = np.zeros(sharing.SHAPE, bool)
    image = block.startswith("image")
    at = (1, 2, 0) if image else (1, 0, 2)
    expected[tuple(slice(None) if axis in axes else at[axis] for axis in range(3))] = True
    assert np.array_equal(panel.shared, expected if image else expected.swapaxes(1, 2))
    assert f"{expected.sum()} of 48" in note.text


def drawn_at_random(widget):
    """(vectors by name, their panels), for ten settings."""
    rng = np.random.default_rng(0)
    for _ in range(10):
        settings = {c["name"]: rng.choice(c["values"]).item() for c in widget.controls}
        panels = widget.picture(**settings)
        arrows = panels[0].arrows
        yield {name: np.subtract(end, start) for name, (start, end) in arrows.items()}, panels


@pytest.mark.parametrize("technique", geometry.CASES)
def test_the_geometry_is_that_of_the_gradient(technique):
    """What comes back is tangent to the circle: orthogonal to what goes in and what goes out."""
    widget = geometry.playground(technique)
    assert widget.accent == ACCENT[technique]
    for drawn, (arrows, *_) in drawn_at_random(widget):
        x, xhat, _, dx = drawn.values()
        assert abs(dx @ xhat) < 1e-9
        assert abs(dx @ x) < 1e-9
        assert np.linalg.norm(xhat) == pytest.approx(arrows.radius)
        kept = np.subtract(arrows.removed[1], xhat)
        assert dx * np.linalg.norm(x) / arrows.radius == pytest.approx(kept)
        assert np.abs([end for _, end in arrows.arrows.values()]).max() < arrows.limit


@pytest.mark.parametrize("technique", ["batch_norm", "layer_norm", "rms_norm"])
def test_only_without_a_mean_the_gradient_sums_to_0(technique):
    widget = geometry.playground(technique)
    sums = [table.rows["dx"][-2] for _, (_, table, _) in drawn_at_random(widget)]
    assert all((s == "0") == (technique != "rms_norm") for s in sums)


def test_a_step_makes_a_weight_longer_as_autograd_has_it():
    widget = geometry.playground("weight_norm")
    for drawn, (_, table, note) in drawn_at_random(widget):
        v, dw = (torch.tensor(drawn[name], requires_grad=True) for name in ("v", "dw"))
        w = 1.5 * v / v.norm()
        (dv,) = torch.autograd.grad(w, v, dw)
        assert drawn["w"] == pytest.approx(w.detach().numpy())
        assert drawn["dv"] == pytest.approx(dv.numpy())
        before, after = v.norm().item(), (v - dv).norm().item()
        assert after > before
        assert table.rows["v − dv"][2] == number(after, 2)
        assert f"from {number(before, 2)} to {number(after, 2)}." in note.text


@pytest.mark.parametrize("technique", geometry.CASES)
def test_the_words_of_the_geometry_are_those_of_the_technique(technique):
    widget = geometry.playground(technique)
    _, table, note = widget.picture()
    told = {
        "batch_norm": "Three samples of one channel share mean and variance",
        "layer_norm": "Three features of one sample share mean and variance",
        "rms_norm": "Two features of one sample share a root mean square",
        "weight_norm": "only g can make w longer",
    }
    assert [name for name, text in told.items() if text in note.text] == [technique]
    assert ("σ" in note.text) == (technique in ("batch_norm", "layer_norm"))
    assert ("sum" in table.columns) == (technique != "weight_norm")


def test_the_walkthrough_ends_where_the_package_does():
    """Steps 8 and 13 are the layer's output and dx, as the functions and autograd have them."""
    for technique, functional, given in (
        ("batch_norm", torch.nn.functional.batch_norm, ("x", None, None)),
        ("layer_norm", torch.nn.functional.layer_norm, ("x", (4,))),
    ):
        every = {name: torch.tensor(matrix) for name, matrix, *_ in walkthrough.steps(technique)}
        x = every["the batch"].requires_grad_()
        gamma, beta = map(torch.tensor, walkthrough.AFFINE[technique])
        more = {"training": True} if technique == "batch_norm" else {}
        y = functional(x, *given[1:], weight=gamma, bias=beta, eps=walkthrough.EPS, **more)
        y.backward(every["dy"])
        torch.testing.assert_close(every["scale and shift"], y.detach())
        torch.testing.assert_close(every["dx"], x.grad)


# ---- the playground of layer norm ------------------------------------------------------------


def test_samples_of_any_size_and_mean_come_out_on_one_sphere():
    widget = layer_norm.playground()
    normalized = [
        widget.picture(scale=scale, shift=shift, eps=1e-12)[1].values
        for scale in (0.01, 1.0, 100.0)
        for shift in (-10.0, 0.0, 10.0)
    ]
    np.testing.assert_allclose(np.linalg.norm(normalized, axis=-1), 8**0.5, rtol=1e-6)
    np.testing.assert_allclose(normalized, np.broadcast_to(normalized[0], (9, 4, 8)), atol=1e-6)


def test_a_sample_does_not_see_its_neighbours():
    widget = layer_norm.playground()
    before, after = (
        widget.picture(company=company, eps=0.1)[1].values for company in layer_norm.COMPANY
    )
    np.testing.assert_array_equal(before[0], after[0])
    assert (np.abs(before[1:] - after[1:]) > 0.1).any(1).all()


# ---- the playground of weight norm -----------------------------------------------------------


@pytest.mark.parametrize("lr", weight_norm.RATES)
@pytest.mark.parametrize("length", weight_norm.LENGTHS)
def test_v_goes_where_torch_takes_it(length, lr):
    """The steps are those of torch's own parametrization and of its own optimizer."""
    widget = weight_norm.playground()
    H, goal = map(torch.tensor, weight_norm.problem())
    layer = torch.nn.Linear(2, 1, bias=False, dtype=torch.float64)
    torch.nn.utils.parametrizations.weight_norm(layer, dim=None)
    learned = layer.parametrizations.weight
    with torch.no_grad():
        learned.original0.fill_(1)
        learned.original1.copy_(torch.tensor([[0.0, length]], dtype=torch.float64))
    optimizer = torch.optim.SGD(layer.parameters(), lr)
    for _ in range(5):
        optimizer.zero_grad()
        away = layer.weight[0] - goal
        (away @ H @ away / 2).backward()
        optimizer.step()
    arrows, table, *_, note = widget.picture(angle=90, length=length, lr=lr, steps=5)
    v = learned.original1[0].detach().numpy()
    assert arrows.arrows["v"][1] == pytest.approx(weight_norm.within(v), abs=1e-9)
    assert arrows.arrows["w"][1] == pytest.approx(
        weight_norm.within(layer.weight[0].detach().numpy()), abs=1e-9
    )
    assert table.rows["‖v‖"][1] == number(float(f"{np.linalg.norm(v):.12g}"), 2)
    assert f"is {number(v @ v, 3)}." in note.text


def test_a_vector_as_it_is_takes_the_place_of_length_and_direction():
    widget = weight_norm.playground()
    widget.function = weight_norm.one_vector
    _, _, lines, _ = widget.picture(length=1.0)
    np.testing.assert_allclose(lines.curves["v and g"], lines.curves["one vector"])


# ---- the playgrounds of spectral norm --------------------------------------------------------


def test_power_iteration_shows_what_the_svd_says_and_the_formula_predicts():
    widget = spectral_norm.playground()
    for ratio in spectral_norm.RATIOS:
        ellipse, lines, _, note = widget.picture(steps=8, ratio=ratio, angle=50)
        assert np.linalg.svd(spectral_norm.matrix(ratio))[1] == pytest.approx([2, 2 * ratio])
        measured, predicted = lines.curves["measured"], lines.curves["predicted"]
        np.testing.assert_allclose(measured, predicted, rtol=1e-5)
        assert (np.diff(measured) <= 0).all()
        assert ("Good to a thousandth" in note.text) == (measured[8] < 1e-3)
        lengths = [np.hypot(*end) for _, end in ellipse.arrows.values()]
        assert lengths[:2] == pytest.approx([1, 1])


def test_a_start_across_the_long_axis_never_turns():
    widget = spectral_norm.playground()
    for steps in (0, 8):
        ellipse, *_, note = widget.picture(steps=steps, angle=90)
        assert ellipse.arrows["v"][1] == pytest.approx((0, 1))
        assert "nothing can grow" in note.text


def test_the_ellipse_is_the_image_of_the_circle():
    ellipse, *_ = spectral_norm.playground().picture(ratio=0.6)
    blocks = Blocks()
    ((start, size),) = ellipse.frame(blocks)["points"]
    assert size == 2 * 120
    points = (decode(blocks, start, size) / 127 - 1).reshape(-1, 2) * ellipse.limit
    back = np.linalg.solve(spectral_norm.matrix(0.6), points.T)
    np.testing.assert_allclose(np.linalg.norm(back, axis=0), 1, atol=0.03)
    stretched = np.linalg.norm(points, axis=1)
    assert stretched.max() == pytest.approx(2, abs=0.03)
    assert stretched.min() == pytest.approx(1.2, abs=0.03)


def test_the_walkthrough_of_spectral_norm_ends_where_autograd_does():
    every = {name: (now, known) for name, now, known, _ in spectral_norm.steps()}
    w = torch.tensor(spectral_norm.W, requires_grad=True)
    what = w / torch.linalg.matrix_norm(w, 2)
    what.backward(torch.tensor(spectral_norm.DY))
    assert every["normalized"][0] == pytest.approx(what.detach().numpy())
    assert every["dW"][0] == pytest.approx(w.grad.numpy())
    assert every["dW"][1]["⟨dW, W⟩"] == pytest.approx(0, abs=1e-12)
    assert every["taken away"][0] != pytest.approx(0)
    errors = [4 - every[name][1]["σ"] for name in ("the first estimate", "the second estimate")]
    assert errors[0] == pytest.approx(4 - 13**0.5)
    assert 0 < errors[1] < errors[0] / 100
    assert every["the limit"][1]["u"] == pytest.approx(np.array([2, 1]) / 5**0.5)


# ---- the playground of divisive norm ---------------------------------------------------------


def test_a_pool_of_all_keeps_the_width_and_one_of_itself_does_not():
    widget = divisive_norm.playground()
    for pool, stays in (("all 12", True), ("itself", False)):
        tuning, *_, note = widget.picture(contrast=0.1, neighbours=pool)
        now, full = (
            divisive_norm.width(tuning.curves[name])
            for name in ("at this contrast", "at full contrast")
        )
        assert (full == pytest.approx(now, rel=0.01)) == stays
        assert ("width of tuning stays" in note.text) == stays
        np.testing.assert_allclose(
            tuning.curves["at this contrast"].argmax(), len(divisive_norm.TURNS) // 2
        )


def test_a_lone_filter_reaches_half_at_sigma_whatever_the_exponent():
    widget = divisive_norm.playground()
    at = int(np.flatnonzero(np.isclose(divisive_norm.CONTRASTS, 0.3))[0])
    for exponent in (1, 2, 4):
        _, course, *_ = widget.picture(sigma=0.3, exponent=exponent, neighbours="itself")
        assert course.curves["response"][at] == pytest.approx(50)


def test_a_grating_across_suppresses_only_where_it_is_in_the_pool():
    widget = divisive_norm.playground()
    for pool, words in (("all 12", "50% less"), ("itself", "changes nothing")):
        *_, note = widget.picture(neighbours=pool)
        assert words in note.text


def test_pools_lie_on_the_circle_of_orientations():
    for name, size in (("itself", 1), ("3 filters", 3), ("7 filters", 7), ("all 12", 12)):
        w = divisive_norm.pool(name)
        np.testing.assert_array_equal(w.sum(1), size)
        np.testing.assert_array_equal(w, w.T)


# ---- the playground of switchable norm -------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "norm"),
    [
        ("instance", normcourse.instance_norm),
        ("layer", lambda x: normcourse.layer_norm(x, x.shape[1:])),
        ("batch", normcourse.batch_norm),
    ],
)
def test_a_corner_of_the_triangle_is_its_technique(name, norm):
    (corner,) = (i for i, s in enumerate(switchable_norm.STOPS) if switchable_norm.text(s) == name)
    widget = switchable_norm.playground()
    *_, before, after, statistics, spreads, note = widget.picture(means=corner, variances=corner)
    x = switchable_norm.block()
    np.testing.assert_array_equal(before.values, x.reshape(4, -1))
    np.testing.assert_allclose(after.values, norm(x).reshape(4, -1), atol=1e-12)
    assert statistics.rows["mixed"] == pytest.approx(statistics.rows[name])
    assert f"this is {name} norm" in note.text
    first = after.groups == after.groups[0, 0]  # what shares the statistic of the first number
    assert first.sum() == {"instance": 4, "layer": 16, "batch": 16}[name]
    gone = {"instance": (0, 1), "layer": (0,), "batch": (1,)}[name]
    found = list(spreads.rows.values())
    assert [k for k in (0, 1) if found[k][1] == 0] == list(gone)


def test_the_walk_through_the_triangle_goes_from_neighbour_to_neighbour():
    steps = np.diff(switchable_norm.STOPS, axis=0)
    np.testing.assert_allclose(np.abs(steps).sum(1), 2 / 3)
    assert len({tuple(np.rint(3 * s)) for s in switchable_norm.STOPS}) == 10
    np.testing.assert_allclose(switchable_norm.STOPS.sum(1), 1)
    widget = switchable_norm.playground()
    assert widget.means == widget.variances == switchable_norm.EQUAL
    widget.means = 0.5  # live, between two stops
    assert widget.picture()[0].arrows["μ"][1] == pytest.approx((0, 0.75), abs=0.5)
    np.testing.assert_allclose(switchable_norm.shares(0.5), [5 / 6, 1 / 6, 0])


def test_a_point_is_dragged_to_where_it_is_drawn():
    means, variances, *_ = switchable_norm.playground().picture(means=3.0, variances=8.0)
    for panel, name, control, at in (
        (means, "μ", "means", 3),
        (variances, "σ²", "variances", 8),
    ):
        ((index, found, places),) = panel.spec()["handles"]
        assert (index, found) == (0, control)
        assert dict(places)[at] == pytest.approx(panel.arrows[name][1])
        assert len(places) == len(switchable_norm.STOPS)


def test_with_one_sample_the_batch_is_the_instance():
    widget = switchable_norm.playground()
    pair = [widget.picture(batch_size=1, means=m, variances=m) for m in (0.0, 9.0)]
    np.testing.assert_allclose(pair[0][3].values, pair[1][3].values, atol=1e-12)
    rows = pair[0][4].rows
    assert rows["instance"] == pytest.approx(rows["batch"])
    assert "two corners are one" in pair[0][-1].text
