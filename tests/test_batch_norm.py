"""batch_norm against torch, float64, finite differences and the inputs that break others."""

import itertools

import jax
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

import normcourse
from normcourse import (
    batch_norm,
    batch_norm_backward,
    batch_norm_inference,
    batch_norm_inference_backward,
    update_running_statistics,
)

SHAPES = [(6, 3), (2, 3), (4, 3, 5), (2, 3, 4, 5), (1, 3, 2, 2), (2, 3, 2, 3, 4)]
AFFINE = list(itertools.product([True, False], repeat=2))


def case(shape, affine=(True, True), seed=0, dtype=torch.float64):
    """Random x, dy and parameters; ones and zeros would hide errors."""
    g = torch.Generator().manual_seed(seed)
    c = shape[1]
    x = torch.randn(shape, generator=g, dtype=dtype) * 2 + 3
    dy = torch.randn(shape, generator=g, dtype=dtype)
    weight = torch.randn(c, generator=g, dtype=dtype) if affine[0] else None
    bias = torch.randn(c, generator=g, dtype=dtype) if affine[1] else None
    mean = torch.randn(c, generator=g, dtype=dtype)
    var = torch.rand(c, generator=g, dtype=dtype) + 0.1
    return x, dy, weight, bias, mean, var


def autograd(function, dy, *inputs):
    """The function's value and the gradients of its tensor inputs."""
    leaves = [None if t is None else t.clone().requires_grad_() for t in inputs]
    y = function(*leaves)
    y.backward(dy)
    return y.detach(), [None if t is None else t.grad for t in leaves]


def assert_same(result, expected, **tolerance):
    if expected is None:
        assert result is None
    else:
        torch.testing.assert_close(result, expected, **tolerance)


@pytest.mark.parametrize("eps", [1e-12, 1e-5, 0.1, 1.0])
@pytest.mark.parametrize("affine", AFFINE)
@pytest.mark.parametrize("shape", SHAPES)
def test_agrees_with_torch(shape, affine, eps):
    x, dy, weight, bias, *_ = case(shape, affine)
    torchs = lambda x, w, b: F.batch_norm(x, None, None, w, b, True, 0.1, eps)  # noqa: E731
    y, gradients = autograd(torchs, dy, x, weight, bias)
    assert_same(batch_norm(x, weight, bias, eps), y)
    for ours, theirs in zip(batch_norm_backward(dy, x, weight, bias, eps), gradients, strict=True):
        assert_same(ours, theirs)


@pytest.mark.parametrize("eps", [1e-5, 0.1])
@pytest.mark.parametrize("affine", AFFINE)
@pytest.mark.parametrize("shape", [*SHAPES, (1, 3)])
def test_inference_agrees_with_torch(shape, affine, eps):
    x, dy, weight, bias, mean, var = case(shape, affine)
    torchs = lambda x, w, b: F.batch_norm(x, mean, var, w, b, False, 0.1, eps)  # noqa: E731
    y, gradients = autograd(torchs, dy, x, weight, bias)
    assert_same(batch_norm_inference(x, mean, var, weight, bias, eps), y)
    ours = batch_norm_inference_backward(dy, x, mean, var, weight, bias, eps)
    for result, expected in zip(ours, gradients, strict=True):
        assert_same(result, expected)


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from([(5, 2), (3, 2, 4), (2, 2, 3, 2)]))
def test_backward_is_the_finite_difference(seed, shape):
    rng = np.random.default_rng(seed)
    x, dy, dx = rng.normal(size=(3, *shape))
    w, b, dw, db = rng.normal(size=(4, shape[1]))
    h = 1e-6
    up = batch_norm(x + h * dx, w + h * dw, b + h * db, 1e-2)
    down = batch_norm(x - h * dx, w - h * dw, b - h * db, 1e-2)
    expected = ((up - down) * dy).sum() / (2 * h)
    gx, gw, gb = batch_norm_backward(dy, x, w, b, 1e-2)
    assert (gx * dx).sum() + gw @ dw + gb @ db == pytest.approx(expected, rel=1e-5, abs=1e-5)


LIBRARIES = {
    "numpy": np.asarray,
    "torch": torch.as_tensor,
    "jax": jax.numpy.asarray,
}


@pytest.mark.parametrize("library", LIBRARIES)
def test_libraries_agree(library):
    """float32, as jax's default: a few units in the last place apart from NumPy's float64."""
    convert = LIBRARIES[library]
    tensors = case((4, 3, 5, 2), dtype=torch.float32)
    x, dy, weight, bias, mean, var = (convert(t.numpy()) for t in tensors)
    exact = [t.numpy().astype(float) for t in tensors]
    calls = {
        batch_norm: (0, 2, 3),
        batch_norm_backward: (1, 0, 2, 3),
        batch_norm_inference: (0, 4, 5, 2, 3),
        batch_norm_inference_backward: (1, 0, 4, 5, 2, 3),
        update_running_statistics: (4, 5, 0),
    }
    inputs = (x, dy, weight, bias, mean, var)
    for function, picks in calls.items():
        results = function(*(inputs[i] for i in picks))
        expected = function(*(exact[i] for i in picks))
        if function in (batch_norm, batch_norm_inference):
            results, expected = (results,), (expected,)
        for a, b in zip(results, expected, strict=True):
            assert type(a) is type(x) or library == "jax"
            assert "float32" in str(a.dtype)
            np.testing.assert_allclose(np.asarray(a), b, rtol=2e-5, atol=2e-5)


def test_compiles_whole():
    x, dy, weight, bias, *_ = case((4, 3, 5))
    for function, arguments in ((batch_norm, (x,)), (batch_norm_backward, (dy, x))):
        compiled = torch.compile(function, fullgraph=True)(*arguments, weight, bias)
        torch.testing.assert_close(compiled, function(*arguments, weight, bias))
    traced = jax.jit(batch_norm)(x.numpy().astype(np.float32))
    np.testing.assert_allclose(traced, batch_norm(x.numpy()), rtol=1e-4, atol=1e-5)


# ---- hard inputs: never further from float64 than torch, beyond a few units in the last place --

HARD = {
    "normal": lambda x: x,
    "offset 1e4": lambda x: x + 1e4,
    "offset -1e6": lambda x: x - 1e6,
    "constant": lambda x: 0 * x + 0.1,
    "constant 1e4": lambda x: 0 * x + 1e4 + 0.1,
    "zeros": lambda x: 0 * x,
    "denormal": lambda x: x * 1e-39,
    "tiny": lambda x: x * 1e-20,
    "large": lambda x: x * 1e15,
    "channels last": lambda x: (
        x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x.T.contiguous().T
    ),
    "strided": lambda x: torch.stack([x, -x], -1)[..., 0],
    "float16": lambda x: (400 * x).half(),
    "bfloat16": lambda x: (3 * x + 5).bfloat16(),
}


def distance(a, b):
    return (a.double() - b).abs().max().item()


@pytest.mark.parametrize("shape", [(64, 5), (4096, 5), (8, 5, 16, 16)])
@pytest.mark.parametrize("name", HARD)
def test_hard_inputs(name, shape):
    x, dy, weight, bias, *_ = case(shape, seed=1, dtype=torch.float32)
    x = HARD[name]((x - 3) / 2)
    dy = dy.to(x.dtype)
    function = lambda x, w, b: F.batch_norm(x, None, None, w, b, True)  # noqa: E731
    theirs, (their_dx, *_) = autograd(function, dy, x, weight, bias)
    ours, our_dx = batch_norm(x, weight, bias), batch_norm_backward(dy, x, weight, bias)[0]
    x64, dy64, w64, b64 = (t.double() for t in (x, dy, weight, bias))
    exact = batch_norm_reference(x64, w64, b64)
    exact_dx = autograd(batch_norm_reference, dy64, x64, w64, b64)[1][0]
    assert ours.dtype == x.dtype
    assert our_dx.dtype == x.dtype
    for result, other, truth in ((ours, theirs, exact), (our_dx, their_dx, exact_dx)):
        few = 8 * torch.finfo(torch.float32).eps * truth.abs().max().item()
        assert distance(result, truth) <= max(distance(other, truth), few)


def batch_norm_reference(x, weight, bias, eps=1e-5):
    """The paper's algorithm 1, transcribed on its own; float64 in, float64 out."""
    out = []
    for c in range(x.shape[1]):
        v = x[:, c].reshape(-1)
        mu = v.sum() / v.numel()
        sigma2 = ((v - mu) * (v - mu)).sum() / v.numel()
        out.append((x[:, c] - mu) / torch.sqrt(sigma2 + eps) * weight[c] + bias[c])
    return torch.stack(out, 1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_inference_keeps_half_precision_and_computes_in_float32(dtype):
    x, dy, weight, bias, mean, var = case((8, 3, 4), dtype=torch.float32)
    x, dy = (300 * x).to(dtype), dy.to(dtype)
    function = lambda x: F.batch_norm(x, mean, var, weight, bias, False)  # noqa: E731
    y, (dx,) = autograd(function, dy, x)
    torch.testing.assert_close(batch_norm_inference(x, mean, var, weight, bias), y)
    torch.testing.assert_close(batch_norm_inference_backward(dy, x, mean, var, weight, bias)[0], dx)


def test_an_offset_costs_torch_accuracy_and_us_none():
    x = torch.randn(4096, 3, generator=torch.Generator().manual_seed(0)) + 1e4
    one, zero = torch.ones(3), torch.zeros(3)
    exact = batch_norm_reference(x.double(), one.double(), zero.double())
    assert distance(batch_norm(x), exact) < 1e-5
    assert distance(F.batch_norm(x, None, None, training=True), exact) > 1e-4


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_in_its_channel(bad):
    x = np.random.default_rng(0).normal(size=(6, 3))
    x[2, 1] = bad
    with np.errstate(invalid="ignore"):
        y = batch_norm(x)
    assert np.isnan(y[:, 1]).all()
    np.testing.assert_allclose(y[:, [0, 2]], batch_norm(x[:, [0, 2]]))


@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 4)])
def test_empty_batch_stays_empty(shape):
    x = torch.zeros(shape)
    assert batch_norm(x).shape == shape
    assert batch_norm_inference(x, torch.zeros(3), torch.ones(3)).shape == shape


def test_inputs_are_not_modified():
    arguments = [t.numpy() for t in case((4, 3, 5))]
    copies = [a.copy() for a in arguments]
    x, dy, weight, bias, mean, var = arguments
    batch_norm(x, weight, bias)
    batch_norm_backward(dy, x, weight, bias)
    batch_norm_inference_backward(dy, x, mean, var, weight, bias)
    update_running_statistics(mean, var, x)
    for a, b in zip(arguments, copies, strict=True):
        np.testing.assert_array_equal(a, b)


# ---- running statistics ------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.0, 0.1, 0.37, 1.0])
@pytest.mark.parametrize("shape", [(2, 3), (5, 3, 4)])
def test_running_statistics_are_torchs(momentum, shape):
    mean, var = case(shape)[4:]
    expected_mean, expected_var = mean.clone(), var.clone()
    for seed in range(3):
        x = case(shape, seed=seed)[0]
        F.batch_norm(x, expected_mean, expected_var, training=True, momentum=momentum)
        mean, var = update_running_statistics(mean, var, x, momentum)
    torch.testing.assert_close(mean, expected_mean)
    torch.testing.assert_close(var, expected_var)


def test_the_biased_variance_normalizes_and_the_unbiased_is_stored():
    x = np.array([[0.0], [2.0]])
    np.testing.assert_allclose(batch_norm(x, eps=0.0), [[-1], [1]])
    _, var = update_running_statistics(np.zeros(1), np.ones(1), x, momentum=1.0)
    np.testing.assert_allclose(var, 2.0)


# ---- properties --------------------------------------------------------------------------


@given(st.permutations(range(6)), st.permutations(range(4)))
def test_permuting_samples_or_channels_permutes_the_result(rows, columns):
    x = np.random.default_rng(0).normal(size=(6, 4))
    np.testing.assert_allclose(batch_norm(x[rows][:, columns]), batch_norm(x)[rows][:, columns])


@given(st.floats(0.01, 100), st.floats(-100, 100))
def test_invariant_to_scale_and_shift_of_a_channel(scale, shift):
    x = np.random.default_rng(0).normal(size=(6, 4))
    y = batch_norm(x, eps=0.0)
    np.testing.assert_allclose(batch_norm(scale * x + shift, eps=0.0), y, atol=1e-9)
    np.testing.assert_allclose(batch_norm(-x, eps=0.0), -y)


# ---- errors ------------------------------------------------------------------------------

X = np.ones((4, 3))
WRONG = {
    "list": (lambda: batch_norm([[1.0, 2.0]]), TypeError, "x must be an array"),
    "integers": (lambda: batch_norm(np.ones((2, 3), int)), TypeError, "int64.*astype"),
    "complex": (lambda: batch_norm(X * 1j), TypeError, "complex128"),
    "rank": (lambda: batch_norm(np.ones(3)), ValueError, r"at least 2 axes.*\(3,\)"),
    "weight": (lambda: batch_norm(X, np.ones(4)), ValueError, r"weight.*\(3,\).*got \(4,\)"),
    "bias": (lambda: batch_norm(X, None, np.ones((3, 1))), ValueError, r"bias.*\(3, 1\)"),
    "mean": (
        lambda: batch_norm_inference(X, np.ones(2), np.ones(3)),
        ValueError,
        r"mean.*\(3,\).*got \(2,\)",
    ),
    "libraries": (lambda: batch_norm(X, torch.ones(3)), TypeError, "weight is a torch.*numpy"),
    "eps": (lambda: batch_norm(X, eps=-1e-5), ValueError, "eps.*-1e-05"),
    "nan eps": (lambda: batch_norm(X, eps=float("nan")), ValueError, "eps.*nan"),
    "one value": (lambda: batch_norm(np.ones((1, 3))), ValueError, "one value per channel"),
    "one value in backward": (lambda: batch_norm_backward(X[:1], X[:1]), ValueError, "one value"),
    "gradient's shape": (
        lambda: batch_norm_backward(X[:2], X),
        ValueError,
        r"dy.*\(4, 3\); got \(2, 3\)",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_name_the_argument(name):
    call, error, message = WRONG[name]
    with pytest.raises(error, match=message):
        call()


def test_every_public_function_says_its_shapes():
    for name in normcourse.__all__:
        assert getattr(normcourse, name).__doc__, name
