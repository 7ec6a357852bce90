"""Anything goes in; what comes out is a right result or an error that teaches."""

import inspect
import re
import traceback
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import normcourse

TECHNIQUES = ["batch_norm", "batch_norm_inference", "layer_norm", "instance_norm", "group_norm"]
FUNCTIONS = [f"{name}{end}" for name in (*TECHNIQUES, "rms_norm") for end in ("", "_backward")]
FUNCTIONS += ["standardize", "standardize_backward", "mean_and_variance"]
FUNCTIONS += ["update_running_statistics", "update_running_instance_statistics"]

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
ODD_EPS = [-1e-5, float("nan"), float("inf"), np.float32("nan"), np.float64(-1), -1]
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


@st.composite
def calls(draw, function):
    """Keyword arguments: most of them right, each now and then odd."""
    least = draw(st.sampled_from([0, 2, 3, 3]))
    sides = st.sampled_from([0, 1, 2, 2, 3, 4])
    shape = tuple(draw(st.lists(sides, min_size=least, max_size=6)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    as_torch, dtype = draw(st.booleans()), draw(st.sampled_from(FLOATS))
    kind = draw(st.sampled_from(sorted(KINDS)))
    odd = lambda: draw(st.integers(0, 19)) == 19  # noqa: E731

    def array(shape, kind="normal"):
        values = KINDS[kind](rng.normal(size=shape)).clip(-6e4, 6e4)
        a = np.asarray(values, draw(st.sampled_from(DTYPES)) if odd() else dtype)
        return torch.from_numpy(a) if as_torch else a

    given = {}
    last = draw(st.integers(0, max(len(shape) - 1, 0)))
    channels = shape[1:2]
    for name in inspect.signature(function).parameters:
        if odd():
            given[name] = draw(st.sampled_from(ODD))
        elif name == "x":
            given[name] = array(shape, kind)
        elif name in ("dy", "dxhat"):
            given[name] = array(shape)
        elif name in ("weight", "bias"):
            right = shape[last:] if "normalized_shape" in given else channels
            given[name] = draw(st.sampled_from([None, array(right)]))
        elif name in ("mean", "running_mean"):
            given[name] = array(channels)
        elif name in ("var", "running_var"):
            given[name] = array(channels) ** 2
        elif name == "normalized_shape":
            given[name] = shape[last:]
        elif name == "num_groups":
            divisors = [g for n in channels for g in range(1, n + 1) if n % g == 0]
            given[name] = draw(st.sampled_from(divisors or [1]))
        elif name == "axis":
            axes = list(range(-len(shape), len(shape))) or [0]
            one = st.sampled_from(axes)
            given[name] = draw(one | st.lists(one, max_size=3, unique=True).map(tuple))
        elif name == "eps":
            none = [None] * function.__name__.startswith("rms")
            given[name] = draw(st.sampled_from(EPS + none + ODD_EPS * odd()))
        else:
            assert name == "momentum"
            given[name] = draw(st.sampled_from([0, 0.1, 1.0, np.float32(0.3), np.array(0.5)]))
    return given


def expected(function, given):
    """The arguments that the results are like; None for no result."""
    name = function.__name__
    if name.startswith("update"):
        return [given["running_mean"], given["running_var"]]
    if name == "mean_and_variance":
        like = given["x"].sum(given["axis"], keepdims=True)
        if like.dtype.itemsize == 2:
            like = like.float() if isinstance(like, torch.Tensor) else like.astype("float32")
        return [like, like]
    if not name.endswith("_backward"):
        return [given["x"]]
    return [given["x"], *(given[p] for p in ("weight", "bias") if p in given)]


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
        error = None
        try:
            results = function(**given)
        except (TypeError, ValueError) as raised:
            error = raised
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
        assert type(result) is type(like)
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
