"""instance_norm: what every activation normalization promises, and its running statistics."""

import numpy as np
import pytest
import torch
from techniques import INSTANCE, LIBRARIES, Promises, arguments, assert_same, both
from torch.nn import functional as F

from normcourse import instance_norm, instance_norm_backward, update_running_instance_statistics


class TestInstanceNorm(Promises):
    technique = INSTANCE


def test_by_hand():
    """Means 3 and 10, variances 4 and 1."""
    x = np.array([[[1.0, 5.0], [9.0, 11.0]]])
    y = instance_norm(x, np.array([10.0, 2.0]), np.array([1.0, 3.0]), 0.0)
    np.testing.assert_allclose(y, [[[-9, 11], [1, 5]]])


def test_a_sample_does_not_see_the_others_but_parameters_sum_over_all():
    x, dy, parameters = arguments(INSTANCE, (4, 3, 5), ())
    y, dx, *gradients = both(INSTANCE, dy, x, (), parameters, 1e-5)
    alone = [
        both(INSTANCE, dy[i : i + 1], x[i : i + 1], (), parameters, 1e-5) for i in range(len(x))
    ]
    assert_same((y, dx), [torch.cat(parts) for parts in list(zip(*alone, strict=True))[:2]])
    assert_same(gradients, [sum(parts) for parts in list(zip(*alone, strict=True))[2:]])


def test_contrast_of_a_picture_is_lost():
    """What the paper is about: style is a scale and a shift of each channel of each picture."""
    x = np.random.default_rng(0).normal(size=(2, 3, 8, 8))
    contrast, brightness = np.random.default_rng(1).uniform(1, 9, size=(2, 2, 3, 1, 1))
    styled = instance_norm(contrast * x + brightness, eps=0.0)
    np.testing.assert_allclose(styled, instance_norm(x, eps=0.0), atol=1e-12)


# ---- running statistics ------------------------------------------------------------------


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("momentum", [0.0, 0.1, 0.37, 1.0])
@pytest.mark.parametrize("shape", [(2, 3, 4), (5, 3, 2, 6), (1, 3, 2, 2, 2)])
def test_running_statistics_are_torchs(momentum, shape, library):
    convert = LIBRARIES[library]
    mean, var = torch.tensor([0.5, -1.0, 3.0]), torch.tensor([0.1, 1.0, 7.0])
    ours = convert(mean.numpy().copy()), convert(var.numpy().copy())
    for seed in range(3):
        x, *_ = arguments(INSTANCE, shape, (), seed=seed, dtype=torch.float32)
        F.instance_norm(x, mean, var, use_input_stats=True, momentum=momentum)
        ours = update_running_instance_statistics(*ours, convert(x.numpy()), momentum)
    for a, b in zip(ours, (mean, var), strict=True):
        assert isinstance(a, type(convert(np.zeros(1))))
        np.testing.assert_allclose(np.asarray(a), b, rtol=1e-5, atol=1e-5)


def test_running_statistics_are_new_arrays():
    mean, var, x = np.zeros(3), np.ones(3), np.random.default_rng(0).normal(size=(2, 3, 4))
    for a in (mean, var, x):
        a.flags.writeable = False
    new = update_running_instance_statistics(mean, var, x, 0.0)
    np.testing.assert_array_equal(new, (mean, var))
    assert new[0] is not mean
    assert new[1] is not var


def test_running_statistics_keep_their_precision():
    x = (300 * torch.randn(4, 3, 50, generator=torch.Generator().manual_seed(0))).half()
    mean, var = update_running_instance_statistics(torch.zeros(3), torch.ones(3), x, 1.0)
    assert mean.dtype == var.dtype == torch.float32
    torch.testing.assert_close(var, x.float().var(2).mean(0))  # beyond the largest float16


X = np.ones((2, 3, 4))
S = np.ones(3)
WRONG = {
    "rank": (lambda: instance_norm(X[0]), ValueError, r"x must have.*\(N, C, L\).*\(3, 4\)"),
    "one position": (
        lambda: instance_norm(X[..., :1]),
        ValueError,
        r"one value per channel of a sample.*\(2, 3, 1\).*layer_norm or group_norm",
    ),
    "one position in backward": (
        lambda: instance_norm_backward(X[..., :1], X[..., :1]),
        ValueError,
        "one value",
    ),
    "running_mean": (
        lambda: update_running_instance_statistics(S[:2], S, X),
        ValueError,
        r"running_mean must have shape \(3,\).*got \(2,\)",
    ),
    "running_var": (
        lambda: update_running_instance_statistics(S, [1.0] * 3, X),
        TypeError,
        "running_var must be an array.*list",
    ),
    "no running_mean": (
        lambda: update_running_instance_statistics(None, S, X),
        TypeError,
        "running_mean must be an array",
    ),
    "no running_var": (
        lambda: update_running_instance_statistics(S, None, X),
        TypeError,
        "running_var must be an array",
    ),
    "empty": (lambda: update_running_instance_statistics(S, S, X[:0]), ValueError, "x is empty"),
    "momentum as text": (
        lambda: update_running_instance_statistics(S, S, X, "0.1"),
        TypeError,
        "momentum must be a number, got str",
    ),
    "momentum's library": (
        lambda: update_running_instance_statistics(S, S, X, torch.tensor(0.1)),
        TypeError,
        "momentum is a torch.Tensor but x is a numpy.ndarray",
    ),
    "momentum": (
        lambda: update_running_instance_statistics(S, S, X, 1.5),
        ValueError,
        "momentum is the weight of the new batch, from 0 to 1; got 1.5",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_name_the_argument(name):
    call, error, message = WRONG[name]
    with pytest.raises(error, match=message):
        call()
