"""Divisive normalization: torch's LRN, the formulas in loops, finite differences, hard inputs."""

import copy
import itertools
import pickle
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from techniques import (
    HARD,
    LIBRARIES,
    as_function,
    assert_compiles,
    assert_inputs_are_kept,
    assert_library_agrees,
    assert_same,
    assert_slopes,
    autograd,
    distance,
)
from torch.nn import functional as F

from normcourse.divisive_norm import (
    divisive_norm,
    divisive_norm_backward,
    local_response_norm,
    local_response_norm_backward,
    signed_divisive_norm,
    signed_divisive_norm_backward,
)
from normcourse.nn.divisive_norm import GDN, DivisiveNorm, LocalResponseNorm

SHAPES = [(6, 3), (1, 1), (4, 3, 5), (2, 5, 4, 3), (1, 4, 1, 1), (2, 3, 2, 3, 2)]
EXPONENTS = [1.0, 1.5, 2.0, 3.3]
POWERS = [0.5, 0.75, 1.0, 0.2]


def case(shape, seed=0, dtype=torch.float64):
    """Random x, dy, pools, and two positive vectors."""
    g = torch.Generator().manual_seed(seed)
    c = shape[1]
    x = torch.randn(shape, generator=g, dtype=dtype) * 2 + 0.5
    dy = torch.randn(shape, generator=g, dtype=dtype)
    weight = torch.rand((c, c), generator=g, dtype=dtype)
    one, other = torch.rand((2, c), generator=g, dtype=dtype) + 0.2
    return x, dy, weight, one, other


def rows(x):
    """(C, everything else): the formulas below know channels only."""
    return x.transpose(0, 1).reshape(x.shape[1], -1)


def back(v, x):
    return v.reshape(x.transpose(0, 1).shape).transpose(0, 1)


def canonical_reference(x, weight, sigma, gain, n):
    """Carandini & Heeger's equation, channel by channel."""
    drive, out = torch.relu(rows(x)), []
    for i in range(x.shape[1]):
        pool = sum(weight[i, j] * drive[j] ** n for j in range(x.shape[1]))
        out.append(gain[i] * drive[i] ** n / (sigma[i] ** n + pool))
    return back(torch.stack(out), x)


def signed_reference(x, weight, bias, p):
    v, out = rows(x), []
    for i in range(x.shape[1]):
        pool = sum(weight[i, j] * v[j] * v[j] for j in range(x.shape[1]))
        out.append(v[i] / (bias[i] + pool) ** p)
    return back(torch.stack(out), x)


# ---- values and gradients ----------------------------------------------------------------


@pytest.mark.parametrize("n", EXPONENTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_canonical_form_is_the_equation(shape, n):
    x, dy, *parameters = case(shape)
    ours = divisive_norm(x, *parameters, n), *divisive_norm_backward(dy, x, *parameters, n)
    assert_same(ours, autograd(canonical_reference, dy, x, *parameters, n=n))


@pytest.mark.parametrize("p", POWERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_signed_form_is_the_equation(shape, p):
    x, dy, *parameters, _ = case(shape)
    y = signed_divisive_norm(x, *parameters, p)
    gradients = signed_divisive_norm_backward(dy, x, *parameters, p)
    assert_same((y, *gradients), autograd(signed_reference, dy, x, *parameters, p=p))


def test_the_jacobian_is_the_one_in_the_chapter():
    """dy_i/dx_j = delta_ij / r_i - w_ij x_i x_j / r_i^3 at one position."""
    x, _, weight, bias, _ = (t.numpy() for t in case((1, 4)))
    r = np.sqrt(bias + weight @ x[0] ** 2)
    jacobian = np.diag(1 / r) - weight * np.outer(x[0], x[0]) / r[:, None] ** 3
    for i, dy in enumerate(np.eye(4)):
        dx = signed_divisive_norm_backward(dy[None], x, weight, bias)[0]
        np.testing.assert_allclose(dx[0], jacobian[i])


LRN_SHAPES = [(2, 5, 4), (1, 1, 3), (2, 7, 3, 2), (2, 4, 2, 3, 2), (1, 3, 1, 1)]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 9, 20])
@pytest.mark.parametrize("shape", LRN_SHAPES)
def test_local_response_norm_is_torchs(shape, size):
    x, dy, *_ = case(shape)
    for alpha, beta, k in [(1e-4, 0.75, 1.0), *itertools.product([0.0, 0.7], [0.5, 1.3], [0.1, 2])]:
        setting = {"size": size, "alpha": alpha, "beta": beta, "k": k}
        y, dx = local_response_norm(x, **setting), local_response_norm_backward(dy, x, **setting)
        assert_same((y, dx), autograd(F.local_response_norm, dy, x, **setting))
    torch.testing.assert_close(local_response_norm(x, size), F.local_response_norm(x, size))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 11])
def test_local_response_norm_is_the_signed_form_with_a_band(size):
    x, *_ = case((2, 6, 4))
    band = torch.zeros(6, 6, dtype=x.dtype)
    for i, j in itertools.product(range(6), repeat=2):
        band[i, j] = 0.3 / size if i - size // 2 <= j <= i + (size - 1) // 2 else 0.0
    expected = signed_divisive_norm(x, band, 1.5, 0.6)
    torch.testing.assert_close(local_response_norm(x, size, 0.3, 0.6, 1.5), expected)


@settings(max_examples=60)
@given(
    st.integers(0, 10**6),
    st.sampled_from([(5, 2), (3, 2, 4), (2, 3, 2, 2)]),
    st.floats(1, 4),
    st.floats(0.1, 1.5),
)
def test_backward_is_the_finite_difference(seed, shape, n, p):
    x, dy, *parameters = (t.numpy() for t in case(shape, seed))
    x = np.where(abs(x) < 1e-3, 1.0, x)  # the canonical form has a kink at 0
    rng = np.random.default_rng(seed)
    forms = [
        (divisive_norm, divisive_norm_backward, parameters, n),
        (signed_divisive_norm, signed_divisive_norm_backward, parameters[:2], p),
    ]
    for forward, backward, learned, setting in forms:
        inputs = [x, *learned]
        gradients = backward(dy, *inputs, setting)
        assert_slopes(lambda *a: forward(*a, setting), gradients, dy, inputs, rng)  # noqa: B023


@pytest.mark.parametrize("backward", [divisive_norm_backward, signed_divisive_norm_backward])
def test_the_gradient_of_the_pools_needs_no_matrix_per_sample(backward):
    """Of 400 rows of 300 these were 144 MB, for a gradient of a third of a megabyte."""
    x = np.random.default_rng(0).normal(size=(400, 300)).astype(np.float32)
    weight = np.full((300, 300), 1 / 300, np.float32)
    tracemalloc.start()
    dweight = backward(x, x, weight)[1]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40 * x.nbytes
    exact = backward(*(a.astype(float) for a in (x, x, weight)))[1]
    np.testing.assert_allclose(dweight, exact, 1e-4, 1e-4 * abs(exact).max())


def test_gradient_is_zero_where_the_drive_is_rectified():
    x = np.array([[-1.0, 0.0, 2.0]])
    for n in EXPONENTS:
        dx, *_ = divisive_norm_backward(np.ones((1, 3)), x, np.ones((3, 3)), exponent=n)
        assert (dx[0, :2] == 0).all()
        assert np.isfinite(dx).all()
        assert dx[0, 2] != 0


def test_numbers_stand_for_equal_vectors_and_have_no_gradient():
    x, dy, weight, *_ = case((2, 3, 4))
    full = torch.full((3,), 0.7, dtype=x.dtype)
    torch.testing.assert_close(
        divisive_norm(x, weight, 0.7, 0.7), divisive_norm(x, weight, full, full)
    )
    torch.testing.assert_close(
        signed_divisive_norm(x, weight, 0.7), signed_divisive_norm(x, weight, full)
    )
    dx, dweight, *none = divisive_norm_backward(dy, x, weight, 0.7, 0.7)
    assert_same((dx, dweight), divisive_norm_backward(dy, x, weight, full, full)[:2])
    assert none == [None, None]
    assert signed_divisive_norm_backward(dy, x, weight, 0.7)[2] is None


def test_defaults():
    x, dy, weight, *_ = case((2, 3, 4))
    for forward, backward, first, stated in (
        (divisive_norm, divisive_norm_backward, weight, (1.0, 1.0, 2.0)),
        (signed_divisive_norm, signed_divisive_norm_backward, weight, (1.0, 0.5)),
        (local_response_norm, local_response_norm_backward, 3, (1e-4, 0.75, 1.0)),
    ):
        assert torch.equal(forward(x, first), forward(x, first, *stated))
        short, full = backward(dy, x, first), backward(dy, x, first, *stated)
        assert torch.equal(short[0], full[0])


def everything(x, dy, weight, one, other):
    """All six functions, as one flat tuple of arrays."""
    return (
        divisive_norm(x, weight, one, other, 2.5),
        *divisive_norm_backward(dy, x, weight, one, other, 2.5),
        signed_divisive_norm(x, weight, one, 0.6),
        *signed_divisive_norm_backward(dy, x, weight, one, 0.6),
        local_response_norm(x, 2, 0.5),
        local_response_norm_backward(dy, x, 2, 0.5),
    )


@pytest.mark.parametrize("library", LIBRARIES)
def test_libraries_agree(library):
    assert_library_agrees(library, everything, case((4, 3, 5, 2), dtype=torch.float32))


def test_compiles_whole():
    assert_compiles(everything, case((4, 3, 5), dtype=torch.float32))


# ---- hard inputs -------------------------------------------------------------------------

HARD = HARD | {
    "one position": lambda x: x[:, :, :1, :1],
    "one sample": lambda x: x[:1],
    "bfloat16": lambda x: (300 * x + 5).bfloat16(),
}


def naive_canonical(x, weight, sigma, gain):
    """As one would write it, in the dtype of x."""
    v = torch.relu(x).flatten(2) ** 2
    d = sigma[:, None] ** 2 + (weight[:, :, None] * v[:, None]).sum(2)
    return (gain[:, None] * v / d).reshape(x.shape)


def naive_signed(x, weight, bias):
    v = x.flatten(2)
    d = bias[:, None] + (weight[:, :, None] * (v * v)[:, None]).sum(2)
    return (v / d.sqrt()).reshape(x.shape)


FORMS = {
    "canonical": (divisive_norm, divisive_norm_backward, naive_canonical, 3),
    "signed": (signed_divisive_norm, signed_divisive_norm_backward, naive_signed, 2),
    "lrn": (
        lambda x: local_response_norm(x, 3, 0.5),
        lambda dy, x: (local_response_norm_backward(dy, x, 3, 0.5),),
        lambda x: F.local_response_norm(x, 3, 0.5),
        0,
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", HARD)
def test_hard_inputs(name, form):
    """Never further from float64 than torch or the formula as one would write it."""
    forward, backward, other, count = FORMS[form]
    x, dy, *parameters = case((8, 5, 6, 6), seed=1, dtype=torch.float32)
    x = HARD[name](x)
    dy = dy[: x.shape[0], :, : x.shape[2], : x.shape[3]].to(x.dtype)
    parameters = parameters[:count]
    ours = [forward(x, *parameters), *backward(dy, x, *parameters)]
    theirs = autograd(other, dy, x.float(), *parameters)  # torch's own LRN has no half precision
    exact = autograd(other, dy, x.double(), *(p.double() for p in parameters))
    for result, rival, truth in zip(ours, theirs, exact, strict=True):
        assert result.isfinite().all()
        single = 8 if truth.shape == x.shape else 64  # a parameter's gradient is a long sum
        units = single if result.dtype == torch.float32 else 1  # half precision is rounded once
        limits = torch.finfo(result.dtype)
        few = units * limits.eps * truth.abs().max().item() + limits.tiny
        assert distance(result, truth) <= max(distance(rival.to(result.dtype), truth), few)
    assert ours[0].dtype == ours[1].dtype == x.dtype


def test_squares_beyond_the_dtype_do_no_harm():
    """1e20 squared is no float32: as one would write it, 0 * inf is NaN."""
    x = torch.tensor([[1e20, 2.0, -3e20], [1e-30, 0.0, 2e-30]])
    weight = torch.tensor([[1.0, 0, 0], [0, 1, 0], [1, 0, 1]])
    for forward, reference in (
        (lambda x, w: divisive_norm(x, w, 1.0, 1.0, 2.0), naive_canonical),
        (lambda x, w: signed_divisive_norm(x, w, 1.0), naive_signed),
    ):
        ones = [torch.ones(3).double()] * (2 if reference is naive_canonical else 1)
        exact = reference(x.double()[..., None], weight.double(), *ones)[..., 0]
        y = forward(x, weight)
        assert y.isfinite().all()
        torch.testing.assert_close(y[:, 0].double(), exact[:, 0])
        torch.testing.assert_close(y[:, 2].double(), exact[:, 2])
    assert naive_signed(x[..., None], weight, torch.ones(3)).isnan().any()
    cubes = divisive_norm(torch.full((1, 4), 1e15), torch.ones(4, 4), 1.0, 1.0, 3.0)
    torch.testing.assert_close(cubes, torch.full((1, 4), 0.25))
    silent = divisive_norm(torch.zeros(1, 4), torch.ones(4, 4), 1e-30)  # sigma^2 is 0 in float32
    torch.testing.assert_close(silent, torch.zeros(1, 4))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_at_its_position(bad):
    x, _, weight, *_ = (t.numpy() for t in case((2, 3, 4)))
    dirty = x.copy()
    dirty[1, 2, 3] = bad
    clean = np.ones((2, 4), bool)
    clean[1, 3] = False
    with np.errstate(invalid="ignore"):
        for function in (
            lambda x: divisive_norm(x, weight),
            lambda x: signed_divisive_norm(x, weight),
            lambda x: local_response_norm(x, 3),
        ):
            y, expected = function(dirty), function(x)
            assert np.isnan(y[1, 2, 3])
            for c in range(3):
                np.testing.assert_allclose(y[:, c][clean], expected[:, c][clean])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_the_first_sample_holds_does_not_move_the_pools(bad):
    x, *_ = (t.numpy() for t in case((2, 5, 4)))
    dirty = x.copy()
    dirty[0, 2] = bad
    with np.errstate(invalid="ignore"):
        y = local_response_norm(dirty, 3, 0.5)
    np.testing.assert_array_equal(y[1], local_response_norm(x, 3, 0.5)[1])


@pytest.mark.parametrize("library", LIBRARIES)
def test_empty_batch_stays_empty(library):
    convert = LIBRARIES[library]
    x, weight, v = (convert(np.ones(s, np.float32)) for s in ((0, 3, 4), (3, 3), (3,)))
    y, dx, dweight, *_ = everything(x, x, weight, v, v)
    assert tuple(y.shape) == tuple(dx.shape) == (0, 3, 4)
    np.testing.assert_array_equal(dweight, np.zeros((3, 3)))


def test_inputs_are_not_modified():
    assert_inputs_are_kept(everything, case((4, 3, 5)))


# ---- properties --------------------------------------------------------------------------


@given(st.floats(1e-6, 1e6), st.sampled_from(EXPONENTS))
def test_scaling_input_and_semi_saturation_together(scale, n):
    """The ratio of drive to sigma counts; the signed form with p = 1/2 likewise."""
    x, _, weight, sigma, gain = (t.numpy() for t in case((3, 4, 2)))
    y = divisive_norm(x, weight, sigma, gain, n)
    np.testing.assert_allclose(divisive_norm(scale * x, weight, scale * sigma, gain, n), y)
    y = signed_divisive_norm(x, weight, sigma)
    np.testing.assert_allclose(signed_divisive_norm(scale * x, weight, scale**2 * sigma), y)


@given(st.floats(0.01, 100), st.sampled_from(EXPONENTS))
def test_without_semi_saturation_contrast_does_not_matter(scale, n):
    x, _, weight, *_ = (t.numpy() for t in case((3, 4, 2)))
    for function in (
        lambda x: divisive_norm(x, weight, 1e-60, 1.0, n),
        lambda x: signed_divisive_norm(x, weight, 1e-120),
    ):
        np.testing.assert_allclose(function(scale * x), function(x), rtol=1e-9, atol=1e-30)


@given(st.floats(0.01, 100), st.sampled_from(EXPONENTS))
def test_a_lone_drive_at_sigma_reaches_half_of_the_gain(sigma, n):
    y = divisive_norm(np.array([[sigma]]), np.ones((1, 1)), sigma, 3.0, n)
    np.testing.assert_allclose(y, 1.5)


@given(st.integers(0, 10**6))
def test_bounds_and_signs(seed):
    x, _, _, sigma, gain = (t.numpy() for t in case((3, 4, 2), seed))
    ones = np.ones((4, 4))
    y = divisive_norm(x, ones, sigma, gain)
    assert (y >= 0).all()
    assert (y.sum(1) < gain.max()).all()
    y = signed_divisive_norm(x, ones, sigma)
    assert ((y**2).sum(1) < 1).all()
    np.testing.assert_allclose(signed_divisive_norm(-x, ones, sigma), -y)


@given(st.permutations(range(4)))
def test_permuting_channels_with_their_pools_permutes_the_result(order):
    x, _, weight, sigma, gain = (t.numpy() for t in case((3, 4, 2)))
    moved = divisive_norm(x[:, order], weight[order][:, order], sigma[order], gain[order])
    np.testing.assert_allclose(moved, divisive_norm(x, weight, sigma, gain)[:, order])


def test_a_stronger_neighbour_suppresses():
    """Cross-orientation suppression: a mask in the pool lowers the response to a fixed drive."""
    x = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 4.0]])
    y = divisive_norm(x, np.ones((2, 2)))
    np.testing.assert_allclose(y[:, 0], [1 / 2, 1 / 3, 1 / 18])


# ---- modules -----------------------------------------------------------------------------

MODULES = {
    "lrn": lambda **like: LocalResponseNorm(3, 0.5),
    "signed": lambda **like: DivisiveNorm(4, **like),
    "canonical": lambda **like: DivisiveNorm(4, canonical=True, exponent=1.7, **like),
    "gdn": lambda **like: GDN(4, **like),
}


def shaken(name):
    """A float64 module whose parameters are random."""
    module = MODULES[name](dtype=torch.float64)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    return module


def test_local_response_norm_is_torchs_module():
    x = torch.randn(2, 6, 3, 3)
    for arguments in [(3,), (4, 0.1), (5, 0.1, 0.5, 2.0)]:
        ours, theirs = LocalResponseNorm(*arguments), torch.nn.LocalResponseNorm(*arguments)
        inputs = [x.clone().requires_grad_() for _ in range(2)]
        results = [m(i) for m, i in zip((ours, theirs), inputs, strict=True)]
        torch.testing.assert_close(*results)
        for result in results:
            result.square().sum().backward()
        torch.testing.assert_close(inputs[0].grad, inputs[1].grad)
        assert repr(ours) == repr(theirs)
        assert list(ours.state_dict()) == list(theirs.state_dict())


def test_modules_are_the_functions():
    x = torch.randn(2, 4, 3, dtype=torch.float64)
    m = shaken("signed")
    torch.testing.assert_close(m(x), signed_divisive_norm(x, m.weight, m.sigma**2))
    m = shaken("canonical")
    torch.testing.assert_close(m(x), divisive_norm(x, m.weight, m.sigma, m.gain, 1.7))
    m = shaken("gdn")
    torch.testing.assert_close(m(x), signed_divisive_norm(x, m.gamma, m.beta))


def test_where_modules_start():
    m = DivisiveNorm(4, sigma=0.5)
    torch.testing.assert_close(m.weight, torch.full((4, 4), 0.25))
    torch.testing.assert_close(m.sigma, torch.full((4,), 0.5))
    assert m.gain is None
    x = torch.randn(8, 4)
    mean_square = x.square().mean(1, keepdim=True)
    torch.testing.assert_close(m(x), x / (mean_square + 0.25).sqrt())  # an RMSNorm of channels
    g = GDN(4, gamma_init=0.2)
    torch.testing.assert_close(g.gamma, 0.2 * torch.eye(4))
    torch.testing.assert_close(g.beta, torch.ones(4))


@pytest.mark.parametrize("name", MODULES)
def test_module_gradients_are_autograds(name):
    module = shaken(name)
    x = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    function, inputs = as_function(module), (x, *module.parameters())
    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs, atol=1e-4)


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_saved_copied_and_moved(name):
    module, x = shaken(name), torch.randn(2, 4, 3, dtype=torch.float64)
    fresh = MODULES[name](dtype=torch.float64)
    fresh.load_state_dict(module.state_dict())
    for other in (fresh, copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        torch.testing.assert_close(other(x), module(x))
        assert repr(other) == repr(module)
    torch.testing.assert_close(copy.deepcopy(module).eval()(x), module(x))
    half = copy.deepcopy(module).half()(x.half())
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.double(), module(x), rtol=1e-2, atol=1e-2)
    meta = MODULES[name](device="meta")(torch.empty(2, 4, 3, device="meta"))
    assert meta.shape == (2, 4, 3)
    assert {p.dtype for p in module.float().parameters()} <= {torch.float32}


@pytest.mark.parametrize("name", MODULES)
def test_modules_compile_export_and_ignore_autocast(name):
    module, x = MODULES[name](), torch.randn(2, 4, 5, 5)
    y = module(x)
    torch.testing.assert_close(torch.export.export(module, (x,)).module()(x), y)
    a, b, c = (x.clone().requires_grad_() for _ in range(3))
    compiled = torch.compile(module, fullgraph=True)(a)
    torch.testing.assert_close(compiled, y)
    with torch.autocast("cpu"):
        torch.testing.assert_close(module(b), y, rtol=0, atol=0)
        for result in (compiled, module(b)):
            result.square().sum().backward()
    module(c).square().sum().backward()
    torch.testing.assert_close(a.grad, c.grad)
    torch.testing.assert_close(b.grad, c.grad, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["signed", "canonical", "gdn"])
def test_constraints_survive_any_training(name):
    """Steps far too large, towards larger outputs: pools stay positive, outputs finite."""
    torch.manual_seed(0)
    module = MODULES[name]()
    optimizer = torch.optim.SGD(module.parameters(), lr=30.0)
    for _ in range(30):
        x = torch.randn(8, 4, 3)
        optimizer.zero_grad()
        loss = -module(x).abs().mean()
        loss.backward()
        optimizer.step()
        assert loss.isfinite()
        pools, floor = (
            (module.gamma, module.beta) if name == "gdn" else (module.weight, module.sigma)
        )
        assert (pools >= 0).all()
        assert (floor >= 1e-6).all()


def test_a_weight_that_starts_at_zero_is_learned():
    m = GDN(4)
    assert (m.gamma[0, 1:] < 1e-10).all()
    optimizer = torch.optim.Adam(m.parameters(), lr=0.01)
    for _ in range(50):
        optimizer.zero_grad()
        m(torch.ones(2, 4, 3)).square().sum().backward()
        optimizer.step()
    assert (m.gamma[0, 1:] > 1e-2).all()


@pytest.mark.parametrize("name", MODULES)
def test_a_network_trains(name):
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), MODULES[name](), torch.nn.Flatten(), torch.nn.Linear(4 * 36, 2)
    )
    x = torch.randn(64, 1, 8, 8)
    target = (x.mean((1, 2, 3)) > 0).long()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.3 * losses[0]


# ---- errors ------------------------------------------------------------------------------

X, W = np.ones((4, 3, 2)), np.ones((3, 3))
WRONG = {
    "list": (lambda: divisive_norm([[1.0]], W), TypeError, "^x must be an array.*list"),
    "integers": (lambda: signed_divisive_norm(X.astype(int), W), TypeError, "^x.*int64.*astype"),
    "rank": (lambda: divisive_norm(X[0, :, 0], W), ValueError, r"2 axes, \(N, C, \.\.\.\).*\(3,\)"),
    "no weight": (lambda: signed_divisive_norm(X, None), TypeError, "^weight.*NoneType"),
    "weight's shape": (
        lambda: divisive_norm(X, W[:2]),
        ValueError,
        r"^weight must have shape \(3, 3\), a row and a column per channel.*got \(2, 3\)",
    ),
    "libraries": (lambda: divisive_norm(X, torch.ones(3, 3)), TypeError, "^weight is a torch"),
    "sigma 0": (lambda: divisive_norm(X, W, 0), ValueError, "^sigma must be above 0.*got 0"),
    "sigma nan": (lambda: divisive_norm(X, W, float("nan")), ValueError, "^sigma.*nan"),
    "sigma's shape": (lambda: divisive_norm(X, W, np.ones(4)), ValueError, r"^sigma.*\(4,\)"),
    "sigma none": (lambda: divisive_norm(X, W, None), TypeError, "^sigma.*NoneType"),
    "gain": (lambda: divisive_norm(X, W, 1, -1.0), ValueError, "^gain must be above 0.*-1"),
    "exponent": (lambda: divisive_norm(X, W, exponent=0.5), ValueError, "^exponent.*at least 1"),
    "exponent's type": (lambda: divisive_norm(X, W, exponent="2"), TypeError, "^exponent.*str"),
    "bias": (lambda: signed_divisive_norm(X, W, -1.0), ValueError, "^bias must be above 0.*-1"),
    "power": (lambda: signed_divisive_norm(X, W, 1.0, 0.0), ValueError, "^power.*above 0"),
    "gradient": (
        lambda: divisive_norm_backward(X[:2], X, W),
        ValueError,
        r"^dy must have the shape of x, \(4, 3, 2\); got \(2, 3, 2\)",
    ),
    "signed gradient": (lambda: signed_divisive_norm_backward(None, X, W), TypeError, "^dy"),
    "backward sigma": (lambda: divisive_norm_backward(X, X, W, 0), ValueError, "^sigma must be"),
    "backward gain": (
        lambda: divisive_norm_backward(X, X, W, 1, -1.0),
        ValueError,
        "^gain must be above 0.*-1",
    ),
    "backward exponent": (
        lambda: divisive_norm_backward(X, X, W, exponent=0.5),
        ValueError,
        "^exponent must be at least 1.*0.5",
    ),
    "backward bias": (
        lambda: signed_divisive_norm_backward(X, X, W, -1.0),
        ValueError,
        "^bias must be above 0.*-1",
    ),
    "backward power": (
        lambda: signed_divisive_norm_backward(X, X, W, 1.0, 0.0),
        ValueError,
        "^power must be above 0",
    ),
    "lrn list": (lambda: local_response_norm([[1.0]], 3), TypeError, "^x must be an array.*list"),
    "lrn rank": (
        lambda: local_response_norm(X[..., 0], 3),
        ValueError,
        r"3 axes, \(N, C, L\).*\(4, 3\)",
    ),
    "lrn gradient": (lambda: local_response_norm_backward(X[:1], X, 3), ValueError, "^dy"),
    "size": (lambda: local_response_norm(X, 0), ValueError, "^size must be at least 1, got 0"),
    "size's type": (lambda: local_response_norm(X, 2.5), TypeError, "^size must be an integer"),
    "alpha": (lambda: local_response_norm(X, 3, -1.0), ValueError, "^alpha.*at least 0.*-1"),
    "beta": (lambda: local_response_norm(X, 3, 1.0, -1), ValueError, "^beta must be above 0"),
    "k": (lambda: local_response_norm(X, 3, k=0), ValueError, "^k must be above 0.*got 0"),
    "k's type": (lambda: local_response_norm(X, 3, k=True), TypeError, "^k must be a number.*bool"),
    "module's channels": (
        lambda: GDN(4)(torch.ones(2, 3)),
        ValueError,
        "3 channels on axis 1.*GDN was built with num_channels=4",
    ),
    "module's rank": (
        lambda: DivisiveNorm(4)(torch.ones(4)),
        ValueError,
        r"1 axes.*DivisiveNorm expects \(N, C",
    ),
    "module's dtype": (lambda: GDN(3)(torch.ones(2, 3).int()), TypeError, "floating point.*int32"),
    "module of torch": (
        lambda: LocalResponseNorm(3)(torch.ones(2, 3)),
        ValueError,
        r"3 axes.*\(2, 3\)",
    ),
    "num_channels": (lambda: GDN(0), ValueError, "^num_channels must be at least 1, got 0"),
    "beta_min": (lambda: GDN(3, beta_min=0), ValueError, "^beta_min must be between 0 and 1.*0"),
    "gamma_init": (lambda: GDN(3, gamma_init=-1), ValueError, "^gamma_init.*-1"),
    "module's sigma": (lambda: DivisiveNorm(3, sigma=0.0), ValueError, "^sigma must be above"),
    "module's exponent": (
        lambda: DivisiveNorm(3, exponent=3.0),
        ValueError,
        "^exponent=3.0 needs canonical=True",
    ),
    "canonical exponent": (
        lambda: DivisiveNorm(3, True, 0.5),
        ValueError,
        "^exponent must be at least 1 and finite, got 0.5",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_name_the_argument(name):
    call, error, message = WRONG[name]
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("pool", ["none", "own", "neighbour"])
@pytest.mark.parametrize("form", ["signed", "canonical"])
def test_a_strong_drive_outside_the_pool_does_no_harm(form, pool, dtype):
    """Beside it, in the same units, the semi-saturation and the weak drives would be 0."""
    pools = {"none": torch.zeros(3, 3), "own": torch.eye(3), "neighbour": torch.eye(3)[[2, 0, 1]]}
    weight, ones = pools[pool].to(dtype), torch.ones(3, dtype=dtype)
    dy = torch.tensor([[1.0, -2.0, 0.5]], dtype=dtype)
    if form == "signed":
        forward, backward = signed_divisive_norm, signed_divisive_norm_backward
        reference, setting, vectors, largest = signed_reference, 0.5, 1, [36, 18]
    else:
        forward, backward = divisive_norm, divisive_norm_backward
        reference, setting, vectors, largest = canonical_reference, 2.0, 2, [18, 12]
    for power in range(0, largest[0] + 1, 2):
        x = torch.tensor([[10.0**power, 3.0, 0.5]], dtype=dtype)
        inputs = x, weight, *[ones] * vectors
        exact, *gradients = autograd(
            lambda *a: reference(*a, setting), dy.double(), *(a.double() for a in inputs)
        )
        results = [(forward(*inputs, setting), exact)]
        if power <= largest[1]:
            results += zip(backward(dy, *inputs, setting), gradients, strict=True)
        for ours, truth in results:
            torch.testing.assert_close(ours, truth.to(dtype))
