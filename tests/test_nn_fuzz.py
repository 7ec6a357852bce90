"""Modules given what they cannot use: an error that names it, and nothing has changed."""

import copy

import numpy as np
import pytest
import torch

import normcourse.nn

# name: (arguments, the shape of an input that works)
MODULES = {
    "BatchNorm1d": ((4,), (3, 4, 5)),
    "SyncBatchNorm": ((4,), (3, 4, 5)),
    "SwitchableNorm1d": ((4,), (3, 4, 5)),
    "InstanceNorm1d": ((4, 1e-5, 0.1, False, True), (3, 4, 5)),
    "GroupNorm": ((2, 4), (3, 4)),
    "LayerNorm": ((4,), (3, 4)),
    "RMSNorm": ((4, None, False), (3, 4)),
    "LocalResponseNorm": ((3,), (3, 4, 5)),
    "DivisiveNorm": ((4,), (3, 4)),
    "GDN": ((4,), (3, 4)),
}
TRACKING = ["BatchNorm1d", "SwitchableNorm1d", "InstanceNorm1d"]
ODD_SETTINGS = [None, "a", 1j, [], float("nan"), True, torch.ones(2)]


def refuse(module, input, error, message):
    """It raises, and its state stays."""
    before = copy.deepcopy(dict(module.state_dict()))
    with pytest.raises(error, match=message):
        module(input)
    torch.testing.assert_close(dict(module.state_dict()), before, rtol=0, atol=0)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("input", [None, "text", 1.0, [[1.0]], np.ones((3, 4, 5), np.float32)])
def test_only_tensors_go_in(name, input):
    module = getattr(normcourse.nn, name)(*MODULES[name][0])
    refuse(module, input, TypeError, r"^(input|x) must be a torch\.Tensor, got .*as_tensor")


@pytest.mark.parametrize("name", TRACKING)
@pytest.mark.parametrize("momentum", ["a", 1j, [], float("nan"), True, 1.5, -1e-5])
def test_a_refused_momentum_counts_no_batch(name, momentum):
    positional, shape = MODULES[name]
    module = getattr(normcourse.nn, name)(*positional)
    module.momentum = momentum
    refuse(module, torch.randn(shape), (TypeError, ValueError), "^momentum")


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize(
    "eps", ["a", 1j, [], float("nan"), -1e-5, float("inf"), pytest.param(10**400, id="huge")]
)
def test_a_refused_eps_counts_no_batch(name, eps):
    positional, shape = MODULES[name]
    module = getattr(normcourse.nn, name)(*positional)
    if hasattr(module, "eps"):
        module.eps = eps
        refuse(module, torch.randn(shape), (TypeError, ValueError), "^eps")


@pytest.mark.parametrize("odd", ODD_SETTINGS)
@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("DivisiveNorm", "exponent"),
        ("DivisiveNorm", "sigma"),
        ("GDN", "beta_min"),
        ("GDN", "gamma_init"),
        ("GDN", "num_channels"),
    ],
)
def test_constructors_name_the_argument(name, argument, odd):
    keywords = {"num_channels": 4} | ({"canonical": True} if argument == "exponent" else {})
    with pytest.raises((TypeError, ValueError), match=rf"^{argument}"):
        getattr(normcourse.nn, name)(**(keywords | {argument: odd}))


def test_an_axis_may_be_a_numpy_integer():
    layer = torch.nn.Linear(3, 2)
    normcourse.nn.utils.parametrizations.spectral_norm(layer, dim=np.int64(1))
    assert layer.weight.shape == (2, 3)
