"""layer_norm: what every activation normalization promises, and what is its own."""

import numpy as np
import pytest
import torch
from techniques import LAYER, Promises, arguments, assert_same, both

from normcourse import layer_norm, layer_norm_backward


class TestLayerNorm(Promises):
    technique = LAYER


def test_by_hand():
    """Mean 3, variance 4."""
    y = layer_norm(np.array([[1.0, 5.0]]), 2, np.array([10.0, 100.0]), np.array([1.0, 2.0]), 0.0)
    np.testing.assert_allclose(y, [[-9, 102]])


def test_a_single_vector_has_gradients_of_its_parameters():
    """No axis is left to sum over."""
    x, dy, weight, bias = np.random.default_rng(0).normal(size=(4, 5))
    dx, dweight, dbias = layer_norm_backward(dy, x, 5, weight, bias)
    np.testing.assert_allclose(dweight, dy * layer_norm(x, 5))
    np.testing.assert_array_equal(dbias, dy)
    assert dbias is not dy
    rows = layer_norm_backward(dy[None], x[None], 5, weight, bias)
    assert_same(map(torch.tensor, (dx[None], dweight, dbias)), map(torch.tensor, rows))


def test_a_sample_does_not_see_the_others():
    x, dy, parameters = arguments(LAYER, (4, 6, 5), ((6, 5),))
    y, dx, *_ = both(LAYER, dy, x, ((6, 5),), parameters, 1e-5)
    for i in range(4):
        alone = both(LAYER, dy[i], x[i], ((6, 5),), parameters, 1e-5)
        assert_same((y[i], dx[i]), alone[:2])


@pytest.mark.parametrize("same", [5, (5,), [5], torch.Size([5]), np.int64(5)], ids=repr)
def test_ways_to_write_the_shape(same):
    x = np.random.default_rng(0).normal(size=(2, 3, 5))
    np.testing.assert_array_equal(layer_norm(x, same), layer_norm(x, (5,)))


def test_a_constant_row_becomes_the_bias():
    weight, bias = np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32)
    x = np.full((2, 5), 1e6 + 0.1, np.float32)
    np.testing.assert_array_equal(layer_norm(x, 5, weight, bias), [bias, bias])


X = np.ones((2, 3, 5))
WRONG = {
    "empty": ((X, ()), ValueError, r"normalized_shape.*\(2, 3, 5\).*example \(5,\); got \(\)"),
    "zero": ((X, 0), ValueError, "normalized_shape must be at least 1, got 0"),
    "zero inside": ((X, (0, 5)), ValueError, "normalized_shape must be at least 1, got 0"),
    "negative": ((X, -1), ValueError, "normalized_shape must be at least 1, got -1"),
    "float": ((X, 5.0), TypeError, "normalized_shape must be an integer, got 5.0"),
    "float inside": ((X, (3, 5.0)), TypeError, "normalized_shape must be an integer, got 5.0"),
    "truth": ((X[..., :1], True), TypeError, "normalized_shape must be an integer, got True"),
    "text": ((X, "5"), TypeError, "normalized_shape must be an integer, got '5'"),
    "bytes": ((X, b"\5"), TypeError, "normalized_shape must be an integer"),
    "none": ((X, None), TypeError, "normalized_shape must be an integer, got None"),
    "not the last": ((X, 3), ValueError, r"last axes.*\(2, 3, 5\).*\(5,\); got \(3,\)"),
    "another order": ((X, (5, 3)), ValueError, r"last axes.*got \(5, 3\)"),
    "too long": ((X, (1, 2, 3, 5)), ValueError, r"last axes.*got \(1, 2, 3, 5\)"),
    "no axes": ((X[0, 0, 0], 1), ValueError, r"x must have at least 1 axis.*\(\)"),
}


def test_one_value_per_sample_gives_the_bias_and_a_warning():
    weight, bias = np.array([3.0]), np.array([0.5])
    with pytest.warns(UserWarning, match=r"one value per sample \(shape \(2, 3, 1\)\).*rms_norm"):
        y = layer_norm(X[..., :1] * 7, 1, weight, bias)
    assert (y == 0.5).all()
    with pytest.warns(UserWarning, match="one value per sample"):
        dx, dweight, dbias = layer_norm_backward(X[..., :1], X[..., :1] * 7, 1, weight, bias)
    assert not dx.any()
    assert not dweight.any()
    assert dbias == [6]


@pytest.mark.parametrize("name", WRONG)
def test_errors_name_the_shape(name):
    (x, shape), error, message = WRONG[name]
    with pytest.raises(error, match=message):
        layer_norm(x, shape)
    with pytest.raises(error, match=message):
        layer_norm_backward(x, x, shape)
