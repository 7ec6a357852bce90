"""Shares that learn and shares that do not, and that the chapter says what was stored."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from normcourse import nn  # noqa: E402
from normcourse.lab.claims import claims  # noqa: E402
from normcourse.lab.claims import switchable_norm as runs  # noqa: E402

CHAPTER = Path(__file__).parents[2] / "book" / "adaptive" / "switchable_norm.ipynb"


def test_the_quick_layer_is_the_course_s_own():
    torch.manual_seed(0)
    quick, own = runs.quick_layer(5).double(), nn.SwitchableNorm2d(5).double()
    for p in quick.parameters():
        torch.nn.init.normal_(p)
    own.load_state_dict(quick.state_dict())
    x = torch.randn(4, 5, 3, 3, dtype=torch.float64)
    for training in (True, False):
        found = []
        for layer in (quick.train(training), own.train(training)):
            y = layer(x)
            found.append((y, *torch.autograd.grad(y.pow(3).sum(), list(layer.parameters()))))
        torch.testing.assert_close(*found)
    torch.testing.assert_close(dict(quick.state_dict()), dict(own.state_dict()))


def test_parts_of_a_training_are_the_whole():
    whole, parts = (runs.trained(runs.LEARNED, 8, 1.0, 0, 64, looks) for looks in (1, 4))
    assert [len(seen) for _, seen in (whole, parts)] == [2, 5]
    np.testing.assert_allclose(whole[1][-1], parts[1][-1])
    assert whole[0] == parts[0]


def test_only_learned_shares_move():
    start = np.full((len(runs.LAYERS), len(runs.KINDS), len(runs.STATISTICS)), 1 / 3)
    for norm, moves in ((runs.LEARNED, True), (runs.EQUAL, False)):
        _, (before, after) = runs.trained(norm, 8, 1.0, 0, 64)
        np.testing.assert_allclose(before, start)
        np.testing.assert_allclose(after.sum(-1), 1)
        assert (np.abs(after - start).max() > 1e-3) == moves


def test_all_start_from_the_same_weights_and_differ_in_their_norm():
    kinds = {
        "instance": torch.nn.InstanceNorm2d,
        "layer": torch.nn.LayerNorm,
        "batch": torch.nn.BatchNorm2d,
        "group": torch.nn.GroupNorm,
        runs.LEARNED: nn.SwitchableNorm2d,
        runs.EQUAL: nn.SwitchableNorm2d,
    }
    first = runs.network("batch", 3).features[0].weight
    for norm, kind in kinds.items():
        features = runs.network(norm, 3).features
        assert torch.equal(features[0].weight, first)
        assert all(isinstance(layer, kind) for layer in features[1::3])


def test_the_path_is_read_in_the_order_of_its_looks():
    _, seen = runs.trained(runs.LEARNED, 8, 1.0, 0, 8 * runs.LOOKS, runs.LOOKS)
    stored = {"path": runs._named(8, seen)}
    for i, layer in enumerate(runs.LAYERS):
        for j, kind in enumerate(runs.KINDS):
            read = runs.path([stored], 8, layer, kind)[0]
            np.testing.assert_allclose(read, np.array(seen)[:, i, j], atol=1e-3)


def test_the_shares_in_the_text_are_the_stored_ones():
    text = CHAPTER.read_text("utf-8")
    ends = [runs.path(runs.DIGITS.runs, n, "layer 3", "means")[:, -1, 2] for n in runs.SIZES]
    large, middle, small = (f"{100 * end.mean():.0f} %" for end in ends)
    assert f"the share of batch is {large}, {middle} and {small}" in text
    assert f"batch's share was {large} at 32 and {small} at 2" in text
    moved = claims()["switchable_shifts"].measure().intervals["means moved"]
    assert f"by {100 * moved['layer 3'].mean:.0f} points in the means of the last layer" in text


def test_the_times_in_the_text_are_the_stored_ones():
    times = claims()["switchable_costs"].measure().intervals["layer"].values()
    low, high = (f(t.mean for t in times) for f in (min, max))
    text = CHAPTER.read_text("utf-8")
    assert text.count(f"{low} to {high} times the time of one") == 2


def test_what_is_said_of_the_first_five_seeds_is_so():
    for name in ("switchable_suits", "switchable_robust"):
        claim = claims()[name]
        assert "left every case open" in claim.revision
        first = claim.experiment.runs[:5]
        for figure in (f for f in claim.figures if f.region):
            for row in first[0][figure.key]:
                found = figure.interval([run[figure.key][row] for run in first])
                assert figure.state(found).value == "straddles"
