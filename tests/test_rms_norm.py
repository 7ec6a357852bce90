"""rms_norm: what every activation normalization promises but for the mean, and its own eps."""

import numpy as np
import pytest
import torch
from techniques import (
    LAYER,
    RMS,
    Promises,
    arguments,
    assert_same,
    autograd,
    both,
    distance,
    exact,
    torchs,
)

from normcourse import rms_norm, rms_norm_backward


class TestRMSNorm(Promises):
    technique = RMS


def test_by_hand():
    """The mean of 1 and 49 is 25."""
    y = rms_norm(np.array([[1.0, -7.0]]), 2, np.array([10.0, 100.0]), 0.0)
    np.testing.assert_allclose(y, [[2, -140]])


def test_a_single_vector_has_a_gradient_of_its_weight():
    x, dy, weight = np.random.default_rng(0).normal(size=(3, 5))
    _, dweight = rms_norm_backward(dy, x, 5, weight)
    np.testing.assert_allclose(dweight, dy * rms_norm(x, 5))


def test_all_samples_get_one_length_and_keep_their_direction():
    x = np.random.default_rng(0).normal(size=(4, 9)) + 5
    y = rms_norm(x, 9, eps=0.0)
    np.testing.assert_allclose(np.linalg.norm(y, axis=1), 3)
    np.testing.assert_allclose(y / x, np.repeat(y[:, :1] / x[:, :1], 9, 1))


def test_without_a_mean_to_remove_it_is_layer_norm():
    x, dy, (weight,) = arguments(RMS, (4, 6), ((6,),))
    x = x - x.mean(1, keepdim=True)
    y, dx, dweight = both(RMS, dy, x, ((6,),), (weight,), 1e-5)
    other, other_dx, other_dweight, _ = both(LAYER, dy, x, ((6,),), (weight, None), 1e-5)
    assert_same((y, dweight), (other, other_dweight))
    assert_same([dx - dx.mean(1, keepdim=True)], [other_dx])


def test_a_single_value_keeps_its_sign():
    """Where the mean of one value would leave nothing."""
    np.testing.assert_allclose(rms_norm(np.array([[3.0], [-0.5]]), 1, eps=0.0), [[1], [-1]])


# ---- the default of eps ------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 1e-4, 1e-7, 0.0])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_default_eps_is_torchs(dtype, scale):
    """Machine epsilon; small inputs tell one from another."""
    x, dy, (weight,) = arguments(RMS, (4, 6), ((6,),))
    x, dy, weight = (a.to(dtype) for a in (x * scale, dy, weight))
    ours = both(RMS, dy, x, ((6,),), (weight,), None)
    theirs = torchs(RMS, dy, x, ((6,),), (weight,), None)
    torch.testing.assert_close(ours, theirs)
    eps = torch.finfo(dtype if dtype == torch.float64 else torch.float32).eps
    torch.testing.assert_close(ours, both(RMS, dy, x, ((6,),), (weight,), eps), rtol=0, atol=0)
    assert_same(rms_norm(x, 6)[None], rms_norm(x, 6, None, eps)[None], 0, 0)


@pytest.mark.parametrize("scale", [1.0, 1e-4, 1e-20, 1e15])
def test_default_eps_never_further_from_float64_than_torch(scale):
    x, dy, (weight,) = arguments(RMS, (64, 100), ((100,),), dtype=torch.float32)
    x = (x - 3) * scale
    ours = both(RMS, dy, x, ((100,),), (weight,), None)
    theirs = torchs(RMS, dy, x, ((100,),), (weight,), None)
    truths = exact(RMS, dy, x, ((100,),), (weight,), 2.0**-23)
    for result, other, truth in zip(ours, theirs, truths, strict=True):
        few = 4 * torch.finfo(torch.float32).eps * truth.abs().max().item()
        assert distance(result, truth) <= max(distance(other, truth), few)


def test_long_double_has_no_coarser_eps_than_float64():
    x = np.array([[1e-6, 2e-6]])
    np.testing.assert_allclose(rms_norm(x.astype(np.longdouble), 2), rms_norm(x, 2), rtol=1e-12)


def test_eps_is_inside_the_root():
    x = np.array([[3.0, 3.0]])
    np.testing.assert_allclose(rms_norm(x, 2, eps=16.0), x / 5)


def test_autograd_through_our_forward_is_our_backward():
    x, dy, (weight,) = arguments(RMS, (4, 6), ((6,),))
    own = autograd(lambda x, w: rms_norm(x, 6, w), dy, x, weight)
    assert_same(both(RMS, dy, x, ((6,),), (weight,), None), own)


X = np.ones((2, 3, 5))
WRONG = {
    "empty": ((X, ()), ValueError, r"normalized_shape.*\(2, 3, 5\).*example \(5,\); got \(\)"),
    "zero": ((X, 0), ValueError, "normalized_shape must be at least 1, got 0"),
    "float": ((X, 5.0), TypeError, "normalized_shape must be an integer, got 5.0"),
    "truth": ((X[..., :1], True), TypeError, "normalized_shape must be an integer, got True"),
    "text": ((X, "5"), TypeError, "normalized_shape must be an integer, got '5'"),
    "not the last": ((X, (2, 3)), ValueError, r"last axes.*got \(2, 3\)"),
    "too long": ((X, (1, 2, 3, 5)), ValueError, r"last axes.*got \(1, 2, 3, 5\)"),
    "no axes": ((X[0, 0, 0], 1), ValueError, r"x must have at least 1 axis.*\(\)"),
    "bias for eps": ((X, 5, None, X[0, 0]), TypeError, "eps must be a number, got ndarray"),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_name_the_argument(name):
    given, error, message = WRONG[name]
    with pytest.raises(error, match=message):
        rms_norm(*given)
    with pytest.raises(error, match=message):
        rms_norm_backward(X, *given)
