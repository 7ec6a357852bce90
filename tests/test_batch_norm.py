"""batch_norm: what every activation normalization promises, inference and running statistics."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from techniques import (
    AFFINE,
    BATCH,
    EPS,
    LIBRARIES,
    Promises,
    arguments,
    assert_library_agrees,
    assert_same,
    assert_slopes,
    autograd,
    distance,
    exact,
)
from torch.nn import functional as F

import normcourse
from normcourse import (
    batch_norm,
    batch_norm_backward,
    batch_norm_inference,
    batch_norm_inference_backward,
    mean_and_variance,
    merge_statistics,
    update_running_statistics,
)

SHAPES = [(6, 3), (4, 3, 5), (2, 3, 4, 5), (1, 3)]


class TestBatchNorm(Promises):
    technique = BATCH


def test_by_hand():
    """Means 3 and 10, variances 4 and 1."""
    x = np.array([[1.0, 9.0], [5.0, 11.0]])
    y = batch_norm(x, np.array([10.0, 2.0]), np.array([1.0, 3.0]), 0.0)
    np.testing.assert_allclose(y, [[-9, 1], [11, 5]])


def test_an_offset_costs_torch_accuracy_and_us_none():
    x = torch.randn(4096, 3, generator=torch.Generator().manual_seed(0)) + 1e4
    truth, *_ = exact(BATCH, x, x, (), (None, None), 1e-5)
    assert distance(batch_norm(x), truth) < 1e-5
    assert distance(F.batch_norm(x, None, None, training=True), truth) > 1e-4


# ---- inference ---------------------------------------------------------------------------


def inference_case(shape, affine=(True, True), seed=0, dtype=torch.float64):
    """Random x, dy, [mean, var] and [weight, bias]."""
    x, dy, parameters = arguments(BATCH, shape, (), affine, seed, dtype)
    g = torch.Generator().manual_seed(seed + 1)
    mean = torch.randn(shape[1], generator=g, dtype=dtype)
    var = torch.rand(shape[1], generator=g, dtype=dtype) + 0.1
    return x, dy, [mean, var], parameters


def inference_both(dy, x, statistics, parameters, eps=1e-5):
    y = batch_norm_inference(x, *statistics, *parameters, eps)
    return y, *batch_norm_inference_backward(dy, x, *statistics, *parameters, eps)


@pytest.mark.parametrize("eps", EPS)
@pytest.mark.parametrize("affine", AFFINE, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_inference_agrees_with_torch(shape, affine, eps):
    x, dy, statistics, parameters = inference_case(shape, affine)
    torchs = lambda x, w, b: F.batch_norm(x, *statistics, w, b, False, 0.1, eps)  # noqa: E731
    ours = inference_both(dy, x, statistics, parameters, eps)
    assert_same(ours, autograd(torchs, dy, x, *parameters))


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from(SHAPES))
def test_inference_backward_is_the_finite_difference(seed, shape):
    x, dy, statistics, parameters = inference_case(shape, seed=seed)
    x, dy, mean, var, *parameters = (a.numpy() for a in (x, dy, *statistics, *parameters))
    forward = lambda x, *p: batch_norm_inference(x, mean, var, *p, 1e-2)  # noqa: E731
    gradients = batch_norm_inference_backward(dy, x, mean, var, *parameters, 1e-2)
    assert_slopes(forward, gradients, dy, (x, *parameters), np.random.default_rng(seed))


@pytest.mark.parametrize("library", LIBRARIES)
def test_inference_and_running_statistics_in_all_libraries(library):
    def everything(x, dy, mean, var, *parameters):
        both = inference_both(dy, x, (mean, var), parameters)
        return *both, *update_running_statistics(mean, var, x)

    x, dy, statistics, parameters = inference_case((4, 3, 5, 2), dtype=torch.float32)
    assert_library_agrees(library, everything, (x, dy, *statistics, *parameters))


def test_inference_compiles_whole():
    x, dy, statistics, parameters = inference_case((4, 3, 5), dtype=torch.float32)
    compiled = torch.compile(inference_both, fullgraph=True)(dy, x, statistics, parameters)
    assert_same(compiled, inference_both(dy, x, statistics, parameters), 1e-5, 1e-5)


def test_inference_default_eps():
    x, dy, statistics, parameters = inference_case((4, 3, 5))
    given = *statistics, *parameters
    ours = batch_norm_inference(x, *given), *batch_norm_inference_backward(dy, x, *given)
    assert_same(ours, inference_both(dy, x, statistics, parameters, 1e-5), 0, 0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_inference_keeps_half_precision_and_computes_in_float32(dtype):
    x, dy, statistics, parameters = inference_case((8, 3, 4), dtype=torch.float32)
    x, dy = (300 * x).to(dtype), dy.to(dtype)
    function = lambda x: F.batch_norm(x, *statistics, *parameters, False)  # noqa: E731
    ours = inference_both(dy, x, statistics, parameters)
    torch.testing.assert_close(ours[:2], autograd(function, dy, x))


def test_inference_of_an_empty_batch():
    x, statistics = torch.zeros(0, 3, 4), [torch.zeros(3), torch.ones(3)]
    y, dx, *gradients = inference_both(x, x, statistics, statistics)
    assert y.shape == dx.shape == x.shape
    assert_same(gradients, [torch.zeros(3)] * 2)


# ---- running statistics ------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.0, 0.1, 0.37, 1.0])
@pytest.mark.parametrize("shape", [(2, 3), (5, 3, 4)])
def test_running_statistics_are_torchs(momentum, shape):
    _, _, (mean, var), _ = inference_case(shape)
    expected_mean, expected_var = mean.clone(), var.clone()
    for seed in range(3):
        x = inference_case(shape, seed=seed)[0]
        F.batch_norm(x, expected_mean, expected_var, training=True, momentum=momentum)
        mean, var = update_running_statistics(mean, var, x, momentum)
    assert_same((mean, var), (expected_mean, expected_var))


def test_running_statistics_are_new_arrays():
    mean, var, x = np.zeros(3), np.ones(3), np.random.default_rng(0).normal(size=(2, 3, 4))
    for a in (mean, var, x):
        a.flags.writeable = False
    new = update_running_statistics(mean, var, x, 0.0)
    np.testing.assert_array_equal(new, (mean, var))
    assert new[0] is not mean
    assert new[1] is not var


def test_running_statistics_keep_their_precision():
    x = (300 * torch.randn(64, 3, generator=torch.Generator().manual_seed(0))).half()
    mean, var = update_running_statistics(torch.zeros(3), torch.ones(3), x, 1.0)
    assert mean.dtype == var.dtype == torch.float32
    torch.testing.assert_close(var, x.float().var(0))  # beyond the largest float16


def test_momentum_may_be_an_array():
    x = np.random.default_rng(0).normal(size=(4, 3))
    by_number = update_running_statistics(np.zeros(3), np.ones(3), x, 0.25)
    by_array = update_running_statistics(np.zeros(3), np.ones(3), x, np.array(0.25))
    np.testing.assert_array_equal(by_number, by_array)


def test_the_biased_variance_normalizes_and_the_unbiased_is_stored():
    x = np.array([[0.0], [2.0]])
    np.testing.assert_allclose(batch_norm(x, eps=0.0), [[-1], [1]])
    _, var = update_running_statistics(np.zeros(1), np.ones(1), x, momentum=1.0)
    np.testing.assert_allclose(var, 2.0)


@given(st.integers(0, 10**6), st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_statistics_merged_from_chunks_normalize_as_the_whole(seed, lengths):
    """A batch that is spread over devices, or that does not fit into memory."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(sum(lengths), 3, 2)) * 3 + rng.uniform(-1e3, 1e3)
    n = mean = var = 0
    for chunk in np.split(x, np.cumsum(lengths)[:-1]):
        chunk_mean, chunk_var = mean_and_variance(chunk, (0, 2))
        chunk_statistics = chunk.shape[0] * chunk.shape[2], chunk_mean, chunk_var
        n, mean, var = merge_statistics((n, mean, var), chunk_statistics)
    y = batch_norm_inference(x, mean.reshape(-1), var.reshape(-1))
    np.testing.assert_allclose(y, batch_norm(x), atol=1e-10)


# ---- errors ------------------------------------------------------------------------------

X = np.ones((4, 3))
S = np.ones(3)
WRONG = {
    "rank": (lambda: batch_norm(S), ValueError, r"x must have at least 2 axes.*\(3,\)"),
    "one value": (lambda: batch_norm(X[:1]), ValueError, "one value per channel.*larger batch"),
    "one value in backward": (lambda: batch_norm_backward(X[:1], X[:1]), ValueError, "one value"),
    "mean": (
        lambda: batch_norm_inference(X, S[:2], S),
        ValueError,
        r"^mean must have shape \(3,\).*got \(2,\)",
    ),
    "var": (
        lambda: batch_norm_inference_backward(X, X, S, X),
        ValueError,
        r"^var must have shape \(3,\).*got \(4, 3\)",
    ),
    "var's library": (
        lambda: batch_norm_inference(X, S, torch.ones(3)),
        TypeError,
        "^var is a torch.Tensor but x is a numpy",
    ),
    "no mean": (lambda: batch_norm_inference(X, None, S), TypeError, "^mean must be an array"),
    "no var": (lambda: batch_norm_inference(X, S, None), TypeError, "^var must be an array"),
    "no running_mean": (
        lambda: update_running_statistics(None, S, X),
        TypeError,
        "^running_mean must be an array",
    ),
    "no running_var": (
        lambda: update_running_statistics(S, None, X),
        TypeError,
        "^running_var must be an array",
    ),
    "inference gradient": (
        lambda: batch_norm_inference_backward(X[:2], X, S, S),
        ValueError,
        r"^dy.*\(4, 3\); got \(2, 3\)",
    ),
    "running_mean": (
        lambda: update_running_statistics(S[:2], S, X),
        ValueError,
        r"^running_mean must have shape \(3,\)",
    ),
    "running_var": (
        lambda: update_running_statistics(S, S[:2], X),
        ValueError,
        r"^running_var must have shape \(3,\)",
    ),
    "empty": (lambda: update_running_statistics(S, S, X[:0]), ValueError, "x is empty"),
    "momentum": (
        lambda: update_running_statistics(S, S, X, -0.1),
        ValueError,
        "momentum is the weight of the new batch, from 0 to 1; got -0.1",
    ),
    "momentum as text": (
        lambda: update_running_statistics(S, S, X, "0.1"),
        TypeError,
        "momentum must be a number, got str",
    ),
    "momentum as truth": (
        lambda: update_running_statistics(S, S, X, True),
        TypeError,
        "momentum must be a number, got bool",
    ),
    "momentum's library": (
        lambda: update_running_statistics(S, S, X, torch.tensor(0.1)),
        TypeError,
        "momentum is a torch.Tensor but x is a numpy.ndarray",
    ),
    "momentum's dtype": (
        lambda: update_running_statistics(S, S, X, np.array(1)),
        TypeError,
        "momentum must be real floating point, got dtype int64",
    ),
    "momentum for each channel": (
        lambda: update_running_statistics(S, S, X, S),
        TypeError,
        "momentum must be a number, got ndarray",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_name_the_argument(name):
    call, error, message = WRONG[name]
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("name", ["mean", "var", "weight", "bias", "eps"])
def test_errors_of_inference_name_the_argument(name):
    wrong = -1.0 if name == "eps" else S[:2]
    given = {"x": X, "mean": S, "var": S, "weight": S, "bias": S, "eps": 1e-5} | {name: wrong}
    with pytest.raises(ValueError, match=f"^{name} must"):
        batch_norm_inference(**given)
    with pytest.raises(ValueError, match=f"^{name} must"):
        batch_norm_inference_backward(X, **given)


def test_every_public_function_says_its_shapes():
    for name in normcourse.__all__:
        assert getattr(normcourse, name).__doc__, name
