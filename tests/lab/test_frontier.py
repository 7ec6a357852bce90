"""What the page on the frontier runs: each part against what it is by definition."""

import shutil

import numpy as np
import pytest
import torch
from torch.nn import functional

import normcourse
from normcourse.lab import data, frontier
from normcourse.lab.frontier import (
    KINDS,
    AdaptiveNorm,
    DynamicTanh,
    ManyTasks,
    Traffic,
    ZeroBlock,
    adaptive_clip,
    fit_rates,
    fit_tasks,
    forward,
    read_tasks,
    spread,
    start,
)

# --- adaptive ---


def random(*shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).normal(size=shape))


def test_each_condition_has_its_own_gamma_and_beta():
    norm = AdaptiveNorm(4, 2)
    with torch.no_grad():
        norm.gamma[1], norm.beta[1] = random(4, seed=1), random(4, seed=2)
    x, c = random(3, 4), torch.tensor([0, 1, 1])
    y = norm(x, c)
    plain = functional.layer_norm(x, (4,))
    torch.testing.assert_close(y[0], plain[0])
    torch.testing.assert_close(y[1:], (norm.gamma[1] * plain + norm.beta[1])[1:])


def test_one_row_knows_no_condition():
    model, x = ManyTasks(1), random(3, 64)
    one, other = (model(x, torch.full((3,), c)) for c in (0, 1))
    assert torch.equal(one, other)
    assert not torch.equal(model(x, torch.zeros(3).long()), model(-x, torch.zeros(3).long()))


def test_tasks_are_learned_where_the_condition_is_known():
    shared, own = (np.mean(read_tasks(fit_tasks(ManyTasks(n), [0, 1]), [0, 1])) for n in (1, 2))
    y = data.digits().y_test
    differ = ((y % 2 == 1) != (y >= 5)).mean()
    assert shared <= 1 - differ / 2 + 1e-9
    assert own > 0.95


def test_only_the_parameters_that_are_named_are_trained():
    model = ManyTasks(2)
    before = {k: p.clone() for k, p in model.state_dict().items()}
    fit_tasks(model, [1], [model.norms[0].gamma], steps=3)
    changed = [k for k, p in model.state_dict().items() if not torch.equal(p, before[k])]
    assert changed == ["norms.0.gamma"]
    assert torch.equal(model.norms[0].gamma[0], before["norms.0.gamma"][0])


def test_zero_block_is_the_identity_until_its_gate_opens():
    block, (x, c) = ZeroBlock(8), random(2, 5, 8)
    assert torch.equal(block(x, c), x)
    torch.nn.init.ones_(block.gate.bias)
    y = torch.relu(block.up(functional.layer_norm(x, (8,))))
    torch.testing.assert_close(block(x, c), x + block.down(y))


# --- without normalization ---


def stacked(kind, depth, rates=1):
    return {k: torch.tensor(np.stack([a] * rates)) for k, a in start(kind, depth).items()}


def test_without_a_norm_the_variance_doubles():
    steps = np.array(spread("none", 32))
    assert 1.7 < (steps[1:] / steps[:-1]).mean() < 2.2


@pytest.mark.parametrize("kind", ["SkipInit", "Fixup"])
def test_blocks_start_as_the_identity(kind):
    assert spread(kind, 8) == (1.0,) * 9


def test_nf_expects_what_is_there():
    seen = np.array(spread("NF", 32))
    predicted = [frontier.expected(i) ** 2 for i in range(33)]
    np.testing.assert_allclose(seen, predicted, rtol=0.2)


def test_layer_norm_adds_about_one():
    added = np.diff(spread("layer norm", 32))
    assert 0.7 < added.mean() < 1.6


@pytest.mark.parametrize("kind", KINDS)
def test_networks_of_several_rates_do_not_mix(kind):
    x = random(4, 64)
    p = stacked(kind, 3, 2)
    torch.testing.assert_close(forward(kind, p, x)[:1], forward(kind, stacked(kind, 3), x))
    p["in"][1] *= 2
    changed = forward(kind, p, x)
    torch.testing.assert_close(changed[:1], forward(kind, stacked(kind, 3), x))


def test_a_block_is_what_its_formula_says():
    x = random(4, 64)
    p = stacked("SkipInit", 1)
    p["gain"] += 0.5
    h = x @ p["in"]
    h = h + 0.5 * torch.relu(h @ p["W1"][:, 0]) @ p["W2"][:, 0]
    torch.testing.assert_close(forward("SkipInit", p, x), h @ p["out"])

    p = stacked("Dynamic Tanh", 1)
    h = x @ p["in"]
    h = h + torch.relu(torch.tanh(h / 2) @ p["W1"][:, 0]) @ p["W2"][:, 0]
    torch.testing.assert_close(forward("Dynamic Tanh", p, x), torch.tanh(h / 2) @ p["out"])

    p = stacked("layer norm", 1)
    h = x @ p["in"]
    h = h + torch.relu(functional.layer_norm(h, (32,)) @ p["W1"][:, 0]) @ p["W2"][:, 0]
    expected = functional.layer_norm(h, (32,)) @ p["out"]
    torch.testing.assert_close(forward("layer norm", p, x), expected)


def test_fixup_scales_by_the_depth():
    first = start("none", 4)
    fixed = start("Fixup", 4)
    np.testing.assert_allclose(fixed["W1"], first["W1"] / 2)
    assert not fixed["W2"].any()
    assert not fixed["out"].any()


def test_rates_are_those_of_their_networks():
    """Trained together or alone, a network reads the same."""
    together = fit_rates("SkipInit", 2, (1e-9, 0.1), steps=40)
    assert together[1] == fit_rates("SkipInit", 2, (0.1,), steps=40)[0]
    assert together[0] < 0.4
    assert together[1] > 0.8


def test_adaptive_clip_bounds_each_unit_by_its_weights():
    weight, gradient = random(5, 3), random(5, 3, seed=1)
    gradient[:, 0] *= 1e-3
    clipped = adaptive_clip(gradient, weight, 0.1)
    torch.testing.assert_close(clipped[:, 0], gradient[:, 0])
    lengths = clipped.norm(dim=0) / weight.norm(dim=0)
    torch.testing.assert_close(lengths[1:], torch.full((2,), 0.1).double())
    assert adaptive_clip(gradient, 0 * weight, 0.1).norm(dim=0)[1] == pytest.approx(1e-4)


def test_dynamic_tanh_is_its_formula():
    layer = DynamicTanh((4,)).double()
    with torch.no_grad():
        layer.alpha.fill_(2), layer.weight.copy_(random(4)), layer.bias.copy_(random(4, seed=1))
    x = random(3, 4, seed=2)
    torch.testing.assert_close(layer(x), layer.weight * torch.tanh(2 * x) + layer.bias)


def test_trained_norms_are_what_the_norms_read():
    found = frontier.trained_norms(steps=2)
    assert len(found) == 9
    for x, xhat in found.values():
        np.testing.assert_allclose(xhat, normcourse.layer_norm(x, x.shape[-1]))
        assert x.ndim == 2


def test_losses_are_those_at_the_best_rate():
    losses, best = frontier.text_losses()
    for arm, nats in losses.items():
        every = {
            rate: [run["nats"][f"{arm}, {rate:g}"] for run in frontier.TEXT.runs]
            for rate in frontier.TEXT_RATES
        }
        np.testing.assert_allclose(nats, every[best[arm]])
        assert min(map(np.mean, every.values())) == pytest.approx(nats.mean())


# --- hardware ---

X = torch.ones(64, 128)


def moved(function):
    with Traffic() as traffic:
        function()
    return traffic.blocks(X)


@pytest.mark.parametrize(
    ("function", "blocks"),
    [
        (lambda: X + 1, 2),
        (lambda: X + X.clone(), 2 + 2 + 1),  # a copy; two blocks read and one written
        (lambda: X.reshape(-1)[:64].view(8, 8).T, 0),
        (lambda: X.sum(), 1),
        (lambda: X.clone().add_(1), 4),
        (lambda: functional.layer_norm(X, (128,)), 2),
        (lambda: X.T.contiguous(), 2),
    ],
)
def test_traffic_counts_what_is_read_and_written(function, blocks):
    assert moved(function) == pytest.approx(blocks, abs=0.03)


def test_traffic_names_the_operations_and_ends():
    with Traffic() as traffic:
        torch.exp(X).mean()
    X * 2
    assert [name for name, _, _ in traffic.operations] == ["exp", "mean"]


def layer_norm(x):
    return normcourse.layer_norm(x, 128)


def by_sums(x):
    mean = x.mean(-1, keepdim=True)
    return (x - mean) / ((x * x).mean(-1, keepdim=True) - mean**2 + 1e-5) ** 0.5


def softmax(x):
    e = (x - x.amax(-1, keepdim=True)).exp()
    return e / e.sum(-1, keepdim=True)


FUNCTIONS = {
    lambda x: x[0] * torch.tanh(0.5 * x): 1,
    by_sums: 2,
    layer_norm: 3,
    softmax: 3,
    lambda x: normcourse.rms_norm(x, 128): 2,
    lambda x: layer_norm(layer_norm(x)): 5,
}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_loops_are_the_longest_chain_of_sums_and_one(function):
    with Traffic() as traffic:
        function(X)
    assert traffic.loops == FUNCTIONS[function]


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_compiler_writes_as_many_loops(function):
    from torch._inductor import config
    from torch._inductor.utils import run_and_get_code

    with config.patch({"cpp.simdlen": 1, "fx_graph_cache": False}):
        torch._dynamo.reset()
        _, (source, *_) = run_and_get_code(torch.compile(function), X)
    assert source.count("for(int64_t x1=") == FUNCTIONS[function]
