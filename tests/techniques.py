"""The activation normalizations as data, what is promised of all of them, and what tests share.

A technique answers two questions about the place of a number: with which others does it share its
statistics, and with which its weight? What our functions are compared with is built from these
answers, place by place and without an axis.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import product

import jax
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

import normcourse


@dataclass(frozen=True, eq=False)
class Technique:
    """One technique; ``setting`` is what stands between x and the weight: () or (num_groups,)."""

    name: str
    torchs: Callable  # torch's own function of (x, *setting, *parameters, eps)
    settings: Callable  # every setting that a shape allows
    statistic: Callable  # (place, shape, *setting): equal for numbers that share their statistics
    parameter: Callable  # (place, shape, *setting): the place of its entry in weight and bias
    parameters: tuple[str, ...] = ("weight", "bias")
    centered: bool = True

    @property
    def forward(self):
        return getattr(normcourse, self.name)

    @property
    def backward(self):
        return getattr(normcourse, f"{self.name}_backward")


def channel(place, shape, *setting):
    return place[1:2]


def torchs_group_norm(x, num_groups, weight, bias, eps):
    if weight is None and bias is not None:  # in which torch's own backward fails
        weight = torch.ones_like(bias)
    return F.group_norm(x, num_groups, weight, bias, eps)


LAST_AXES = {
    "settings": lambda shape: [(shape[k:],) for k in range(len(shape))],
    "statistic": lambda place, shape, last: place[: len(shape) - len(last)],
    "parameter": lambda place, shape, last: place[len(shape) - len(last) :],
}
BATCH = Technique(
    "batch_norm",
    lambda x, weight, bias, eps: F.batch_norm(x, None, None, weight, bias, True, 0.1, eps),
    settings=lambda shape: [()] if len(shape) >= 2 else [],
    statistic=channel,
    parameter=channel,
)
LAYER = Technique("layer_norm", F.layer_norm, **LAST_AXES)
INSTANCE = Technique(
    "instance_norm",
    lambda x, weight, bias, eps: F.instance_norm(x, None, None, weight, bias, True, 0.1, eps),
    settings=lambda shape: [()] if len(shape) >= 3 else [],
    statistic=lambda place, shape: place[:2],
    parameter=channel,
)
GROUP = Technique(
    "group_norm",
    torchs_group_norm,
    settings=lambda shape: [(g,) for g in range(1, max((0, *shape[1:2])) + 1) if shape[1] % g == 0],
    statistic=lambda place, shape, groups: (place[0], place[1] // (shape[1] // groups)),
    parameter=channel,
)
RMS = Technique("rms_norm", F.rms_norm, parameters=("weight",), centered=False, **LAST_AXES)
TECHNIQUES = [BATCH, LAYER, INSTANCE, GROUP, RMS]


# ---- which numbers share what ------------------------------------------------------------


@cache
def sharing(technique, shape, setting):
    """(order, inverse, groups, entries, parameter's shape) of the numbers in an array, flat.

    ``order`` puts numbers that share a statistic next to each other.
    """
    names, groups, entries = {}, [], []
    for place in np.ndindex(shape):
        name = technique.statistic(place, shape, *setting)
        groups.append(names.setdefault(name, len(names)))
        entries.append(technique.parameter(place, shape, *setting))
    parameter_shape = tuple(int(n) + 1 for n in np.max(entries, 0))
    entries = np.ravel_multi_index(np.transpose(entries), parameter_shape)
    order = np.argsort(groups, kind="stable")
    return order, np.argsort(order), len(names), entries, parameter_shape


def as_rows(technique, x, setting):
    """x as a table: a row for each statistic."""
    order, _, groups, *_ = sharing(technique, tuple(x.shape), setting)
    return x.reshape(-1)[order].reshape(groups, -1)


def from_rows(technique, rows, shape, setting):
    """What :func:`as_rows` did, undone."""
    _, inverse, *_ = sharing(technique, tuple(shape), setting)
    return rows.reshape(-1)[inverse].reshape(shape)


def parameter_shape(technique, shape, setting):
    return sharing(technique, tuple(shape), setting)[4]


def reference(technique, x, setting, parameters, eps):
    """The formula, transcribed for itself: float64 in, float64 out, differentiated by autograd."""
    *_, entries, _ = sharing(technique, tuple(x.shape), setting)
    v = as_rows(technique, x, setting)
    n = v.shape[1]
    mu = v.sum(1, keepdim=True) / n if technique.centered else 0.0
    xhat = (v - mu) / torch.sqrt(((v - mu) * (v - mu)).sum(1, keepdim=True) / n + eps)
    y = from_rows(technique, xhat, x.shape, setting)
    weight, bias = (*parameters, None)[:2]
    if weight is not None:
        y = y * weight.reshape(-1)[entries].reshape(x.shape)
    return y if bias is None else y + bias.reshape(-1)[entries].reshape(x.shape)


# ---- inputs ------------------------------------------------------------------------------

SHAPES = [(6,), (6, 3), (2, 3), (3, 6, 5), (2, 6, 4, 5), (1, 3, 2, 2), (2, 4, 2, 3, 4)]
HARD_SHAPES = [(64, 6), (2048, 6), (3, 4099), (8, 6, 16, 16)]
EPS = [1e-12, 1e-5, 0.1, 1.0]
AFFINE = list(product([True, False], repeat=2))


def cases(technique, shapes=SHAPES):
    """Every (shape, setting) in which a statistic is of more than one number."""
    return [
        (shape, setting)
        for shape in shapes
        for setting in technique.settings(shape)
        if sharing(technique, shape, setting)[2] < np.prod(shape)
    ]


@st.composite
def any_case(draw, technique):
    """Any (shape, setting, seed) of up to five axes."""
    sides = st.lists(st.integers(1, 4), min_size=1, max_size=5).map(tuple)
    options = draw(sides.map(lambda shape: cases(technique, [shape])).filter(bool))
    return *draw(st.sampled_from(options)), draw(st.integers(0, 2**32 - 1))


def arguments(technique, shape, setting, affine=(True, True), seed=0, dtype=torch.float64):
    """Random x, dy and parameters; ones and zeros would hide errors."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=g, dtype=dtype) * 2 + 3
    dy = torch.randn(shape, generator=g, dtype=dtype)
    p_shape = parameter_shape(technique, shape, setting)
    parameters = [torch.randn(p_shape, generator=g, dtype=dtype) for _ in technique.parameters]
    return x, dy, [p if keep else None for p, keep in zip(parameters, affine, strict=False)]


def autograd(function, dy, *inputs, **constants):
    """The function's value, and autograd's gradients of the inputs that are tensors."""
    leaves = [None if t is None else t.clone().requires_grad_() for t in inputs]
    y = function(*leaves, **constants)
    y.backward(dy.to(y.dtype))
    return y.detach(), *(None if t is None else t.grad for t in leaves)


def both(technique, dy, x, setting, parameters, eps):
    """Our value and gradients, in the order of :func:`autograd`."""
    y = technique.forward(x, *setting, *parameters, eps)
    return y, *technique.backward(dy, x, *setting, *parameters, eps)


def torchs(technique, dy, x, setting, parameters, eps):
    call = lambda x, *p: technique.torchs(x, *setting, *p, eps)  # noqa: E731
    return autograd(call, dy, x, *parameters)


def exact(technique, dy, x, setting, parameters, eps):
    """The :func:`reference` and its gradients in float64."""
    call = lambda x, *p: reference(technique, x, setting, p, eps)  # noqa: E731
    inputs = [None if t is None else t.double() for t in (x, *parameters)]
    return autograd(call, dy.double(), *inputs)


def plain(technique, x, setting, eps=1e-5):
    """x normalized, without weight and bias."""
    return technique.forward(x, *setting, *[None] * len(technique.parameters), eps)


def as_function(module):
    """The module as a function of its input and its parameters, for torch's gradcheck."""
    names = [name for name, _ in module.named_parameters()]

    def function(x, *parameters):
        return torch.func.functional_call(module, dict(zip(names, parameters, strict=True)), (x,))

    return function


def outlier(x):
    x = x.clone()
    x.view(-1)[7] = 1e6
    return x


HARD = {
    "normal": lambda x: x,
    "offset 1e4": lambda x: x + 1e4,
    "offset -1e6": lambda x: x - 1e6,
    "constant": lambda x: 0 * x + 0.1,
    "constant 1e4": lambda x: 0 * x + 1e4 + 0.1,
    "zeros": lambda x: 0 * x,
    "outlier 1e6": outlier,
    "denormal": lambda x: x * 1e-39,
    "tiny": lambda x: x * 1e-20,
    "large": lambda x: x * 1e15,
    "channels last": lambda x: x.movedim(1, -1).contiguous().movedim(-1, 1),
    "strided": lambda x: torch.stack([x, -x], -1)[..., 0],
    "expanded": lambda x: x[:1].expand(x.shape),
    "float16": lambda x: (400 * x).half(),
    "float16, parameters too": lambda x: (x + 300).half(),
    "bfloat16": lambda x: (3 * x + 5).bfloat16(),
    "bfloat16, parameters too": lambda x: (300 * x).bfloat16(),
}


# The same for the weight of a layer, as a matrix.
HARD_WEIGHTS = {
    "normal": lambda w: w,
    "offset 1e4": lambda w: w + 1e4,
    "1e15": lambda w: w * 1e15,
    "1e25": lambda w: w * 1e25,
    "transposed": lambda w: w.T.contiguous().T,
    "strided": lambda w: torch.stack([w, -w], -1)[..., 0],
    "float16": lambda w: (400 * w).half(),
    "float16, squares vanish": lambda w: (1e-4 * w).half(),
    "bfloat16": lambda w: (3 * w + 5).bfloat16(),
}

LIBRARIES = {"numpy": np.asarray, "torch": torch.as_tensor, "jax": jax.numpy.asarray}

# JAX has no float64 by default.
PRECISIONS = [p for p in product(LIBRARIES, ("float32", "float64")) if p != ("jax", "float64")]


def examples(count):
    # Each technique inherits the same test, which Hypothesis would take for an accident.
    return settings(
        max_examples=count, suppress_health_check=[HealthCheck.differing_executors], deadline=None
    )


# ---- comparisons -------------------------------------------------------------------------


def distance(result, truth):
    """The largest error."""
    return (result.double() - truth).abs().max().item()


def relative_distance(result, truth):
    """The largest error, in units of the largest exact entry; infinite for NaN."""
    error = (result.double() - truth).abs().max() / truth.abs().max()
    return error.nan_to_num(np.inf, np.inf).item()


def assert_same(results, expected, rtol=1e-9, atol=1e-11):
    torch.testing.assert_close(list(results), list(expected), rtol=rtol, atol=atol)


def assert_slopes(function, gradients, dy, inputs, rng, atol=1e-5):
    """In one random direction of all inputs at once, and of each input for itself."""
    h = 1e-6
    for which in (np.ones(len(inputs)), *np.eye(len(inputs))):
        steps = [k * rng.normal(size=a.shape) for k, a in zip(which, inputs, strict=True)]
        up, down = (
            function(*(a + s * d for a, d in zip(inputs, steps, strict=True))) for s in (h, -h)
        )
        expected = ((up - down) * dy).sum() / (2 * h)
        slope = sum((g * d).sum() for g, d in zip(gradients, steps, strict=True))
        assert slope == pytest.approx(expected, rel=1e-5, abs=atol)


def assert_library_agrees(library, function, inputs, atol=2e-5):
    """In float32, JAX's default: a few units in the last place apart from NumPy's float64."""
    inputs = [t.numpy() for t in inputs]
    arrays = [LIBRARIES[library](a) for a in inputs]
    exact = function(*(a.astype(float) for a in inputs))
    for a, b in zip(function(*arrays), exact, strict=True):
        assert type(a) is type(arrays[0])
        assert "float32" in str(a.dtype)
        assert a.shape == b.shape
        np.testing.assert_allclose(np.asarray(a), b, rtol=2e-5, atol=atol)


def assert_compiles(function, inputs):
    """Whole, by torch.compile and by jax.jit, to what it is without them."""
    expected = function(*inputs)
    torch.testing.assert_close(torch.compile(function, fullgraph=True)(*inputs), expected)
    traced = jax.jit(function)(*(t.float().numpy() for t in inputs))
    traced = [torch.tensor(np.asarray(a)) for a in traced]
    assert_same(traced, [t.float() for t in expected], 1e-4, 1e-5)


def assert_inputs_are_kept(function, inputs):
    """The function neither writes into what it gets nor returns its memory."""
    inputs = [t.numpy() for t in inputs]
    for a in inputs:
        a.flags.writeable = False
    copies = [a.copy() for a in inputs]
    results = function(*inputs)
    for a, b in zip(inputs, copies, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not any(np.shares_memory(a, r) for r in results)


# What is wrong in a good call: (the arguments changed, the error, what the message says).
WRONG = {
    "list": (lambda a: {"x": [[1.0, 2.0]]}, TypeError, "x must be an array.*got list.*numpy"),
    "none": (lambda a: {"x": None}, TypeError, "x must be an array.*got NoneType"),
    "string": (lambda a: {"x": "x"}, TypeError, "x must be an array.*got str"),
    "integers": (lambda a: {"x": a["x"].astype(int)}, TypeError, "^x must.*int64.*astype"),
    "booleans": (lambda a: {"x": a["x"] > 0}, TypeError, "^x must.*bool.*astype"),
    "complex": (lambda a: {"x": a["x"] * 1j}, TypeError, "^x must.*complex128"),
    "no axes": (lambda a: {"x": a["x"][0, 0, 0]}, ValueError, r"x.*shape \(\)"),
    "weight's shape": (
        lambda a: {"weight": a["weight"][:-1]},
        ValueError,
        r"^weight must have shape \(.*of x with shape \(4, 6, 5\); got \(",
    ),
    "weight's rank": (
        lambda a: {"weight": a["weight"][..., None]},
        ValueError,
        r"^weight must have shape.*got \(.*1\)",
    ),
    "weight's dtype": (
        lambda a: {"weight": a["weight"].astype(int)},
        TypeError,
        "^weight must be real.*int64",
    ),
    "weight's type": (lambda a: {"weight": 2.0}, TypeError, "^weight must be an array.*float"),
    "weight's library": (
        lambda a: {"weight": torch.tensor(a["weight"])},
        TypeError,
        "^weight is a torch.Tensor but x is a numpy.ndarray. Use one library",
    ),
    "bias's shape": (
        lambda a: {"bias": np.concatenate([a["x"][0, 0, :1]] * 7)},
        ValueError,
        r"^bias must have shape \(.*got \(7,\)",
    ),
    "bias's dtype": (lambda a: {"bias": a["x"] > 0}, TypeError, "^bias must be real.*bool"),
    "x's library": (
        lambda a: {"x": torch.tensor(a["x"])},
        TypeError,
        "^weight is a numpy.ndarray but x is a torch.Tensor",
    ),
    "negative eps": (lambda a: {"eps": -1e-5}, ValueError, "^eps must be zero.*-1e-05.*1e-8"),
    "nan eps": (lambda a: {"eps": float("nan")}, ValueError, "^eps must.*got nan"),
    "inf eps": (lambda a: {"eps": float("inf")}, ValueError, "^eps must.*got inf"),
    "eps as text": (lambda a: {"eps": "1e-5"}, TypeError, "^eps must be a number, got str"),
    "eps as truth": (lambda a: {"eps": True}, TypeError, "^eps must be a number, got bool"),
    "eps as array": (lambda a: {"eps": a["x"][0, 0]}, TypeError, "^eps must be a number.*ndarray"),
    "gradient's shape": (
        lambda a: {"dy": a["dy"][:2]},
        ValueError,
        r"^dy must have the shape of x, \(4, 6, 5\); got \(2, 6, 5\)",
    ),
    "gradient's rank": (lambda a: {"dy": a["dy"].sum()}, ValueError, r"^dy must.*got \(\)"),
    "gradient's dtype": (lambda a: {"dy": a["dy"] > 0}, TypeError, "^dy must be real.*bool"),
    "gradient is missing": (lambda a: {"dy": None}, TypeError, "^dy must be an array.*NoneType"),
    "gradient's library": (
        lambda a: {"dy": torch.tensor(a["dy"])},
        TypeError,
        "^dy is a torch.Tensor but x is a numpy.ndarray",
    ),
}


class Promises:
    """What each activation normalization keeps. A test class inherits it and names a technique."""

    technique: Technique

    @classmethod
    def pytest_generate_tests(cls, metafunc):
        if "case" in metafunc.fixturenames:
            metafunc.parametrize("case", cases(cls.technique), ids=str)
        if "hard_case" in metafunc.fixturenames:
            metafunc.parametrize("hard_case", cases(cls.technique, HARD_SHAPES), ids=str)
        if "wrong" in metafunc.fixturenames:
            names = [n for n in WRONG if "bias" in cls.technique.parameters or "bias" not in n]
            metafunc.parametrize("wrong", names)

    # ---- values and gradients ------------------------------------------------------------

    @pytest.mark.parametrize("eps", EPS)
    @pytest.mark.parametrize("affine", AFFINE, ids=str)
    def test_agrees_with_torch(self, case, affine, eps):
        t, (shape, setting) = self.technique, case
        x, dy, parameters = arguments(t, shape, setting, affine)
        ours = both(t, dy, x, setting, parameters, eps)
        assert_same(ours, torchs(t, dy, x, setting, parameters, eps))

    def test_default_eps(self):
        """1e-5, or None where the machine's is the default; a small x tells one from another."""
        t, shape = self.technique, (4, 6, 5)
        setting = t.settings(shape)[-1]
        x, dy, parameters = arguments(t, shape, setting)
        x = 1e-3 * x
        ours = t.forward(x, *setting, *parameters), *t.backward(dy, x, *setting, *parameters)
        eps = 1e-5 if t.centered else None
        assert_same(ours, both(t, dy, x, setting, parameters, eps), 0, 0)

    @examples(60)
    @given(st.data(), st.sampled_from(EPS), st.tuples(st.booleans(), st.booleans()))
    def test_is_the_formula_in_any_shape(self, data, eps, affine):
        t = self.technique
        shape, setting, seed = data.draw(any_case(t))
        x, dy, parameters = arguments(t, shape, setting, affine, seed)
        ours = both(t, dy, x, setting, parameters, eps)
        tolerance = 1e-11 / eps**0.5  # two values that are nearly equal: 1 / sigma is large
        assert_same(ours, exact(t, dy, x, setting, parameters, eps), atol=tolerance)

    @examples(40)
    @given(st.data())
    def test_backward_is_the_finite_difference(self, data):
        t, eps = self.technique, 1e-2
        shape, setting, seed = data.draw(any_case(t))
        x, dy, parameters = arguments(t, shape, setting, seed=seed)
        dy, *inputs = (a.numpy() for a in (dy, x, *parameters))
        forward = lambda x, *p: t.forward(x, *setting, *p, eps)  # noqa: E731
        gradients = t.backward(dy, inputs[0], *setting, *inputs[1:], eps)
        rng, atol = np.random.default_rng(seed), 1e-5 * x.numel() ** 0.5
        assert_slopes(forward, gradients, dy, inputs, rng, atol)

    @pytest.mark.parametrize(("library", "dtype"), PRECISIONS)
    def test_libraries_agree(self, library, dtype):
        t, shape = self.technique, (4, 6, 5, 2)
        convert, tolerance = LIBRARIES[library], {"float32": 2e-5, "float64": 1e-13}[dtype]
        for setting in t.settings(shape):
            x, dy, parameters = arguments(t, shape, setting, dtype=getattr(torch, dtype))
            truth = exact(t, dy, x, setting, parameters, 1e-5)
            x, dy, *parameters = (convert(a.numpy()) for a in (x, dy, *parameters))
            for a, b in zip(both(t, dy, x, setting, parameters, 1e-5), truth, strict=True):
                assert isinstance(a, type(x))
                assert dtype in str(a.dtype)
                atol = tolerance * max(1, b.abs().max().item())
                np.testing.assert_allclose(np.asarray(a), b, rtol=tolerance, atol=atol)

    def test_compiles_whole(self):
        t, shape = self.technique, (4, 6, 5)
        setting = t.settings(shape)[-1]
        x, dy, parameters = arguments(t, shape, setting, dtype=torch.float32)
        function = lambda dy, x, *p: both(t, dy, x, setting, p, 1e-5)  # noqa: E731
        assert_compiles(function, (dy, x, *parameters))

    @pytest.mark.parametrize("name", HARD)
    def test_hard_inputs(self, name, hard_case):
        """Never further from float64 than torch, beyond a few units in the last place."""
        t, (shape, setting) = self.technique, hard_case
        x, dy, parameters = arguments(t, shape, setting, seed=1, dtype=torch.float32)
        x = HARD[name]((x - 3) / 2)
        dy = dy.to(x.dtype)
        if "parameters too" in name:
            parameters = [p.to(x.dtype) for p in parameters]
        ours = both(t, dy, x, setting, parameters, 1e-5)
        theirs = torchs(t, dy, x, setting, parameters, 1e-5)
        truths = exact(t, dy, x, setting, parameters, 1e-5)
        for result, other, truth, like in zip(
            ours, theirs, truths, (x, x, *parameters), strict=True
        ):
            assert result.dtype == like.dtype
            few = 4 * torch.finfo(torch.float32).eps * truth.abs().max().item()
            assert distance(result, truth) <= max(distance(other.to(like.dtype), truth), few)

    # ---- inputs that are not numbers, not there, or not ours to change -------------------

    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
    def test_what_is_not_finite_stays_in_its_statistic(self, case, bad):
        t, (shape, setting) = self.technique, case
        x, dy, parameters = arguments(t, shape, setting)
        spoiled = x.clone()
        spoiled.view(-1)[-1] = bad
        before = both(t, dy, x, setting, parameters, 1e-5)[:2]
        after = both(t, dy, spoiled, setting, parameters, 1e-5)[:2]
        rows = [[as_rows(t, a, setting) for a in pair] for pair in zip(before, after, strict=True)]
        row = as_rows(t, spoiled, setting).isfinite().all(1).logical_not()
        for clean, dirty in rows:
            torch.testing.assert_close(dirty[~row], clean[~row])
            assert not dirty[row].isfinite().all()
        theirs = torchs(t, dy, spoiled, setting, parameters, 1e-5)[0]
        torch.testing.assert_close(after[0], theirs, equal_nan=True)

    @pytest.mark.parametrize("library", LIBRARIES)
    @pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value encountered")
    def test_an_empty_batch_stays_empty(self, library):
        t, shape = self.technique, (0, 4, 3)
        for setting in t.settings((1, 4, 3)):
            if setting == ((1, 4, 3),):  # the batch is part of the normalized shape
                continue
            _, _, parameters = arguments(t, (1, 4, 3), setting, dtype=torch.float32)
            parameters = [LIBRARIES[library](p.numpy()) for p in parameters]
            x = LIBRARIES[library](np.zeros(shape, np.float32))
            y, dx, *gradients = both(t, x, x, setting, parameters, 1e-5)
            assert tuple(y.shape) == tuple(dx.shape) == shape
            for gradient, p in zip(gradients, parameters, strict=True):
                np.testing.assert_array_equal(gradient, np.zeros(p.shape))

    def test_inputs_are_not_modified(self, case):
        t, (shape, setting) = self.technique, case
        x, dy, parameters = arguments(t, shape, setting)
        function = lambda dy, x, *p: both(t, dy, x, setting, p, 1e-5)  # noqa: E731
        assert_inputs_are_kept(function, (dy, x, *parameters))

    # ---- properties ----------------------------------------------------------------------

    @examples(40)
    @given(st.data())
    def test_scale_and_shift_of_a_statistic_change_nothing(self, data):
        """Each group of numbers has its own; without a mean only the scale is free."""
        t = self.technique
        shape, setting, seed = data.draw(any_case(t))
        x, *_ = arguments(t, shape, setting, seed=seed)
        rows, rng = as_rows(t, x, setting), np.random.default_rng(seed)
        scale, shift = torch.tensor(rng.uniform([[0.01], [-100]], 100, size=(2, len(rows))))
        moved = rows * scale[:, None] + shift[:, None] * t.centered
        moved = from_rows(t, moved, shape, setting)
        y, again, mirrored = (plain(t, a, setting, 1e-30) for a in (x, moved, -x))
        torch.testing.assert_close(again, y, atol=1e-11 / min(1, rows.std(1).min()), rtol=0)
        torch.testing.assert_close(mirrored, -y)

    @examples(40)
    @given(st.data())
    def test_the_order_of_numbers_and_of_statistics_does_not_matter(self, data):
        t = self.technique
        shape, setting, seed = data.draw(any_case(t))
        x, *_ = arguments(t, shape, setting, seed=seed)
        rng = np.random.default_rng(seed)
        shuffle = lambda rows: rows[rng.permutation(len(rows))][:, rng.permutation(rows.shape[1])]  # noqa: E731
        places = shuffle(torch.arange(x.numel()).reshape(as_rows(t, x, setting).shape))
        permute = lambda a: from_rows(  # noqa: E731
            t, as_rows(t, a, setting).reshape(-1)[places], shape, setting
        )
        torch.testing.assert_close(plain(t, permute(x), setting), permute(plain(t, x, setting)))

    @examples(40)
    @given(st.data(), st.sampled_from(EPS))
    def test_moments_of_the_result(self, data, eps):
        """Mean 0 and mean square s / (s + eps), not 1."""
        t = self.technique
        shape, setting, seed = data.draw(any_case(t))
        x, *_ = arguments(t, shape, setting, seed=seed)
        rows, xhat = (as_rows(t, a, setting) for a in (x, plain(t, x, setting, eps)))
        s = rows.var(1, correction=0) if t.centered else rows.square().mean(1)
        torch.testing.assert_close(xhat.square().mean(1), s / (s + eps))
        if t.centered:
            torch.testing.assert_close(xhat.mean(1), 0 * s, atol=1e-7, rtol=0)

    @examples(40)
    @given(st.data())
    def test_the_gradient_is_orthogonal_to_what_normalization_removes(self, data):
        """To 1 (but for RMS) and to xhat, within each statistic; whatever the weight is."""
        t = self.technique
        shape, setting, seed = data.draw(any_case(t))
        x, dy, parameters = arguments(t, shape, setting, seed=seed)
        dx = as_rows(t, t.backward(dy, x, *setting, *parameters, 0.0)[0], setting)
        xhat = as_rows(t, plain(t, x, setting, 0.0), setting)
        unit = (as_rows(t, x, setting).std(1) ** -1).max() + dx.abs().max()
        assert (dx * xhat).sum(1).abs().max() < 1e-10 * unit
        if t.centered:
            assert dx.sum(1).abs().max() < 1e-10 * unit

    # ---- errors --------------------------------------------------------------------------

    def test_errors_name_the_argument_and_what_it_got(self, wrong):
        changes, error, message = WRONG[wrong]
        t, shape = self.technique, (4, 6, 5)
        setting = t.settings(shape)[-1]
        x, dy, parameters = arguments(t, shape, setting)
        names = list(inspect.signature(t.backward).parameters)
        given = dict(zip(names, (dy, x, *setting, *parameters, 1e-5), strict=True))
        given = {k: v.numpy() if isinstance(v, torch.Tensor) else v for k, v in given.items()}
        changes = changes(given)
        with pytest.raises(error, match=message):
            t.backward(**given | changes)
        if "dy" not in changes:
            del given["dy"]
            with pytest.raises(error, match=message):
                t.forward(**given | changes)
