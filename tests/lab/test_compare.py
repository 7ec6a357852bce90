"""What each technique does, as it is tried, against what is known; and the grid of rates."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from normcourse import nn
from normcourse.lab import compare, data, rates
from normcourse.lab.models import ConvolutionalNetwork

IN_TORCH = [name for name in compare.NAMES if compare.layer(name, torch.nn) is not None]
each = pytest.mark.parametrize("name", compare.NAMES)
AXES = {
    "Min-max scaling": "samples",
    "Standardization": "samples",
    "Batch norm": "N, H, W",
    "Layer norm": "C, H, W",
    "Instance norm": "H, W",
    "Group norm": "some C, H, W",
    "RMSNorm": "C, H, W",
    "Divisive norm": "some C",
    "Switchable norm": "C, H, W + N, H, W",
    "Weight norm": "inputs",
    "Spectral norm": "units, inputs",
}
BOTH, NOTHING = "scale and shift", "nothing"
ERASED = {  # in everything, in each sample, in each channel; of all weights, of a unit's
    "Min-max scaling": (BOTH, NOTHING, BOTH, None, None),
    "Standardization": (BOTH, NOTHING, BOTH, None, None),
    "Batch norm": (BOTH, NOTHING, BOTH, True, True),
    "Layer norm": (BOTH, BOTH, NOTHING, True, False),
    "Instance norm": (BOTH, BOTH, BOTH, True, True),
    "Group norm": (BOTH, BOTH, NOTHING, True, False),
    "RMSNorm": ("scale", "scale", NOTHING, True, False),
    "Divisive norm": (NOTHING, NOTHING, NOTHING, False, False),
    "Switchable norm": (BOTH, NOTHING, NOTHING, True, False),
    "Weight norm": (NOTHING, NOTHING, NOTHING, True, True),
    "Spectral norm": (NOTHING, NOTHING, NOTHING, True, False),
}


@pytest.fixture
def swap(monkeypatch):
    """Let a name stand for another layer, to see that it is tried and not told."""

    def swap(name, other):
        make = compare.layer
        monkeypatch.setattr(compare, "layer", lambda n, *a, **k: make(other if n == name else n))
        compare.warm.cache_clear()

    yield swap
    monkeypatch.undo()
    compare.warm.cache_clear()


@each
def test_who_shares(name):
    assert compare.axes(name) == AXES[name]
    batch = name in ("Batch norm", "Switchable norm")
    assert compare.company(name, training=True) == (batch or name in compare.DATA)
    assert not compare.company(name, training=False)
    assert compare.agree(name) != batch


@each
def test_what_is_erased(name):
    *inputs, everything, unit = ERASED[name]
    assert [compare.erased(name, over) for over in compare.OVER] == inputs
    if name not in compare.DATA:
        assert compare.erased_in_front(name, "all weights") == everything
        assert compare.erased_in_front(name, "a unit's weights") == unit


def test_what_a_layer_does_is_tried(swap):
    swap("Layer norm", "Batch norm")
    assert compare.company("Layer norm", training=True)
    assert not compare.agree("Layer norm")
    assert compare.erased("Layer norm", "each channel") == BOTH
    assert compare.constant_channel("Layer norm") == "0"


def test_at_the_edges():
    error, sign = {"Batch norm", "Instance norm", "Switchable norm"}, {"Group norm"}
    for name in compare.ACTIVATIONS:
        expected = "error" if name in error else "±1" if name in sign else "varies"
        assert compare.alone(name) == expected
        if name in IN_TORCH:
            module = compare.layer(name, torch.nn, (1, 4, 1, 1)).double()
            x = compare.numbers((1, 4, 1, 1))
            assert compare.outcome(lambda m=module, x=x: m(x).detach()) == expected
    threes = {name: compare.constant_sample(name) for name in compare.ACTIVATIONS}
    assert threes["RMSNorm"] == "1"
    assert threes["Divisive norm"] == f"{3 / 10**0.5:.2f}"
    assert {name for name, text in threes.items() if text == "0"} == {
        "Layer norm",
        "Instance norm",
        "Group norm",
    }


def test_outcomes_have_names():
    def fail():
        raise ValueError

    texts = {"no number": [np.nan, 1.0], "0": [0.0, -1e-9], "±1": [1.0, -1.0], "varies": [1.0, 2.0]}
    for text, values in texts.items():
        assert compare.outcome(lambda v=values: torch.tensor(v)) == text
    assert compare.outcome(fail) == "error"


@pytest.mark.parametrize("name", IN_TORCH)
def test_parameters_and_state_are_those_of_torch(name):
    for count in (compare.parameters, compare.state):
        assert count(name) == count(name, torch.nn)


def test_counts_by_hand():
    _, C, H, W = compare.LARGE
    learned = {name: compare.parameters(name) for name in compare.NAMES}
    assert learned["Batch norm"] == learned["Group norm"] == learned["Instance norm"] == 2 * C
    assert learned["Layer norm"] == 2 * learned["RMSNorm"] == 2 * C * H * W
    assert learned["Divisive norm"] == C * C + C
    assert learned["Switchable norm"] == 2 * C + 6
    assert (learned["Weight norm"], learned["Spectral norm"]) == (C, 0)
    assert compare.state("Batch norm") == 2 * C + 1
    assert compare.state("Spectral norm") == C + 9 * C
    assert compare.state("Standardization") == 2 * C * H * W


def test_bytes_kept():
    """At least the input, whose statistics are needed again; torch's RMSNorm twice as much."""
    for name in compare.ACTIVATIONS:
        assert 1 <= compare.kept(name) < 1.1
    assert compare.kept("RMSNorm", torch.nn) == pytest.approx(1 + compare.kept("RMSNorm"), rel=0.01)
    assert compare.kept("Weight norm") < 0.1
    assert compare.kept("Standardization") is compare.kept("Divisive norm", torch.nn) is None


def test_tables_have_a_row_for_each_and_say_what_is_missing():
    tables = [
        compare.company_table(),
        compare.erased_table(),
        compare.edge_table(),
        compare.memory_table(),
        compare.cost_table(),
        compare.rates_table(),
    ]
    for table in tables[:-1]:
        assert [row[0].text for row in table.rows] == list(compare.NAMES)
    assert [row[0].text for row in tables[-1].rows] == [compare.arm_name(arm) for arm in rates.ARMS]
    for table in tables:
        assert all(cell.why for row in table.rows for cell in row if cell.text == "–")


def test_costs_are_those_stored():
    run = {way: compare.cost("Batch norm", "torch", way) for way in ("forward", "both ways")}
    assert 0 < run["forward"] < run["both ways"]
    assert compare.cost("Standardization", "course", "both ways") is None


# ---- the grid of rates -------------------------------------------------------------------------

LAYERS = {
    "none": lambda shape: torch.nn.Identity(),
    "batch norm": lambda shape: torch.nn.BatchNorm2d(shape[0]),
    "layer norm": torch.nn.LayerNorm,
    "instance norm": lambda shape: torch.nn.InstanceNorm2d(shape[0], affine=True),
    "group norm": lambda shape: torch.nn.GroupNorm(4, shape[0]),
    "RMSNorm": torch.nn.RMSNorm,
    "weight norm": None,
    "spectral norm": None,
    "divisive norm": lambda shape: nn.DivisiveNorm(shape[0]),
    "switchable norm": lambda shape: nn.SwitchableNorm2d(shape[0]),
}


def by_modules(arm, seed):
    """The same network of torch's modules."""
    model = ConvolutionalNetwork(LAYERS[arm], rates.CHANNELS, dtype=torch.float32)
    p, s = rates.start(arm, seed)
    convolutions = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    for i, convolution in enumerate(convolutions):
        convolution.weight.data = torch.tensor(p[f"W{i}"], dtype=torch.float32)
        if arm in ("weight norm", "spectral norm"):
            name = arm.replace(" ", "_")
            getattr(torch.nn.utils.parametrizations, name)(convolution)
        if arm == "spectral norm":
            for key, buffer in convolution.parametrizations.weight[0].named_buffers():
                buffer.copy_(torch.tensor(s[f"{key[1:]}{i}"]))
    model.output.weight.data = torch.tensor(p["V"], dtype=torch.float32)
    for module in model.modules():
        if isinstance(module, nn.DivisiveNorm):
            pool = torch.full_like(module.raw_weight, module.num_channels**-0.5)
            module.raw_weight.data, module.raw_sigma.data = pool, torch.ones_like(pool[0])
        if isinstance(module, nn.SwitchableNorm2d):
            assert module.mean_weight.tolist() == [1, 1, 1]
    return model


@pytest.mark.parametrize("arm", LAYERS)
def test_trains_as_modules_do(arm):
    """Losses of some steps, and the accuracy after them, in evaluation mode."""
    seed, size, lr, steps = 3, 8, 0.01, 6
    loss, accuracy = rates.train(arm, size, seed, (lr, 0.003), size * steps, steps)
    model, split = by_modules(arm, seed), data.digits(None, seed)
    optimizer, rng = torch.optim.SGD(model.parameters(), lr), np.random.default_rng(seed)
    for expected in loss[0]:
        rows = rng.choice(len(split.x_train), size, replace=False)
        x, y = split.x_train[rows], torch.tensor(split.y_train[rows])
        found = functional.cross_entropy(model(torch.tensor(x, dtype=torch.float32)), y)
        assert found.item() == pytest.approx(expected, rel=2e-3)
        optimizer.zero_grad()
        found.backward()
        optimizer.step()
    answers = model.eval()(torch.tensor(split.x_test, dtype=torch.float32)).argmax(-1)
    assert (answers.numpy() == split.y_test).mean() == pytest.approx(accuracy[0], abs=0.011)
    assert abs(loss[0] - loss[1]).max() > 1e-4  # each rate has a network of its own


def test_scaled_digits_are_those_of_the_training_set():
    split = data.digits(None, 0)
    smallest = rates.scaled("min-max scaling", split).x_train
    assert (smallest.min(), smallest.max()) == (0, 1)
    table = rates.scaled("standardization", split)
    used = split.x_train.std(0) > 0
    np.testing.assert_allclose(table.x_train.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(table.x_train.std(0)[used], 1)
    assert abs(table.x_test.mean(0)).max() > 0.01
    assert rates.scaled("batch norm", split) is split


def test_results_are_read_as_they_were_stored():
    found, run = rates.results(), rates.GRID.runs[2]
    a, s, r = 4, 1, 5
    key = rates.setting(rates.ARMS[a], rates.SIZES[s], rates.RATES[r])
    assert found.accuracy[2, a, s, r] == run["accuracy"][key]
    assert found.loss[2, a, s, r].tolist() == run["loss"][key]
    assert found.works[a, s, found.best[a, s]]
    assert found.at_best("none", 8).shape == (len(rates.SEEDS),)
    assert found.accuracy.shape[1:] == (len(rates.ARMS), len(rates.SIZES), len(rates.RATES))


def test_a_loss_that_is_no_number_counts_as_the_largest():
    loss, accuracy = rates.train("weight norm", 8, 0, (10.0, 0.01), 160, 4)
    assert loss[0, -1] == rates.CEILING
    assert loss[1, -1] < 10
    assert np.isfinite(accuracy).all()
