"""spectral_norm against torch, the SVD and finite differences; the norm of a whole convolution."""

import copy
import itertools
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from techniques import (
    HARD_WEIGHTS,
    LIBRARIES,
    assert_compiles,
    assert_inputs_are_kept,
    assert_library_agrees,
    assert_same,
    autograd,
    relative_distance,
)
from torch.nn import functional as F
from torch.nn.utils import parametrizations as torchs

from normcourse.nn.utils import parametrizations as ours
from normcourse.nn.utils.operator_norm import circular_conv_operator_norm, conv_operator_norm
from normcourse.spectral_norm import (
    as_matrix,
    power_iteration,
    spectral_norm,
    spectral_norm_backward,
)

SHAPES = [(4, 3), (1, 6), (6, 1), (1, 1), (4, 3, 5), (2, 3, 3, 2), (2, 3, 2, 3, 2)]
CASES = [(shape, dim) for shape in SHAPES for dim in range(-len(shape), len(shape))]


def unit(x):
    return x / torch.linalg.vector_norm(x)


def torch_matrix(weight, dim):
    """The matrix torch makes of a weight."""
    return weight.movedim(dim, 0).flatten(1)


def torch_power_iteration(matrix, u, v, n, eps=1e-12):
    """What torch's parametrization does to its buffers."""
    for _ in range(n):
        u = F.normalize(torch.mv(matrix, v), dim=0, eps=eps)
        v = F.normalize(torch.mv(matrix.T, u), dim=0, eps=eps)
    return u, v


def torch_spectral_norm(weight, u, v, dim=0):
    return weight / torch.vdot(u, torch.mv(torch_matrix(weight, dim), v))


def case(shape, dim=0, seed=0, dtype=torch.float64):
    """Random weight and dy, and unit vectors u and v that are no singular vectors."""
    r = torch.Generator().manual_seed(seed)
    weight, dy = torch.randn(2, *shape, generator=r, dtype=dtype)
    h, w = torch_matrix(weight, dim).shape
    u, v = (unit(torch.randn(k, generator=r, dtype=dtype)) for k in (h, w))
    return weight, u, v, dy


def everything(weight, u, v, dy, dim):
    """All functions, as one flat tuple of arrays."""
    u, v = power_iteration(as_matrix(weight, dim), u, v, 3)
    y = spectral_norm(weight, u, v, dim)
    return u, v, y, spectral_norm_backward(dy, weight, u, v, dim)


@pytest.mark.parametrize(("shape", "dim"), CASES)
def test_agrees_with_torch(shape, dim):
    weight, u, v, dy = case(shape, dim)
    matrix = as_matrix(weight, dim)
    torch.testing.assert_close(matrix, torch_matrix(weight, dim), rtol=0, atol=0)
    for n in (0, 1, 2, 15):
        expected = torch_power_iteration(matrix, u, v, n)
        torch.testing.assert_close(power_iteration(matrix, u, v, n), expected)
    for a, b in ((u, v), power_iteration(matrix, u, v, 2)):
        y = spectral_norm(weight, a, b, dim)
        gradient = spectral_norm_backward(dy, weight, a, b, dim)
        theirs = autograd(torch_spectral_norm, dy, weight, u=a, v=b, dim=dim)
        assert_same((y, gradient), theirs)


def test_one_step_is_the_default():
    weight, u, v, _ = case((4, 3))
    torch.testing.assert_close(
        power_iteration(weight, u, v), torch_power_iteration(weight, u, v, 1)
    )


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from(CASES))
def test_backward_is_the_finite_difference(seed, case_):
    shape, dim = case_
    weight, u, v, dy = (t.numpy() for t in case(shape, dim, seed))
    dweight = np.random.default_rng(seed).normal(size=shape)
    u, v = power_iteration(as_matrix(weight, dim), u, v, 2)
    h = 1e-7
    scale = abs(weight).max()  # a tiny weight has a large derivative
    up, down = (spectral_norm(weight + s * h * scale * dweight, u, v, dim) for s in (1, -1))
    expected = ((up - down) * dy).sum() / (2 * h * scale)
    result = (spectral_norm_backward(dy, weight, u, v, dim) * dweight).sum()
    assert result * scale == pytest.approx(expected * scale, rel=1e-5, abs=1e-5)


def test_constants_are_no_approximation_at_the_singular_vectors():
    """The gradient with u and v fixed is the derivative of W / sigma_1(W) itself."""
    weight, _, _, dy = case((5, 4))
    left, _, right = torch.linalg.svd(weight)
    _, exact = autograd(lambda w: w / torch.linalg.matrix_norm(w, 2), dy, weight)
    result = spectral_norm_backward(dy, weight, left[:, 0], right[0])
    torch.testing.assert_close(result, exact)
    u, v = power_iteration(weight, left[:, 0], unit(right[0] + 0.3 * right[1]), 1)
    rough = spectral_norm_backward(dy, weight, u, v)
    assert (rough - exact).abs().max() > 1e-3


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(("shape", "dim"), [((4, 3, 5), 1), ((4, 3), 0)])
def test_libraries_agree(library, shape, dim):
    inputs = case(shape, dim, dtype=torch.float32)
    assert_library_agrees(library, lambda *a: everything(*a, dim), inputs, atol=2e-6)


@pytest.mark.parametrize("dim", [0, 1])
def test_compiles_whole(dim):
    assert_compiles(lambda *a: everything(*a, dim), case((4, 3, 5), dim))


# ---- how good the estimate is ----------------------------------------------------------------


@given(st.integers(0, 10**6), st.floats(0.1, 0.999), st.integers(1, 40), st.floats(0.05, 1.5))
def test_the_stated_rate_of_power_iteration(seed, ratio, k, angle):
    """tan(theta_k) <= ratio^(2k) tan(theta), and sigma^2 is off by its square over ratio^2."""
    r = np.random.default_rng(seed)
    left, _ = np.linalg.qr(r.normal(size=(6, 6)))
    right, _ = np.linalg.qr(r.normal(size=(5, 5)))
    values = 3 * np.array([1, ratio, *(ratio * r.random(3))])
    matrix = left[:, :5] * values @ right.T
    off = right[:, 1:] @ r.normal(size=4)
    start = np.cos(angle) * right[:, 0] + np.sin(angle) * off / np.linalg.norm(off)
    u, v = power_iteration(matrix, left[:, 5], start, k)
    sigma = u @ matrix @ v
    sine = np.linalg.norm(v - right[:, 0] * (right[:, 0] @ v))
    tangent = sine / abs(right[:, 0] @ v)
    assert tangent <= ratio ** (2 * k) * np.tan(angle) * (1 + 1e-9) + 1e-12
    missing = 1 - (sigma / 3) ** 2
    assert -1e-12 <= missing <= ratio ** (4 * k - 2) * np.tan(angle) ** 2 * (1 + 1e-9) + 1e-12


def test_the_stated_rate_is_met_and_not_only_bounded():
    """With two singular values the bound on the angle is an equation."""
    matrix, ratio = np.diag([1.0, 0.9]), 0.9
    start = np.array([1.0, 1.0]) / 2**0.5
    for k in (1, 5, 20):
        _, v = power_iteration(matrix, start, start, k)
        assert v[1] / v[0] == pytest.approx(ratio ** (2 * k))


def test_one_step_per_update_leaves_the_norm_above_one():
    """Wrapping makes 15 steps: the estimate is still too small, so the norm is above 1."""
    excess = []
    for seed in range(20):
        torch.manual_seed(seed)
        module = ours.spectral_norm(torch.nn.Linear(64, 64).double()).eval()
        excess.append(torch.linalg.matrix_norm(module.weight, 2).item())
    assert min(excess) >= 1 - 1e-12
    assert max(excess) > 1.01
    module.train()
    for _ in range(2000):
        weight = module.weight
    assert torch.linalg.matrix_norm(weight, 2).item() == pytest.approx(1, abs=1e-6)


# ---- hard inputs -----------------------------------------------------------------------------

HARD = HARD_WEIGHTS | {
    "rank one": lambda w: w[:, :1] * w[:1],
    "1e-15, eps=0": lambda w: w * 1e-15,
    "1e-25, eps=0": lambda w: w * 1e-25,
}
TORCH_FAILS = {"1e25", "1e-25, eps=0"}


@pytest.mark.parametrize("shape", [(16, 50), (300, 200)])
@pytest.mark.parametrize("name", HARD)
def test_hard_inputs(name, shape, record_property):
    """A step from good vectors, as in training, then the weight and its gradient."""
    weight, u, v, dy = case(shape, seed=1, dtype=torch.float32)
    weight = HARD[name](weight)
    eps = 0.0 if "eps=0" in name else 1e-12
    left, _, right = torch.linalg.svd(weight.double() / weight.abs().max().double())
    u, v = unit(u + 20 * left[:, 0].float()), unit(v + 20 * right[0].float())
    u, v, dy = (t.to(weight.dtype) for t in (u, v, dy))

    def exact(w):
        return torch_spectral_norm(w, *torch_power_iteration(w.detach(), u64, v64, 1, 0.0))

    u64, v64 = u.double(), v.double()
    truths = autograd(exact, dy, weight.double())
    their_u, their_v = torch_power_iteration(weight, u, v, 1, eps)
    theirs = autograd(torch_spectral_norm, dy, weight, u=their_u, v=their_v)
    u, v = power_iteration(weight, u, v, 1, eps)
    results = spectral_norm(weight, u, v), spectral_norm_backward(dy, weight, u, v)
    # Half-precision vectors are rounded between the steps, in torch as here.
    few = 8 * torch.finfo(weight.dtype).eps
    for what, result, other, truth in zip(("y", "dW"), results, theirs, truths, strict=True):
        assert result.dtype == weight.dtype
        if truth.abs().max() > torch.finfo(weight.dtype).max:
            continue  # the true gradient is no number of this dtype
        assert result.isfinite().all()
        our_error, their_error = (relative_distance(a, truth) for a in (result, other))
        assert our_error <= max(their_error, few), what
        if name in TORCH_FAILS:
            assert our_error < 1e-5 < their_error
        if name in {"normal", *TORCH_FAILS} and what == "y":
            text = f"spectral_norm, {name} {shape}: {our_error:.1e}; torch {their_error:.1e}"
            record_property("measured", text)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("eps", [0.0, 1e-12])
def test_a_zero_weight_makes_no_nan_and_keeps_its_vectors(library, eps):
    weight, u, v, dy = (LIBRARIES[library](t.numpy()) for t in case((4, 3), dtype=torch.float32))
    for new, old in zip(power_iteration(0 * weight, u, v, 3, eps), (u, v), strict=True):
        np.testing.assert_array_equal(np.asarray(new), np.asarray(old))
    np.testing.assert_array_equal(np.asarray(spectral_norm(0 * weight, u, v)), 0)
    result = spectral_norm_backward(dy, 0 * weight, u, v)
    np.testing.assert_allclose(np.asarray(result), np.asarray(dy))


def test_a_zero_layer_can_train_where_torch_returns_nan():
    modules = [torch.nn.Linear(5, 4), torch.nn.Linear(5, 4)]
    for module, library in zip(modules, (ours, torchs), strict=True):
        torch.nn.init.zeros_(module.weight)
        library.spectral_norm(module)
    x = torch.randn(8, 5)
    assert modules[0](x).isfinite().all()
    assert modules[1](x).isnan().all()
    optimizer = torch.optim.SGD(modules[0].parameters(), 0.1)
    for _ in range(30):
        optimizer.zero_grad()
        (modules[0](x) - x[:, :4]).square().mean().backward()
        optimizer.step()
    modules[0].eval()
    assert torch.linalg.matrix_norm(modules[0].weight, 2).item() == pytest.approx(1, abs=0.05)


def test_below_eps_the_estimate_is_too_small_as_in_torch():
    weight, u, v, _ = case((4, 3))
    weight = weight * 1e-14
    matrix = power_iteration(weight, u, v, 2)
    torch.testing.assert_close(matrix, torch_power_iteration(weight, u, v, 2))
    assert torch.linalg.vector_norm(matrix[0]) < 0.1
    u, v = power_iteration(weight, u, v, 50, eps=0.0)
    assert torch.linalg.matrix_norm(spectral_norm(weight, u, v), 2).item() == pytest.approx(1)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_is_not_hidden(bad):
    weight, u, v, _ = (t.numpy() for t in case((4, 3)))
    weight[1, 2] = bad
    with np.errstate(invalid="ignore"):
        y = spectral_norm(weight, *power_iteration(weight, u, v, 1))
    assert np.isnan(y).all()


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 0, 3)])
def test_empty_stays_empty(shape):
    weight, u, v, _ = (torch.zeros(s) for s in (shape, shape[0], int(np.prod(shape[1:])), shape))
    u, v = power_iteration(as_matrix(weight), u, v, 1)
    assert spectral_norm(weight, u, v).shape == shape
    assert spectral_norm_backward(weight, weight, u, v).shape == shape


def test_inputs_are_not_modified():
    assert_inputs_are_kept(lambda *a: everything(*a, 0), case((4, 3)))


# ---- properties --------------------------------------------------------------------------------


@given(st.floats(1e-3, 1e3), st.integers(0, 10**6))
def test_the_scale_of_the_weight_does_not_matter(scale, seed):
    weight, u, v, dy = (t.numpy() for t in case((4, 3), seed=seed))
    u, v = power_iteration(weight, u, v, 2)
    for new, old in zip(
        power_iteration(scale * weight, u, v, 2), power_iteration(weight, u, v, 2), strict=True
    ):
        np.testing.assert_allclose(new, old)
    np.testing.assert_allclose(spectral_norm(scale * weight, u, v), spectral_norm(weight, u, v))
    gradient = spectral_norm_backward(dy, weight, u, v)
    # so the gradient has no part along the weight
    size = np.linalg.norm(weight) * np.linalg.norm(gradient)
    assert (weight * gradient).sum() == pytest.approx(0, abs=1e-9 * max(1, size))


# ---- the parametrization -----------------------------------------------------------------------

MODULES = {
    "Linear": (lambda: torch.nn.Linear(5, 4), (3, 5), 2),
    "Conv1d": (lambda: torch.nn.Conv1d(4, 6, 3, groups=2), (2, 4, 7), 3),
    "Conv2d": (lambda: torch.nn.Conv2d(3, 4, 3), (2, 3, 6, 5), 4),
    "Conv3d": (lambda: torch.nn.Conv3d(2, 3, 2), (1, 2, 3, 4, 3), 5),
    "ConvTranspose1d": (lambda: torch.nn.ConvTranspose1d(3, 4, 3), (2, 3, 4), 3),
    "ConvTranspose2d": (lambda: torch.nn.ConvTranspose2d(3, 4, 3), (2, 3, 4, 4), 4),
    "ConvTranspose3d": (lambda: torch.nn.ConvTranspose3d(2, 3, 2), (1, 2, 3, 2, 3), 5),
    "BatchNorm1d": (lambda: torch.nn.BatchNorm1d(5), (6, 5), 1),
}


def wrap(library, module, *arguments, seed=1, **settings):
    """The module under the library's spectral_norm; the random start is the same for both."""
    torch.manual_seed(seed)
    return library.spectral_norm(copy.deepcopy(module), *arguments, **settings)


def pair(name, **settings):
    module = MODULES[name][0]().double()
    torch.nn.init.normal_(module.weight)
    return wrap(ours, module, **settings), wrap(torchs, module, **settings)


@pytest.mark.parametrize(
    ("name", "dim", "n"),
    [
        (name, dim, n)
        for name, m in MODULES.items()
        for dim, n in itertools.product((None, *range(-m[2], m[2])), (1, 3))
    ],
)
def test_trains_like_torchs(name, dim, n):
    torch.manual_seed(0)
    a, b = pair(name, dim=dim, n_power_iterations=n)
    torch.testing.assert_close(dict(a.state_dict()), dict(b.state_dict()))
    optimizers = [torch.optim.SGD(m.parameters(), 0.1, momentum=0.9) for m in (a, b)]
    for training in (True, True, False, True, False):
        x = torch.randn(MODULES[name][1], dtype=torch.float64)
        for m in (a, b):
            m.train(training)
        results = [m(x) for m in (a, b)]
        torch.testing.assert_close(*results)
        for result, optimizer in zip(results, optimizers, strict=True):
            optimizer.zero_grad()
            (result**3).mean().backward()
        for p, q in zip(a.parameters(), b.parameters(), strict=True):
            torch.testing.assert_close(p.grad, q.grad)
        for optimizer in optimizers:
            optimizer.step()
        torch.testing.assert_close(dict(a.state_dict()), dict(b.state_dict()))
    assert repr(a) == repr(b)
    assert list(a.state_dict()) == list(b.state_dict())
    assert a.state_dict()._metadata == b.state_dict()._metadata


def test_training_moves_u_and_v_and_evaluation_does_not():
    module, _ = pair("Conv2d")
    p = module.parametrizations.weight[0]
    x = torch.randn(2, 3, 6, 5, dtype=torch.float64)
    module.eval()
    u, v, y = p._u.clone(), p._v.clone(), module(x)
    for _ in range(3):
        torch.testing.assert_close(module(x), y, rtol=0, atol=0)
        module.weight.sum().backward()
    assert torch.equal(p._u, u)
    assert torch.equal(p._v, v)
    module.train()
    same = p._u
    module(x)
    assert p._u is same  # in place, for replicas on other devices
    assert not torch.equal(p._u, u)
    assert not torch.equal(p._v, v)


def test_the_start_makes_fifteen_steps_and_wrapping_one_more():
    torch.manual_seed(0)
    module = torch.nn.Linear(5, 4).double()
    torch.manual_seed(1)
    u, v = (unit(torch.empty(k, dtype=torch.float64).normal_()) for k in (4, 5))
    p = wrap(ours, module).parametrizations.weight[0]
    torch.testing.assert_close((p._u, p._v), torch_power_iteration(module.weight.data, u, v, 16))


def test_two_forward_passes_and_one_backward():
    """D(real) - D(fake): the second pass moves u and v, and the first gradient needs the old."""
    a, b = pair("Linear")
    gradients = []
    for m in (a, b):
        torch.manual_seed(3)
        real, fake = torch.randn(2, 6, 5, dtype=torch.float64)
        (m(real).square().sum() - m(fake).square().sum()).backward()
        gradients.append([p.grad for p in m.parameters()])
    torch.testing.assert_close(*gradients)


def test_state_dict_goes_both_ways():
    a, b = pair("Conv2d")
    for source, target in ((b, a), (a, b)):
        torch.nn.init.normal_(source.parametrizations.weight.original)
        source(torch.randn(2, 3, 6, 5, dtype=torch.float64))
        target.load_state_dict(source.state_dict())
        torch.testing.assert_close(target.eval().weight, source.eval().weight)
        a.train(), b.train()
    assert {k: tuple(t.shape) for k, t in a.state_dict().items()} == {
        "bias": (4,),
        "parametrizations.weight.original": (4, 3, 3, 3),
        "parametrizations.weight.0._u": (4,),
        "parametrizations.weight.0._v": (27,),
    }
    assert [n for n, _ in a.named_parameters()] == ["bias", "parametrizations.weight.original"]


def test_assigning_and_removing():
    module, _ = pair("Linear")
    module.eval()
    value = torch.randn(4, 5, dtype=torch.float64)
    module.weight = value  # right_inverse: kept as it is, normalized when read
    torch.testing.assert_close(module.parametrizations.weight.original.detach(), value)
    weight = module.weight.detach()
    torch.nn.utils.parametrize.remove_parametrizations(module, "weight")
    assert type(module) is torch.nn.Linear
    torch.testing.assert_close(module.weight.detach(), weight)


@pytest.mark.parametrize("scale", [1.0, 1e-14, 0.0])
def test_a_vector_is_divided_by_its_norm(scale):
    torch.manual_seed(0)
    module = torch.nn.BatchNorm1d(5).double()
    module.weight.data = scale * torch.randn(5, dtype=torch.float64)
    a, b = wrap(ours, module), wrap(torchs, module)
    torch.testing.assert_close(a.weight, b.weight)
    assert list(a.state_dict()) == list(b.state_dict())
    assert not list(a.parametrizations.weight[0].buffers())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_modules_are_torchs(dtype):
    a, b = (m.to(dtype) for m in pair("Linear"))
    few = 8 * torch.finfo(dtype).eps
    for _ in range(3):
        torch.testing.assert_close(a.weight, b.weight, rtol=few, atol=few)
        assert a.weight.dtype == dtype
    with torch.autocast("cpu", torch.bfloat16):
        mixed = wrap(ours, torch.nn.Linear(5, 4))
        assert mixed(torch.randn(2, 5)).isfinite().all()
        assert mixed.weight.dtype == torch.float32


def test_copies_compiles_exports_and_refuses_to_pickle_as_torch_does():
    module, theirs = (m.float() for m in pair("Linear"))
    x = torch.randn(3, 5)
    clone = copy.deepcopy(module)
    clone(x)
    p, q = module.parametrizations.weight[0], clone.parametrizations.weight[0]
    assert not torch.equal(p._u, q._u)
    module(x)
    torch.testing.assert_close(p._u, q._u)
    for m in (module, theirs):
        with pytest.raises(RuntimeError, match="only supported through state_dict"):
            pickle.dumps(m)
    compiled = torch.compile(module, fullgraph=True)
    torch.testing.assert_close(compiled(x), clone(x))  # both one step further
    torch.testing.assert_close(p._v, q._v)
    gradients = []
    for run, m in ((compiled, module), (clone, clone)):
        run(x).square().sum().backward()
        gradients.append([p.grad for p in m.parameters()])
    torch.testing.assert_close(*gradients)
    exported = torch.export.export(module.eval(), (x,)).module()
    torch.testing.assert_close(exported(x), module(x))


def test_works_together_with_weight_norm():
    torch.manual_seed(0)
    module = torch.nn.Linear(5, 4).double()
    results = []
    for library in (ours, torchs):
        torch.manual_seed(1)
        m = library.spectral_norm(library.weight_norm(copy.deepcopy(module)))
        m(torch.ones(2, 5, dtype=torch.float64)).square().sum().backward()
        results.append((dict(m.state_dict()), [p.grad for p in m.parameters()]))
    torch.testing.assert_close(*results)


def test_can_be_differentiated_twice():
    weight, u, v, _ = case((4, 3))
    weight.requires_grad_()
    apply = lambda w: ours._over_sigma(w, u, v, 0)  # noqa: E731
    assert torch.autograd.gradgradcheck(apply, (weight,))


# ---- the norm of a convolution as an operator --------------------------------------------------


def dense(weight, size, stride=1, padding=0, dilation=1, groups=1, circular=False):
    """The matrix of a convolution, entry by entry from its definition."""
    outputs, per_group, *kernel = weight.shape
    reach = [dilation * (k - 1) + 1 for k in kernel]
    if circular:
        out = list(size)
    else:
        out = [(n + 2 * padding - r) // stride + 1 for n, r in zip(size, reach, strict=True)]
    matrix = np.zeros((outputs, *out, per_group * groups, *size))
    for o, i in itertools.product(range(outputs), range(per_group)):
        channel = o // (outputs // groups) * per_group + i
        for at in np.ndindex(*out):
            for t in np.ndindex(*kernel):
                pixel = [a * stride - padding + dilation * b for a, b in zip(at, t, strict=True)]
                if circular:
                    pixel = [p % n for p, n in zip(pixel, size, strict=True)]
                if all(0 <= p < n for p, n in zip(pixel, size, strict=True)):
                    matrix[(o, *at, channel, *pixel)] += weight[(o, i, *t)]
    return matrix.reshape(outputs * int(np.prod(out)), -1)


def random_kernel(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


ZERO_PADDED = [
    ((3, 2, 3), (7,), {"padding": 1}),
    ((3, 2, 3, 3), (5, 6), {"padding": 1}),
    ((3, 2, 3, 3), (5, 6), {}),
    ((2, 3, 3, 2), (4, 5), {"padding": 2}),
    ((3, 2, 3, 3), (6, 7), {"padding": 1, "stride": 2}),
    ((3, 2, 2, 2), (6, 7), {"stride": 3}),
    ((3, 2, 3, 3), (6, 5), {"padding": 2, "dilation": 2}),
    ((4, 2, 3, 3), (5, 5), {"padding": 1, "groups": 2}),
    ((4, 1, 3, 3), (5, 5), {"padding": 1, "groups": 4}),
    ((4, 2, 3, 3), (7, 6), {"padding": 2, "stride": 2, "dilation": 2, "groups": 2}),
    ((2, 2, 2, 2, 2), (3, 4, 3), {"padding": 1}),
]


@pytest.mark.parametrize(("shape", "size", "settings"), ZERO_PADDED, ids=str)
def test_the_operator_norm_is_that_of_the_dense_matrix(shape, size, settings):
    weight = random_kernel(*shape)
    matrix = dense(weight.numpy(), size, **settings)
    x = random_kernel(1, shape[1] * settings.get("groups", 1), *size, seed=1)
    conv = getattr(F, f"conv{len(size)}d")
    expected = conv(x, weight, **settings).reshape(-1)
    np.testing.assert_allclose(matrix @ x.reshape(-1).numpy(), expected, atol=1e-12)
    norm = np.linalg.svd(matrix, compute_uv=False)[0]
    result = conv_operator_norm(weight, size, **settings, n_iterations=20000, tol=1e-9)
    assert result.item() == pytest.approx(norm, rel=1e-8)
    # the defaults: never too large, and seldom more than a few parts in 10^4 too small
    result = conv_operator_norm(weight, size, **settings).item()
    assert norm * (1 - 1e-3) < result <= norm * (1 + 1e-12)
    result = conv_operator_norm(weight.float(), size, **settings).item()
    assert norm * (1 - 1e-3) < result <= norm * (1 + 1e-6)


CIRCULAR = [
    ((3, 2, 3), (7,), {}),
    ((3, 2, 3, 3), (5, 6), {}),
    ((2, 4, 2, 3), (4, 4), {}),
    ((3, 2, 3, 3), (5, 6), {"dilation": 2}),
    ((3, 2, 3, 3), (4, 6), {"dilation": 3}),
    ((4, 2, 3, 3), (4, 5), {"groups": 2}),
    ((2, 2, 5, 3), (3, 2), {}),  # a kernel that winds around the image
    ((2, 2, 2, 2, 2), (3, 4, 3), {}),
]


@pytest.mark.parametrize(("shape", "size", "settings"), CIRCULAR, ids=str)
def test_the_circular_norm_is_that_of_the_dense_matrix(shape, size, settings):
    weight = random_kernel(*shape)
    matrix = dense(weight.numpy(), size, circular=True, **settings)
    norm = np.linalg.svd(matrix, compute_uv=False)[0]
    assert circular_conv_operator_norm(weight, size, **settings).item() == pytest.approx(norm)
    result = circular_conv_operator_norm(weight.float(), size, **settings)
    assert result.dtype == torch.float32
    assert result.item() == pytest.approx(norm, rel=1e-5)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(1, 3), st.integers(3, 6))
def test_between_the_norm_of_the_kernel_and_root_k_times_it(seed, outputs, inputs, n):
    weight = random_kernel(outputs, inputs, 3, 3, seed=seed)
    kernel = torch.linalg.matrix_norm(as_matrix(weight), 2).item()
    for circular in (False, True):
        matrix = dense(weight.numpy(), (n, n), padding=0 if circular else 1, circular=circular)
        norm = np.linalg.svd(matrix, compute_uv=False)[0]
        assert kernel * (1 - 1e-12) <= norm <= 3 * kernel * (1 + 1e-12)
    averaging = torch.ones(1, 1, 3, 3, dtype=torch.float64)  # reaches the upper end
    assert circular_conv_operator_norm(averaging, n).item() == pytest.approx(9)
    assert torch.linalg.matrix_norm(as_matrix(averaging), 2).item() == pytest.approx(3)


def test_a_convolution_normalized_by_its_kernel_still_stretches_images(record_property):
    """8 to 8 channels, 3 x 3, torch's own initialization: after SN, the norm is not 1 but 1.6."""
    norms = {}
    for seed in range(5):
        torch.manual_seed(seed)
        conv = torch.nn.Conv2d(8, 8, 3, padding=1)
        ours.spectral_norm(conv, n_power_iterations=200)
        weight = conv.weight.detach()
        conv.eval()
        assert torch.linalg.matrix_norm(as_matrix(weight), 2).item() == pytest.approx(1, abs=1e-5)
        zero = conv_operator_norm(weight, 16, padding=1).item()
        circular = circular_conv_operator_norm(weight, 16).item()
        norms[seed] = zero, circular
        x = torch.randn(1, 8, 16, 16)
        for _ in range(300):  # an image that is stretched so, found with the layer itself
            x = x.requires_grad_()
            y = conv(x) - conv(0 * x)
            (x,) = torch.autograd.grad(y.square().sum(), x)
            x = x / x.norm()
        stretched = (conv(x) - conv(0 * x)).norm().item()
        assert stretched == pytest.approx(zero, rel=2e-3)
    text = ", ".join(f"{a:.3f} ({b:.3f})" for a, b in norms.values())
    record_property("measured", f"8->8 3x3 conv after SN, zero (circular) 16x16: {text}")
    assert all(1.4 < norm < 1.8 for both in norms.values() for norm in both)
    assert norms[0] == pytest.approx((1.588, 1.599), abs=2e-3)


def test_the_norm_grows_with_the_image():
    weight = random_kernel(3, 2, 3, 3)
    norms = [conv_operator_norm(weight, n, padding=1, tol=1e-8).item() for n in (3, 4, 6, 10, 20)]
    assert norms == sorted(norms)
    endless = circular_conv_operator_norm(weight, 120).item()
    assert norms[-1] == pytest.approx(endless, rel=0.02)
    assert norms[-1] < endless


def test_a_transposed_convolution_has_the_norm_of_its_convolution():
    layer = torch.nn.ConvTranspose2d(3, 2, 3, stride=2, padding=1, bias=False).double()
    size = layer(torch.zeros(1, 3, 4, 4, dtype=torch.float64)).shape[2:]
    columns = [layer(e[None]).reshape(-1) for e in torch.eye(48).double().reshape(48, 3, 4, 4)]
    norm = torch.linalg.matrix_norm(torch.stack(columns), 2).item()
    result = conv_operator_norm(layer.weight, size, stride=2, padding=1, tol=1e-8)
    assert result.item() == pytest.approx(norm, rel=1e-6)


def test_measuring_is_reproducible_and_changes_nothing():
    conv = wrap(ours, torch.nn.Conv2d(3, 4, 3))
    weight = conv.weight
    before = copy.deepcopy(conv.state_dict())
    torch.manual_seed(5)
    state = torch.get_rng_state()
    assert conv_operator_norm(weight, 6) == conv_operator_norm(weight, 6)
    assert torch.equal(torch.get_rng_state(), state)
    torch.testing.assert_close(dict(conv.state_dict()), dict(before), rtol=0, atol=0)
    assert not conv_operator_norm(weight, 6).requires_grad
    for norm in (conv_operator_norm, circular_conv_operator_norm):
        assert norm(0 * weight, 6) == 0
        assert norm(weight.half(), 6).dtype == torch.float16


# ---- errors --------------------------------------------------------------------------------------

W, U, V = np.ones((4, 3)), np.ones(4), np.ones(3)
LINEAR = torch.nn.Linear(3, 2, bias=False)
KERNEL = torch.ones(4, 3, 3, 3)
WRONG = {
    "list": (lambda: spectral_norm([[1.0]], U, V), TypeError, "weight must be an array"),
    "integers": (lambda: spectral_norm(W.astype(int), U, V), TypeError, "weight.*int64.*astype"),
    "complex": (lambda: spectral_norm(W * 1j, U, V), TypeError, "complex128"),
    "vector": (
        lambda: spectral_norm(U, U, V),
        ValueError,
        r"weight must have two or more axes, got shape \(4,\).*weight_norm",
    ),
    "u": (
        lambda: spectral_norm(W, V, V),
        ValueError,
        r"u must have shape \(4,\), .* along dim of weight with shape \(4, 3\); got \(3,\)",
    ),
    "v": (lambda: spectral_norm(W, U, U), ValueError, r"v must have shape \(3,\).*got \(4,\)"),
    "u of another dim": (
        lambda: spectral_norm(W, U, V, 1),
        ValueError,
        r"u .*\(3,\), .* along dim.*got \(4,\)",
    ),
    "u is a list": (lambda: spectral_norm(W, [1.0], V), TypeError, "u must be an array"),
    "no u": (lambda: spectral_norm(W, None, V), TypeError, "^u must be an array.*NoneType"),
    "no v": (lambda: spectral_norm(W, U, None), TypeError, "^v must be an array.*NoneType"),
    "libraries": (
        lambda: spectral_norm(W, U, torch.ones(3)),
        TypeError,
        "v is a torch.*weight is a numpy",
    ),
    "dim": (lambda: spectral_norm(W, U, V, 2), ValueError, "dim.*weight, -2 to 1.*got 2"),
    "dim's type": (lambda: spectral_norm(W, U, V, None), TypeError, "dim.*integer.*None"),
    "gradient": (
        lambda: spectral_norm_backward(W[:2], W, U, V),
        ValueError,
        r"dy must have the shape of weight, \(4, 3\); got \(2, 3\)",
    ),
    "matrix as a list": (
        lambda: power_iteration([[1.0]], U, V),
        TypeError,
        "^weight_matrix must be an array.*list",
    ),
    "no matrix": (
        lambda: power_iteration(np.ones((4, 3, 2)), U, V),
        ValueError,
        r"weight_matrix must have two axes, got shape \(4, 3, 2\).*as_matrix",
    ),
    "no matrix to make": (lambda: as_matrix(U), ValueError, "two or more axes"),
    "dim of a matrix to make": (lambda: as_matrix(W, 2), ValueError, "dim.*got 2"),
    "steps": (lambda: power_iteration(W, U, V, -1), ValueError, "n must be at least 0, got -1"),
    "steps' type": (lambda: power_iteration(W, U, V, 1.5), TypeError, "n must be an int.*1.5"),
    "eps": (lambda: power_iteration(W, U, V, 1, -1.0), ValueError, "eps.*-1"),
    "u in backward": (lambda: spectral_norm_backward(W, W, V, V), ValueError, r"^u .*\(4,\)"),
    "v in backward": (lambda: spectral_norm_backward(W, W, U, U), ValueError, r"^v .*\(3,\)"),
    "v of the iteration": (lambda: power_iteration(W, U, U), ValueError, r"^v .*\(3,\)"),
    "vectors of the iteration": (lambda: power_iteration(W, V, U), ValueError, r"u .*\(4,\)"),
    "no module": (lambda: ours.spectral_norm(W), TypeError, "module must be.*ndarray"),
    "name": (
        lambda: ours.spectral_norm(LINEAR, "wieght"),
        ValueError,
        r"this Linear, one of \['weight'\]; got 'wieght'",
    ),
    "no bias": (lambda: ours.spectral_norm(LINEAR, "bias"), ValueError, "one of.*got 'bias'"),
    "module's dim": (lambda: ours.spectral_norm(LINEAR, dim=2), ValueError, "dim.*-2 to 1.*got 2"),
    "module's dim's type": (lambda: ours.spectral_norm(LINEAR, dim="0"), TypeError, "dim.*'0'"),
    "module's steps": (
        lambda: ours.spectral_norm(LINEAR, n_power_iterations=0),
        ValueError,
        "n_power_iterations must be at least 1, got 0",
    ),
    "module's steps' type": (
        lambda: ours.spectral_norm(LINEAR, n_power_iterations=1.5),
        TypeError,
        "n_power_iterations.*1.5",
    ),
    "module's eps": (lambda: ours.spectral_norm(LINEAR, eps=-1), ValueError, "eps.*-1"),
    "complex module": (
        lambda: ours.spectral_norm(torch.nn.Linear(3, 2, dtype=torch.complex64)),
        TypeError,
        "weight.*complex64",
    ),
    "array": (lambda: conv_operator_norm(W, 6), TypeError, "weight must be a torch.Tensor.*nda"),
    "integer kernel": (lambda: conv_operator_norm(KERNEL.int(), 6), TypeError, "weight.*int32"),
    "matrix": (
        lambda: circular_conv_operator_norm(torch.ones(4, 3), 6),
        ValueError,
        r"weight must be that of a convolution.*\(4, 3\).*matrix_norm",
    ),
    "size": (
        lambda: conv_operator_norm(KERNEL, (6, 6, 6)),
        ValueError,
        r"input_size must be an int or 2 of them.*got \(6, 6, 6\)",
    ),
    "size's type": (lambda: conv_operator_norm(KERNEL, 6.0), TypeError, "input_size.*6.0"),
    "size 0": (lambda: circular_conv_operator_norm(KERNEL, 0), ValueError, "input_size.*0"),
    "groups": (lambda: conv_operator_norm(KERNEL, 6, groups=3), ValueError, "groups=3.*4 output"),
    "iterations": (
        lambda: conv_operator_norm(KERNEL, 6, n_iterations=0),
        ValueError,
        "n_iterations must be at least 1",
    ),
    "tol": (lambda: conv_operator_norm(KERNEL, 6, tol=-1.0), ValueError, "tol.*-1"),
    "dilation": (
        lambda: circular_conv_operator_norm(KERNEL, 6, dilation=(1, 2)),
        TypeError,
        "dilation must be an integer",
    ),
    "kernel too large": (lambda: conv_operator_norm(KERNEL, 2), RuntimeError, "Kernel size"),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_name_the_argument(name):
    call, error, message = WRONG[name]
    with pytest.raises(error, match=message):
        call()


def test_a_bad_call_leaves_the_module_as_it_was():
    module = torch.nn.Linear(3, 2)
    with pytest.raises(ValueError, match="dim"):
        ours.spectral_norm(module, dim=7)
    assert type(module) is torch.nn.Linear
    assert list(module.state_dict()) == ["weight", "bias"]
