"""Anything goes in; what comes out is a right result or an error that teaches."""

import copy
import inspect
import re
import traceback
from math import prod
from numbers import Real
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import normcourse

TECHNIQUES = ["batch_norm", "batch_norm_inference", "layer_norm", "instance_norm", "group_norm"]
TECHNIQUES += ["rms_norm", "weight_norm", "spectral_norm", "divisive_norm", "signed_divisive_norm"]
TECHNIQUES += ["local_response_norm", "switchable_norm", "switchable_norm_inference", "standardize"]
FUNCTIONS = [f"{name}{end}" for name in TECHNIQUES for end in ("", "_backward")]
FUNCTIONS += ["mean_and_variance", "norm_except_dim", "as_matrix", "power_iteration"]
FUNCTIONS += ["update_running_statistics", "update_running_instance_statistics"]
# What the result is like, where the name does not say it: an argument for each, in their order.
LIKE = {
    "weight_norm": "v",
    "weight_norm_backward": "v g",
    "spectral_norm": "weight",
    "spectral_norm_backward": "weight",
    "power_iteration": "u v",
    "update_running_statistics": "running_mean running_var",
    "update_running_instance_statistics": "running_mean running_var",
}
GRADIENTS = "x mean_weight var_weight weight sigma gain bias"

ODD = [None, "text", b"bytes", 2.5, 1, -1, True, 1j, (), [], [1.0, 2.0], {}, object, np.float32(1)]
ODD += [np.ones(2, int), np.ones(2, bool), np.ones(2, complex), np.array(["a"]), np.array([None])]
ODD += [torch.ones(2, dtype=torch.int8), torch.ones(2) > 0, torch.ones(2) * 1j, torch.ones(())]
ODD += [
    np.ones((2, 2)),
    torch.ones(2, 2),
    np.ones((1, 2, 1), np.float16),
    np.ones(0),
    np.array(1.0),
]
EPS = [0.0, 1e-12, 1e-5, 1, np.float32(0.1), np.float64(1e-3), np.int64(1)]
ODD_EPS = [10**400, -1e-5, float("nan"), float("inf"), np.float32("nan"), np.float64(-1), -1]
FLOATS = ["float16", "float32", "float64"]
DTYPES = [*FLOATS, "int64", "bool", "complex64"]
KINDS = {
    "normal": lambda x: x,
    "wide": lambda x: 300 * x,
    "offset": lambda x: x + 1000,
    "constant": lambda x: 0 * x + 0.1,
    "zeros": lambda x: 0 * x,
    "tiny": lambda x: 1e-20 * x,
    "large": lambda x: 1e4 * x,
}


SETTINGS = {
    "momentum": [0, 0.1, 1.0, np.float32(0.3), np.array(0.5)],
    "exponent": [1, 2.0, 3.5],
    "power": [0.25, 0.5, 1],
    "size": [1, 2, 3, 6],
    "alpha": [0, 1e-4, 1.0],
    "beta": [0.5, 0.75, 1],
    "k": [1, 2.0, 1e-3],
    "n": [0, 1, 2, 15],
}


def shapes(name, shape, dim, last):
    """The shapes of all array arguments; the first one is the input, with this ``shape``."""
    channels = shape[1:2]
    if "weight_norm" in name or name == "norm_except_dim":
        g = () if dim is None else (1,) * dim + shape[dim : dim + 1] + (1,) * (len(shape) - dim - 1)
        return {"v": shape, "dw": shape, "g": g}
    if "spectral" in name or name in ("as_matrix", "power_iteration"):
        vectors = {"u": shape[dim : dim + 1], "v": (prod(shape[:dim]) * prod(shape[dim + 1 :]),)}
        return dict.fromkeys(("weight", "weight_matrix", "dy"), shape) | vectors
    right = dict.fromkeys(("x", "dy", "dxhat"), shape)
    vectors = ["weight", "bias", "mean", "var", "running_mean", "running_var", "sigma", "gain"]
    right |= dict.fromkeys(vectors, channels) | dict.fromkeys(("mean_weight", "var_weight"), (3,))
    if "divisive" in name:
        right["weight"] = channels * 2
    if name.startswith(("layer", "rms")):
        right["weight"] = right["bias"] = shape[last:]
    return right


@st.composite
def calls(draw, function):
    """Keyword arguments: most of them right, each now and then odd."""
    name = function.__name__
    least = draw(st.sampled_from([0, 2, 3, 3]))
    sides = st.sampled_from([0, 1, 2, 2, 3, 4])
    most = 2 if name == "power_iteration" else 6
    shape = tuple(draw(st.lists(sides, min_size=min(least, most), max_size=most)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    as_torch, dtype = draw(st.booleans()), draw(st.sampled_from(FLOATS))
    kind = draw(st.sampled_from(sorted(KINDS)))
    odd = lambda: draw(st.integers(0, 19)) == 19  # noqa: E731

    def array(shape, kind="normal", positive=False):
        values = KINDS[kind](rng.normal(size=shape)).clip(-6e4, 6e4)
        values = values**2 + 1e-3 if positive else values
        a = np.asarray(values, draw(st.sampled_from(DTYPES)) if odd() else dtype)
        return torch.from_numpy(a) if as_torch else a

    given = {}
    last = draw(st.integers(0, max(len(shape) - 1, 0)))
    dim = 0 if name == "power_iteration" else last
    if "weight_norm" in name and draw(st.booleans()):
        dim = None
    right = shapes(name, shape, dim, last)
    parameters = inspect.signature(function).parameters
    main = next(p for p in right if p in parameters)
    for p, parameter in parameters.items():
        if odd():
            given[p] = draw(st.sampled_from(ODD))
        elif p in right:
            positive = "var" in p or ("divisive" in name and p not in ("x", "dy"))
            given[p] = array(right[p], kind if p == main else "normal", positive)
            if parameter.default is not inspect.Parameter.empty and draw(st.booleans()):
                given[p] = parameter.default
        elif p == "normalized_shape":
            given[p] = shape[last:]
        elif p == "num_groups":
            divisors = [g for n in shape[1:2] for g in range(1, n + 1) if n % g == 0]
            given[p] = draw(st.sampled_from(divisors or [1]))
        elif p == "axis":
            axes = list(range(-len(shape), len(shape))) or [0]
            one = st.sampled_from(axes)
            given[p] = draw(one | st.lists(one, max_size=3, unique=True).map(tuple))
        elif p == "dim":
            given[p] = dim
        elif p == "eps":
            none = [None] * name.startswith("rms")
            given[p] = draw(st.sampled_from(EPS + none + ODD_EPS * odd()))
        else:
            given[p] = draw(st.sampled_from(SETTINGS[p] + ODD_EPS * odd()))
    return given


def expected(function, given):
    """The arguments that the results are like; None for no result."""
    name = function.__name__
    if name == "mean_and_variance":
        like = given["x"].sum(given["axis"], keepdims=True)
        if like.dtype.itemsize == 2:
            like = like.float() if isinstance(like, torch.Tensor) else like.astype("float32")
        return [like, like]
    if name == "norm_except_dim":
        v, dim = given["v"], given["dim"]
        axes = tuple(a for a in range(v.ndim) if dim in (-1, None) or a != dim % v.ndim)
        like = v.sum(axes, keepdims=True) if axes else v
        return [like.reshape(()) if len(axes) == v.ndim else like]
    if name == "as_matrix":
        weight, dim = given["weight"], given["dim"]
        others = [n for a, n in enumerate(weight.shape) if a != dim % weight.ndim]
        return [weight.reshape(weight.shape[dim], prod(others))]
    if name in LIKE:
        return [given[p] for p in LIKE[name].split()]
    if not name.endswith("_backward") or name.startswith("local"):
        return [given["x"]]
    gradients = [given[p] for p in GRADIENTS.split() if p in given]
    return [None if isinstance(a, Real) else a for a in gradients]


def in_float64(value):
    if isinstance(value, torch.Tensor):
        value = value.numpy()
    is_float = isinstance(value, np.ndarray) and value.dtype.kind == "f"
    return value.astype(float) if is_float else value


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_right_result_or_an_error_that_teaches(name):
    function, right = getattr(normcourse, name), 0

    @settings(max_examples=150)
    @given(calls(function))
    def check(given):
        nonlocal right
        error, before = None, copy.deepcopy(given)
        try:
            results = function(**given)
        except (TypeError, ValueError) as raised:
            error = raised
        for p, a in before.items():
            if getattr(a, "shape", ()):
                np.testing.assert_array_equal(given[p], a, f"{p} was changed")
        if error:
            where = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
            assert where.parent == Path(normcourse.__file__).parent, f"raised by {where}"
            assert any(re.search(rf"\b{p}\b", str(error)) for p in given), f"which one? {error}"
        else:
            right += 1
            check_results(function, given, results)

    check()
    assert right > 15, "with so few right calls this test proves little"


def check_results(function, given, results):
    """Shape, dtype and library are right; and the results are finite."""
    assert all("float" in str(a.dtype) for a in given.values() if getattr(a, "shape", ()))
    exact = function(**{p: in_float64(a) for p, a in given.items()})
    if not isinstance(results, tuple):
        results, exact = (results,), (exact,)
    defined = given.get("eps") != 0  # else 0 / 0 where all numbers are equal, or only one
    for result, like, truth in zip(results, expected(function, given), exact, strict=True):
        if like is None:
            assert result is None
            continue
        # NumPy's scalars are arrays without axes, and both are right where one of them was given.
        assert type(result) is type(np.asarray(like) if isinstance(like, np.generic) else like)
        assert tuple(result.shape) == tuple(like.shape)
        assert result.dtype == like.dtype
        if defined:
            assert np.isfinite(truth).all()
            fits = abs(truth) < np.finfo(str(result.dtype).removeprefix("torch.")).max / 2
            assert np.isfinite(np.asarray(result)[fits]).all()


def test_numpy_goes_with_jax_as_in_jax_itself():
    x = np.random.default_rng(0).normal(size=(2, 3, 5)).astype(np.float32)
    weight = np.arange(5, dtype=np.float32)
    truth = normcourse.layer_norm(x, 5, weight)
    for a, w in ((jnp.asarray(x), weight), (x, jnp.asarray(weight))):
        y = normcourse.layer_norm(a, 5, w)
        np.testing.assert_allclose(y, truth, rtol=1e-5, atol=1e-6)


def test_torch_goes_with_nothing_else():
    x = jnp.ones((2, 3))
    for a, b in ((x, torch.ones(3)), (torch.ones(2, 3), jnp.ones(3))):
        with pytest.raises(TypeError, match=r"weight is a .* but x is a .* Use one library"):
            normcourse.layer_norm(a, 3, b)


@pytest.mark.parametrize("name", ["mean_and_variance", "standardize"])
def test_masked_numbers_are_not_counted_in_silence(name):
    """NumPy leaves them out of a sum, and a count of all made a mean of neither."""
    x = np.ma.masked_greater(np.random.default_rng(0).normal(size=(50, 3)), 1)
    with pytest.raises(TypeError, match=r"x is a MaskedArray.*x\.filled"):
        getattr(normcourse, name)(x, 0)
