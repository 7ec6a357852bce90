"""switchable_norm against the paper's equations in loops, its three special cases, hard inputs."""

import copy
import itertools
import math
import pickle
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from techniques import (
    AFFINE,
    HARD,
    LIBRARIES,
    as_function,
    assert_compiles,
    assert_inputs_are_kept,
    assert_library_agrees,
    assert_same,
    assert_slopes,
    autograd,
    distance,
)
from torch.nn import functional as F

from normcourse import (
    batch_norm,
    batch_norm_backward,
    batch_norm_inference,
    instance_norm,
    instance_norm_backward,
    layer_norm,
    layer_norm_backward,
)
from normcourse.nn.switchable_norm import SwitchableNorm1d, SwitchableNorm2d, SwitchableNorm3d
from normcourse.switchable_norm import (
    switchable_norm,
    switchable_norm_backward,
    switchable_norm_inference,
    switchable_norm_inference_backward,
)

SHAPES = [
    (6, 3),
    (2, 1),
    (1, 4),
    (4, 3, 5),
    (2, 3, 4, 5),
    (1, 3, 2, 2),
    (3, 2, 1, 1),
    (2, 3, 2, 3, 2),
]


def case(shape, affine=(True, True), seed=0, dtype=torch.float64):
    """Random x, dy, logits, weight, bias and running statistics."""
    g = torch.Generator().manual_seed(seed)
    c = shape[1]
    x = torch.randn(shape, generator=g, dtype=dtype) * 2 + 3
    dy = torch.randn(shape, generator=g, dtype=dtype)
    mean_weight, var_weight = torch.randn((2, 3), generator=g, dtype=dtype) * 2
    weight, bias, mean = torch.randn((3, c), generator=g, dtype=dtype)
    var = torch.rand(c, generator=g, dtype=dtype) + 0.1
    learned = [weight if affine[0] else None, bias if affine[1] else None]
    return x, dy, mean_weight, var_weight, *learned, mean, var


def reference(x, mean_weight, var_weight, weight, bias, eps=1e-5, running=None):
    """The paper's equations, transcribed number by number; float64 in, float64 out.

    Each of the three statistics is that of the numbers it is defined over, not derived from others.
    """

    def statistics(numbers):
        mu = sum(numbers) / len(numbers)
        return mu, sum((v - mu) * (v - mu) for v in numbers) / len(numbers)

    def shares(logits):
        powers = [torch.exp(logits[k] - logits.detach().max()) for k in range(3)]
        return [p / (powers[0] + powers[1] + powers[2]) for p in powers]

    n, c = x.shape[:2]
    flat = x.reshape(n, c, -1)
    cells = [[list(flat[i, j].unbind()) for j in range(c)] for i in range(n)]
    instance = [[statistics(cells[i][j]) for j in range(c)] for i in range(n)]
    layer = [statistics(list(chain.from_iterable(cells[i]))) for i in range(n)]
    if running is None:
        batch = [statistics([v for i in range(n) for v in cells[i][j]]) for j in range(c)]
    else:
        batch = list(zip(*running, strict=True))
    w, v = shares(mean_weight), shares(var_weight)
    out = []
    for i, j in itertools.product(range(n), range(c)):
        three = instance[i][j], layer[i], batch[j]
        mu = sum(w[k] * three[k][0] for k in range(3))
        sigma2 = sum(v[k] * three[k][1] for k in range(3))
        y = (flat[i, j] - mu) / torch.sqrt(sigma2 + eps)
        y = y if weight is None else y * weight[j]
        out.append(y if bias is None else y + bias[j])
    return torch.stack(out).reshape(x.shape)


def naive(x, mean_weight, var_weight, weight, bias, eps=1e-5):
    """The equations as one would write them with torch, in the dtype of x."""
    n, c = x.shape[:2]
    v = x.reshape(n, c, -1)
    statistics = [
        torch.var_mean(v, axes, correction=0, keepdim=True) for axes in (2, (1, 2), (0, 2))
    ]
    w, p = torch.softmax(mean_weight, 0), torch.softmax(var_weight, 0)
    mu = sum(w[k] * statistics[k][1] for k in range(3))
    sigma2 = sum(p[k] * statistics[k][0] for k in range(3))
    y = (v - mu) / torch.sqrt(sigma2 + eps)
    return (y * weight[:, None] + bias[:, None]).reshape(x.shape)


# ---- values and gradients ----------------------------------------------------------------


@pytest.mark.parametrize("eps", [1e-5, 0.1])
@pytest.mark.parametrize("affine", AFFINE)
@pytest.mark.parametrize("shape", SHAPES)
def test_is_the_papers_equations(shape, affine, eps):
    x, dy, *learned, _, _ = case(shape, affine)
    ours = switchable_norm(x, *learned, eps), *switchable_norm_backward(dy, x, *learned, eps)
    assert_same(ours, autograd(reference, dy, x, *learned, eps=eps))


@pytest.mark.parametrize("eps", [1e-5, 0.1])
@pytest.mark.parametrize("affine", AFFINE)
@pytest.mark.parametrize("shape", [*SHAPES, (1, 1)])
def test_inference_is_the_papers_equations(shape, affine, eps):
    x, dy, *learned, mean, var = case(shape, affine)
    ours = (
        switchable_norm_inference(x, mean, var, *learned, eps),
        *switchable_norm_inference_backward(dy, x, mean, var, *learned, eps),
    )
    assert_same(ours, autograd(reference, dy, x, *learned, eps=eps, running=(mean, var)))


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.sampled_from([(5, 2), (3, 2, 4), (2, 3, 2, 2), (2, 3, 1, 1)]))
def test_backward_is_the_finite_difference(seed, shape):
    x, dy, *learned, mean, var = (t.numpy() for t in case(shape, seed=seed))
    inputs, eps = [x, *learned], 1e-2
    rng = np.random.default_rng(seed)
    forms = [
        (lambda x, *p: switchable_norm(x, *p, eps), switchable_norm_backward(dy, *inputs, eps)),
        (
            lambda x, *p: switchable_norm_inference(x, mean, var, *p, eps),
            switchable_norm_inference_backward(dy, x, mean, var, *learned, eps),
        ),
    ]
    for forward, gradients in forms:
        assert_slopes(forward, gradients, dy, inputs, rng, 2e-5)


def everything(x, dy, mean_weight, var_weight, weight, bias, mean, var):
    """All four functions, as one flat tuple of arrays."""
    learned = mean_weight, var_weight, weight, bias
    return (
        switchable_norm(x, *learned),
        *switchable_norm_backward(dy, x, *learned),
        switchable_norm_inference(x, mean, var, *learned),
        *switchable_norm_inference_backward(dy, x, mean, var, *learned),
    )


@pytest.mark.parametrize("library", LIBRARIES)
def test_libraries_agree(library):
    assert_library_agrees(library, everything, case((4, 3, 5, 2), dtype=torch.float32))


def test_compiles_whole():
    assert_compiles(everything, case((4, 3, 5), dtype=torch.float32))


# ---- the three corners -------------------------------------------------------------------

FAR = 200.0  # as a logit: the others' shares are 0
OTHERS = {
    0: (instance_norm, instance_norm_backward),
    1: (
        lambda x, w, b: affine(layer_norm(x, x.shape[1:]), w, b),
        lambda dy, x, w, b: (layer_norm_backward(dy * channels(w, x), x, x.shape[1:])[0],),
    ),
    2: (batch_norm, batch_norm_backward),
}


def channels(v, x):
    return v.reshape(1, -1, *[1] * (x.ndim - 2))


def affine(xhat, weight, bias):
    return xhat * channels(weight, xhat) + channels(bias, xhat)


@pytest.mark.parametrize("logit", [FAR, math.inf])
@pytest.mark.parametrize("k", OTHERS)
@pytest.mark.parametrize("shape", [(4, 3, 5), (2, 3, 4, 5)])
def test_one_share_of_1_is_the_other_technique(shape, k, logit):
    """Instance, layer over (C, H, W), batch; the official order."""
    x, dy, _, _, weight, bias, mean, var = case(shape)
    logits = torch.full((3,), -logit, dtype=x.dtype)
    logits[k] = 1.0
    forward, backward = OTHERS[k]
    y = switchable_norm(x, logits, logits, weight, bias)
    torch.testing.assert_close(y, forward(x, weight, bias))
    dx, dmean, dvar, *_ = switchable_norm_backward(dy, x, logits, logits, weight, bias)
    torch.testing.assert_close(dx, backward(dy, x, weight, bias)[0])
    torch.testing.assert_close(dmean, torch.zeros_like(dmean))
    torch.testing.assert_close(dvar, torch.zeros_like(dvar))
    y = switchable_norm_inference(x, mean, var, logits, logits, weight, bias)
    if k == 2:
        expected = batch_norm_inference(x, mean, var, weight, bias)
    else:
        expected = forward(x, weight, bias)
    torch.testing.assert_close(y, expected)


@pytest.mark.parametrize("k", range(3))
def test_a_logit_of_minus_infinity_leaves_the_gradients_of_the_others(k):
    x, dy, *learned, _, _ = case((4, 3, 5))
    results = []
    for left_out in (-math.inf, -FAR):
        for logits in learned[:2]:
            logits[k] = left_out
        results.append(switchable_norm_backward(dy, x, *learned))
    assert_same(*results)
    assert (results[0][1] != 0).sum() == 2


def test_means_and_variances_have_their_own_shares():
    """The layer's mean with the batch's variance."""
    x, _, _, _, weight, bias, *_ = case((4, 3, 5))
    layer, batch = torch.tensor([[0, FAR, 0], [0, 0, FAR]], dtype=x.dtype)
    mu = x.mean((1, 2), keepdim=True)
    sigma2 = x.var((0, 2), correction=0, keepdim=True)
    y = switchable_norm(x, layer, batch, weight, bias)
    torch.testing.assert_close(y, affine((x - mu) / (sigma2 + 1e-5).sqrt(), weight, bias))


# ---- hard inputs -------------------------------------------------------------------------

HARD = HARD | {
    "a channel's offset": lambda x: x + 1e3 * torch.arange(x.shape[1])[:, None, None],
    "one position": lambda x: x[:, :, :1, :1],
    "one sample": lambda x: x[:1],
    "one position of one sample": lambda x: x[:1, :, :1, :1],
    "bfloat16": lambda x: (300 * x + 5).bfloat16(),
}


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", HARD)
def test_hard_inputs(name, seed):
    """Never further from float64 than the formula as one would write it with torch."""
    x, dy, *learned, _, _ = case((8, 5, 16, 16), seed=seed, dtype=torch.float32)
    x = HARD[name]((x - 3) / 2)
    dy = dy[: x.shape[0], :, : x.shape[2], : x.shape[3]].to(x.dtype)
    ours = switchable_norm(x, *learned), *switchable_norm_backward(dy, x, *learned)
    theirs = autograd(naive, dy, x.float(), *learned)
    exact = autograd(naive, dy, x.double(), *(p.double() for p in learned))
    assert ours[0].dtype == ours[1].dtype == x.dtype
    largest = max(1, exact[0].abs().max().item())
    sums = (dy.abs().sum() * (1 + learned[2].abs().max())).item() * largest
    for result, rival, truth in zip(ours, theirs, exact, strict=True):
        assert result.isfinite().all()
        eps = torch.finfo(result.dtype).eps
        units = 8 if result.dtype == torch.float32 else 1  # half precision is rounded once
        few = units * eps * truth.abs().max().item()
        if truth.shape != x.shape:  # a sum whose terms cancel
            few = max(few, eps * sums)
        assert distance(result, truth) <= max(distance(rival.to(result.dtype), truth), few)


def test_an_offset_costs_the_formula_accuracy_and_us_none(record_property):
    x, _, *learned, _, _ = case((8, 5, 16, 16), dtype=torch.float32)
    x = (x - 3) / 2 + 1e4
    exact = naive(x.double(), *(p.double() for p in learned))
    ours, theirs = (
        distance(switchable_norm(x, *learned), exact),
        distance(naive(x, *learned), exact),
    )
    record_property("measured", f"switchable_norm at 1e4: {ours:.1e} (as written: {theirs:.1e})")
    assert ours < 2e-6
    assert theirs > 1e-4


def test_inference_stands_an_offset():
    """Instances whose means differ little, and little from the running ones, far from zero."""
    x, dy, *learned, mean, var = case((8, 5, 16, 16), dtype=torch.float32)
    x, mean = (x - 3) / 2 + 1e4, mean + 1e4
    inputs = [t.double() for t in (x, *learned)]
    running = {"mean": mean.double(), "var": var.double()}
    exact, exact_dx, *_ = autograd(inference_reference, dy, *inputs, **running)
    y = switchable_norm_inference(x, mean, var, *learned)
    dx = switchable_norm_inference_backward(dy, x, mean, var, *learned)[0]
    assert distance(y, exact) < 4e-6 * exact.abs().max()
    assert distance(dx, exact_dx) < 4e-6 * exact_dx.abs().max()


def inference_reference(x, mean_weight, var_weight, weight, bias, mean, var):
    v = x.flatten(2)
    (var_in, mu_in), (var_ln, mu_ln) = (
        torch.var_mean(v, axes, correction=0, keepdim=True) for axes in (2, (1, 2))
    )
    w, p = torch.softmax(mean_weight, 0), torch.softmax(var_weight, 0)
    mu = w[0] * mu_in + w[1] * mu_ln + w[2] * mean[:, None]
    sigma2 = p[0] * var_in + p[1] * var_ln + p[2] * var[:, None]
    return affine(((v - mu) / torch.sqrt(sigma2 + 1e-5)).reshape(x.shape), weight, bias)


def test_large_logits_do_not_overflow():
    x, dy, _, _, weight, bias, *_ = case((4, 3, 5), dtype=torch.float32)
    large = torch.tensor([1000.0, 998.0, -1000.0])
    small = large - 1000
    y = switchable_norm(x, small, small, weight, bias)
    torch.testing.assert_close(switchable_norm(x, large, large, weight, bias), y)
    gradients = switchable_norm_backward(dy, x, small, small, weight, bias)
    result = switchable_norm_backward(dy, x, large, large, weight, bias)
    torch.testing.assert_close(result, gradients)
    assert y.isfinite().all()


def test_a_single_position_gives_no_nan():
    """Its instance variance is 0; the official code divides by 0 there (unbiased)."""
    x, dy, *learned, _, _ = case((4, 3, 1, 1))
    for result in (switchable_norm(x, *learned), *switchable_norm_backward(dy, x, *learned)):
        assert result.isfinite().all()
    only_instance = torch.tensor([FAR, 0, 0], dtype=x.dtype)
    y = switchable_norm(x, only_instance, only_instance)
    torch.testing.assert_close(y, torch.zeros_like(y))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_in_its_sample_and_channel(bad):
    x = np.random.default_rng(0).normal(size=(4, 3, 5))
    logits, dirty = np.ones(3), x.copy()
    dirty[2, 1, 0] = bad
    others = np.ix_([0, 1, 3], [0, 2])
    with np.errstate(invalid="ignore"):
        y = switchable_norm(dirty, logits, logits)
        z = switchable_norm_inference(dirty, np.zeros(3), np.ones(3), logits, logits)
    assert np.isnan(y[2]).all()
    assert np.isnan(y[:, 1]).all()
    np.testing.assert_allclose(y[others], switchable_norm(x, logits, logits)[others])
    assert np.isfinite(z[[0, 1, 3]]).all()


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value encountered")
def test_empty_batch_stays_empty(library):
    inputs = [LIBRARIES[library](t.numpy()) for t in case((2, 3, 4), dtype=torch.float32)]
    x = inputs[0][:0]
    results = everything(x, x, *inputs[2:])
    for k in (0, 1, 6, 7):
        assert tuple(results[k].shape) == (0, 3, 4)


def test_inputs_are_not_modified():
    assert_inputs_are_kept(everything, case((4, 3, 5)))


# ---- properties --------------------------------------------------------------------------


@given(st.permutations(range(4)), st.permutations(range(3)), st.permutations(range(5)))
def test_permuting_permutes_the_result(samples, channels, positions):
    x, _, m, v, *_ = (t.numpy() for t in case((4, 3, 5)))
    place = np.ix_(samples, channels, positions)
    np.testing.assert_allclose(switchable_norm(x[place], m, v), switchable_norm(x, m, v)[place])


@given(st.floats(0.01, 100), st.floats(-100, 100), st.floats(-50, 50))
def test_scale_and_shift_of_x_and_shift_of_logits_change_nothing(scale, shift, logit):
    """One scale and one shift for all numbers: the layer's statistics see every channel."""
    x, _, m, v, *_ = (t.numpy() for t in case((4, 3, 5)))
    y = switchable_norm(x, m, v, eps=0.0)
    np.testing.assert_allclose(switchable_norm(scale * x + shift, m, v, eps=0.0), y, atol=1e-8)
    np.testing.assert_allclose(switchable_norm(-x, m, v, eps=0.0), -y)
    np.testing.assert_allclose(switchable_norm(x, m + logit, v - logit, eps=0.0), y, atol=1e-12)


@given(st.integers(0, 10**6))
def test_gradients_are_orthogonal_to_what_changes_nothing(seed):
    x, dy, m, v, *_ = (t.numpy() for t in case((4, 3, 5), seed=seed))
    dx, dm, dv, *_ = switchable_norm_backward(dy, x, m, v, eps=0.0)
    for number in (dx.sum(), (dx * x).sum(), dm.sum(), dv.sum()):
        assert abs(number) < 1e-9


def test_in_inference_no_sample_depends_on_another():
    x, _, *learned, mean, var = case((4, 3, 5))
    whole = switchable_norm_inference(x, mean, var, *learned)
    for i in range(4):
        alone = switchable_norm_inference(x[i : i + 1], mean, var, *learned)
        torch.testing.assert_close(alone, whole[i : i + 1])


# ---- modules -----------------------------------------------------------------------------

MODULES = {
    SwitchableNorm1d: (6, 4),
    SwitchableNorm2d: (3, 4, 5, 5),
    SwitchableNorm3d: (2, 4, 3, 3, 3),
}


def shaken(module, **arguments):
    """A float64 module whose parameters are random."""
    module = module(4, dtype=torch.float64, **arguments)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    return module


@pytest.mark.parametrize("momentum", [0.1, None, 0.7])
@pytest.mark.parametrize("track", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("name", MODULES)
def test_module_in_training_and_evaluation(name, affine, track, momentum):
    """The functions, with running statistics as torch's BatchNorm keeps them."""
    torch.manual_seed(0)
    arguments = {"affine": affine, "track_running_stats": track, "momentum": momentum, "eps": 1e-3}
    module = shaken(name, **arguments)
    torchs = getattr(torch.nn, name.__name__.replace("Switchable", "Batch"))
    torchs = torchs(4, dtype=torch.float64, **arguments)
    learned = module.mean_weight, module.var_weight, module.weight, module.bias
    for training in (True, True, False, True, False):
        x = torch.randn(MODULES[name], dtype=torch.float64) * 2 + 1
        module.train(training), torchs.train(training)
        y = module(x)
        torchs(x)
        if training or not track:
            expected = switchable_norm(x, *learned, 1e-3)
        else:
            running = torchs.running_mean, torchs.running_var
            expected = switchable_norm_inference(x, *running, *learned, 1e-3)
        torch.testing.assert_close(y, expected)
        for key in ("running_mean", "running_var", "num_batches_tracked"):
            torch.testing.assert_close(getattr(module, key), getattr(torchs, key))
    assert repr(module) == (
        f"{name.__name__}(4, eps=0.001, momentum={momentum}, affine={affine}, bias={affine}, "
        f"track_running_stats={track})"
    )


def test_shares_start_equal_and_reset():
    module = SwitchableNorm2d(4)
    assert list(dict(module.named_parameters())) == ["weight", "bias", "mean_weight", "var_weight"]
    for logits in (module.mean_weight, module.var_weight):
        torch.testing.assert_close(logits.detach(), torch.ones(3))
        torch.nn.init.normal_(logits)
    module(torch.randn(3, 4, 5, 5))
    module.reset_parameters()
    for key, value in SwitchableNorm2d(4).state_dict().items():
        torch.testing.assert_close(module.state_dict()[key], value)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", MODULES)
def test_module_gradients_are_autograds(name, training):
    module = shaken(name, eps=0.1).train(training)
    shape = (3, 4, *(2 for _ in MODULES[name][2:]))
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(as_function(module), (x, *module.parameters()))
    if x.ndim < 4:
        assert torch.autograd.gradgradcheck(as_function(module), (x, *module.parameters()))


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_saved_copied_and_moved(name):
    module, x = shaken(name), torch.randn(MODULES[name], dtype=torch.float64)
    module(x)
    module.eval()
    fresh = name(4, dtype=torch.float64).eval()
    fresh.load_state_dict(module.state_dict())
    for other in (fresh, copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        torch.testing.assert_close(other(x), module(x))
        torch.testing.assert_close(other.state_dict(), module.state_dict())
    assert {b.dtype for b in module.float().state_dict().values()} == {torch.float32, torch.int64}
    assert {b.device.type for b in name(4, device="meta").state_dict().values()} == {"meta"}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_keeps_float32_statistics(dtype):
    x = (torch.randn(64, 4) * 300).to(dtype)
    module, torchs = SwitchableNorm1d(4), torch.nn.BatchNorm1d(4)
    y = module(x)
    torchs(x)
    torch.testing.assert_close(module.running_var, torchs.running_var)
    assert y.dtype == dtype
    assert y.isfinite().all()
    assert module.eval()(x).dtype == dtype


def test_compiles_and_exports():
    module, x = SwitchableNorm2d(4), torch.randn(3, 4, 5, 5)
    compiled = torch.compile(copy.deepcopy(module), fullgraph=True)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    for m, i in zip((module, compiled), inputs, strict=True):
        m(i).square().mul(torch.arange(5)).sum().backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(module.state_dict(), compiled._orig_mod.state_dict())
    module.eval()
    exported = torch.export.export(module, (x,)).module()
    torch.testing.assert_close(exported(x), module(x))


def test_learns_which_statistic_to_use():
    """What counts is the sample's mean, which instance and layer statistics take away."""
    torch.manual_seed(0)
    module = SwitchableNorm2d(4)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3),
        module,
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(144, 2),
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    target = torch.arange(64) % 2
    x = torch.randn(64, 1, 8, 8) + 2.0 * target[:, None, None, None]
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.2 * losses[0]
    shares = torch.softmax(module.mean_weight, 0)
    assert shares[2] > shares[0]
    with torch.no_grad():
        network.eval()
        assert F.cross_entropy(network(x), target) < 0.3 * losses[0]


# ---- errors ------------------------------------------------------------------------------

X, L = np.ones((4, 3)), np.ones(3)
WRONG = {
    "list": (lambda: switchable_norm([[1.0]], L, L), TypeError, "^x must be an array.*list"),
    "integers": (lambda: switchable_norm(X.astype(int), L, L), TypeError, "^x.*int64.*astype"),
    "rank": (lambda: switchable_norm(L, L, L), ValueError, r"2 axes, \(N, C, .*\(3,\)"),
    "two logits": (
        lambda: switchable_norm(X, L[:2], L),
        ValueError,
        r"^mean_weight must have shape \(3,\), logits for the instance, layer and batch.*\(2,\)",
    ),
    "var logits": (lambda: switchable_norm(X, L, X), ValueError, r"^var_weight.*got \(4, 3\)"),
    "no logits": (lambda: switchable_norm(X, None, L), TypeError, "^mean_weight.*NoneType"),
    "libraries": (
        lambda: switchable_norm(X, torch.ones(3), L),
        TypeError,
        "^mean_weight is a torch",
    ),
    "weight": (lambda: switchable_norm(X, L, L, np.ones(4)), ValueError, r"^weight.*got \(4,\)"),
    "bias": (lambda: switchable_norm(X, L, L, None, X), ValueError, r"^bias.*got \(4, 3\)"),
    "inference weight": (
        lambda: switchable_norm_inference(X, L, L, L, L, np.ones(4)),
        ValueError,
        r"^weight.*got \(4,\)",
    ),
    "inference bias": (
        lambda: switchable_norm_inference(X, L, L, L, L, None, X),
        ValueError,
        r"^bias.*got \(4, 3\)",
    ),
    "backward weight": (
        lambda: switchable_norm_backward(X, X, L, L, np.ones(4)),
        ValueError,
        r"^weight.*got \(4,\)",
    ),
    "backward bias": (
        lambda: switchable_norm_backward(X, X, L, L, None, X),
        ValueError,
        r"^bias.*got \(4, 3\)",
    ),
    "eps": (lambda: switchable_norm(X, L, L, eps=-1.0), ValueError, "^eps.*-1"),
    "a single value": (
        lambda: switchable_norm(X[:1, :1], L, L),
        ValueError,
        r"one value.*\(1, 1\).*switchable_norm_inference",
    ),
    "running mean": (
        lambda: switchable_norm_inference(X, np.ones(2), L, L, L),
        ValueError,
        r"^running_mean.*\(3,\).*got \(2,\)",
    ),
    "no running variance": (
        lambda: switchable_norm_inference(X, L, None, L, L),
        TypeError,
        "^running_var.*NoneType",
    ),
    "gradient": (lambda: switchable_norm_backward(X[:2], X, L, L), ValueError, r"^dy.*\(4, 3\)"),
    "inference gradient": (
        lambda: switchable_norm_inference_backward(None, X, L, L, L, L),
        TypeError,
        "^dy.*NoneType",
    ),
    "module's rank": (
        lambda: SwitchableNorm2d(4)(torch.ones(2, 3, 4)),
        ValueError,
        r"3 axes.*SwitchableNorm2d expects \(N, C, H, W\).*LayerNorm",
    ),
    "module's layout": (
        lambda: SwitchableNorm1d(4)(torch.ones(2, 3, 4, 4)),
        ValueError,
        r"4 axes.*\(N, C\) or \(N, C, L\)",
    ),
    "module's channels": (
        lambda: SwitchableNorm3d(4)(torch.ones(2, 3, 4, 4, 4)),
        ValueError,
        "3 channels.*num_features=4",
    ),
    "nothing to keep": (
        lambda: SwitchableNorm1d(4)(torch.ones(1, 4)),
        ValueError,
        r"one value per channel, shape \(1, 4\).*larger batch, eval\(\), or track_running_stats",
    ),
    "num_features": (lambda: SwitchableNorm1d(0), ValueError, "^num_features must be at least 1"),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_name_the_argument(name):
    call, error, message = WRONG[name]
    with pytest.raises(error, match=message):
        call()


def test_a_refused_batch_is_not_counted():
    module = SwitchableNorm1d(4)
    with pytest.raises(ValueError, match="one value per channel"):
        module(torch.ones(1, 4))
    assert module.num_batches_tracked == 0
    untracked = SwitchableNorm1d(4, track_running_stats=False)
    assert untracked(torch.randn(1, 4)).isfinite().all()
