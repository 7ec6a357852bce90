"""group_norm: what every activation normalization promises, and what lies at its two ends."""

import numpy as np
import pytest
import torch
from techniques import GROUP, INSTANCE, LAYER, Promises, arguments, assert_same, both

from normcourse import group_norm, group_norm_backward


class TestGroupNorm(Promises):
    technique = GROUP


def test_by_hand():
    """Means 3 and 10, variances 4 and 1; a weight for each channel, not for each group."""
    x = np.array([[1.0, 5.0, 9.0, 11.0]])
    y = group_norm(x, 2, np.array([10.0, 100.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0, 4.0]), 0.0)
    np.testing.assert_allclose(y, [[-9, 102, 1, 7]])


SHAPES = [(3, 6), (3, 6, 5), (2, 4, 3, 5)]


@pytest.mark.parametrize("shape", SHAPES)
def test_one_group_is_layer_norm_over_all_but_samples(shape):
    """Without parameters: layer_norm's have C * H * W entries, group_norm's C."""
    x, dy, _ = arguments(GROUP, shape, (1,))
    ours = both(GROUP, dy, x, (1,), (None, None), 1e-5)
    assert_same(ours, both(LAYER, dy, x, (shape[1:],), (None, None), 1e-5))


@pytest.mark.parametrize("shape", SHAPES)
def test_one_group_with_the_weight_repeated_over_positions_is_layer_norm(shape):
    x, dy, parameters = arguments(GROUP, shape, (1,))
    repeated = [
        p.reshape(-1, *[1] * (len(shape) - 2)).expand(shape[1:]).contiguous() for p in parameters
    ]
    y, dx, *gradients = both(GROUP, dy, x, (1,), parameters, 1e-5)
    other = both(LAYER, dy, x, (shape[1:],), repeated, 1e-5)
    assert_same((y, dx), other[:2])
    assert_same(gradients, [g.reshape(shape[1], -1).sum(1) for g in other[2:]])


@pytest.mark.parametrize("shape", SHAPES[1:])
def test_a_group_for_each_channel_is_instance_norm(shape):
    x, dy, parameters = arguments(GROUP, shape, (shape[1],))
    ours = both(GROUP, dy, x, (shape[1],), parameters, 1e-5)
    assert_same(ours, both(INSTANCE, dy, x, (), parameters, 1e-5))


def test_one_group_is_not_layer_norm_over_channels():
    x, *_ = arguments(GROUP, (2, 5, 3), (1,))
    over_channels = LAYER.forward(x.movedim(1, -1), 5).movedim(-1, 1)
    assert (group_norm(x, 1) - over_channels).abs().max() > 0.1


def test_groups_are_neighbouring_channels():
    x, *_ = arguments(GROUP, (2, 6, 5), (3,))
    parts = [group_norm(x[:, i : i + 2], 1) for i in (0, 2, 4)]
    torch.testing.assert_close(group_norm(x, 3), torch.cat(parts, 1))


X = np.ones((2, 6, 4))
WRONG = {
    "not divisible": ((X, 4), ValueError, r"num_groups=4.*6 channels.*these do: \[1, 2, 3, 6\]"),
    "more than channels": ((X, 12), ValueError, r"num_groups=12 does not divide the 6 channels"),
    "zero": ((X, 0), ValueError, "num_groups must be at least 1, got 0"),
    "negative": ((X, -2), ValueError, "num_groups must be at least 1, got -2"),
    "float": ((X, 2.0), TypeError, "num_groups must be an integer, got 2.0"),
    "truth": ((X, True), TypeError, "num_groups must be an integer, got True"),
    "text": ((X, "2"), TypeError, "num_groups must be an integer, got '2'"),
    "none": ((X, None), TypeError, "num_groups must be an integer, got None"),
    "tuple": ((X, (2,)), TypeError, r"num_groups must be an integer, got \(2,\)"),
    "rank": ((X[0, 0], 1), ValueError, r"x must have at least 2 axes.*\(N, C, ...\).*\(4,\)"),
}


def test_one_value_per_group_gives_the_bias_and_a_warning():
    bias = np.arange(6.0)
    with pytest.warns(UserWarning, match=r"one value per group \(shape .*Use fewer groups"):
        y = group_norm(X[..., 0] * 7, 6, bias * 3, bias)
    np.testing.assert_array_equal(y, [bias, bias])
    with pytest.warns(UserWarning, match="one value per group"):
        dx, dweight, dbias = group_norm_backward(X[..., 0], X[..., 0] * 7, 6, bias * 3, bias)
    assert not dx.any()
    assert not dweight.any()
    np.testing.assert_array_equal(dbias, [2] * 6)


@pytest.mark.parametrize("name", WRONG)
def test_errors_name_the_groups(name):
    (x, groups), error, message = WRONG[name]
    with pytest.raises(error, match=message):
        group_norm(x, groups)
    with pytest.raises(error, match=message):
        group_norm_backward(x, x, groups)
