"""weight_norm against torch, float64, finite differences and the inputs that break others."""

import copy
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
    assert_slopes,
    autograd,
    relative_distance,
)
from torch.nn.utils import parametrizations as torchs

from normcourse.nn.utils import parametrizations as ours
from normcourse.weight_norm import (
    norm_except_dim,
    weight_norm,
    weight_norm_backward,
)

SHAPES = [(5,), (4, 3), (1, 6), (6, 1), (4, 3, 5), (2, 3, 3, 2), (2, 3, 2, 3, 2)]
CASES = [(shape, dim) for shape in SHAPES for dim in (None, *range(-len(shape), len(shape)))]


def case(shape, dim, seed=0, dtype=torch.float64):
    """Random v, dw, and a g that is not the norm of v."""
    r = torch.Generator().manual_seed(seed)
    v = torch.randn(shape, generator=r, dtype=dtype) * 2 + 1
    dw = torch.randn(shape, generator=r, dtype=dtype)
    like = torch.norm_except_dim(v, 2, -1 if dim is None else dim)
    g = torch.randn(like.shape, generator=r, dtype=dtype)
    return v, g, dw


def torch_weight_norm(v, g, dim):
    return torch._weight_norm(v, g, -1 if dim is None else dim)


def reference(v, g, dim):
    """The formula on its own, vector by vector; float64 in, float64 out."""
    if dim is None or dim == -1:
        return v * (g / torch.linalg.vector_norm(v))
    rows = zip(v.unbind(dim), g.reshape(-1), strict=True)
    return torch.stack([length * row / torch.linalg.vector_norm(row) for row, length in rows], dim)


def everything(v, g, dw, dim):
    """All three functions, as one flat tuple of arrays."""
    return weight_norm(v, g, dim), *weight_norm_backward(dw, v, g, dim), norm_except_dim(v, dim)


@pytest.mark.parametrize(("shape", "dim"), CASES)
def test_agrees_with_torch(shape, dim):
    v, g, dw = case(shape, dim)
    torch_norm = torch.norm_except_dim(v, 2, -1 if dim is None else dim)
    theirs = *autograd(torch_weight_norm, dw, v, g, dim=dim), torch_norm
    assert_same(everything(v, g, dw, dim), theirs)
    torch.testing.assert_close(weight_norm(v, g, dim), reference(v, g, dim))


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from([c for c in CASES if c[0] != (5,)]))
def test_backward_is_the_finite_difference(seed, case):
    shape, dim = case
    rng = np.random.default_rng(seed)
    v, dw = rng.normal(size=(2, *shape))
    g = rng.normal(size=norm_except_dim(v, dim).shape)
    v += 3 * np.sign(v)  # away from zero, where the direction is undefined
    gradients = weight_norm_backward(dw, v, g, dim)
    assert_slopes(lambda v, g: weight_norm(v, g, dim), gradients, dw, (v, g), rng, 1e-6)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(("shape", "dim"), [((4, 3, 5), 1), ((4, 3), None), ((4,), 0)])
def test_libraries_agree(library, shape, dim):
    inputs = case(shape, dim, dtype=torch.float32)
    assert_library_agrees(library, lambda *a: everything(*a, dim), inputs, atol=2e-6)


@pytest.mark.parametrize("dim", [0, 1, None])
def test_compiles_whole(dim):
    assert_compiles(lambda *a: everything(*a, dim), case((4, 3, 5), dim))


# ---- hard inputs: never further from float64 than torch, beyond a few units in the last place --

HARD = HARD_WEIGHTS | {
    "one large entry": lambda v: v + 1e6 * (torch.arange(v.numel()).reshape(v.shape) % 7 == 0),
    "scales of its own": lambda v: v * 10.0 ** torch.arange(-15, -15 + v.shape[0])[:, None],
    "1e-15": lambda v: v * 1e-15,
    "1e-25": lambda v: v * 1e-25,
}
TORCH_FAILS = {"1e25", "1e-25"}


@pytest.mark.parametrize("shape", [(16, 50), (16, 5000)])
@pytest.mark.parametrize("name", HARD)
def test_hard_inputs(name, shape, record_property):
    v, g, dw = case(shape, 0, seed=1, dtype=torch.float32)
    v = HARD[name]((v - 1) / 2)
    g, dw = g.to(v.dtype), dw.to(v.dtype)
    results = weight_norm(v, g), *weight_norm_backward(dw, v, g)
    theirs = autograd(torch_weight_norm, dw, v, g, dim=0)
    exact = autograd(reference, dw, v.double(), g.double(), dim=0)
    few = 8 * torch.finfo(torch.float32).eps
    for what, result, other, truth in zip(("w", "dv", "dg"), results, theirs, exact, strict=True):
        assert result.dtype == v.dtype
        if truth.abs().max() > torch.finfo(v.dtype).max:
            continue  # the true gradient is no number of this dtype
        assert result.isfinite().all()
        our_error, their_error = (relative_distance(a, truth) for a in (result, other))
        assert our_error <= max(their_error, few), what
        if name in TORCH_FAILS and what != "dg":
            assert our_error < 1e-5 < their_error
        if name in {"normal", *TORCH_FAILS} and what == "w":
            text = f"weight_norm, {name} {shape}: {our_error:.1e}; torch {their_error:.1e}"
            record_property("measured", text)


def test_norms_at_the_ends_of_float32():
    v = torch.tensor([[3e25, 4e25], [3e-25, 4e-25], [3e-41, 4e-41], [0.0, 0.0]])
    expected = torch.linalg.vector_norm(v.double(), dim=1)[:, None]
    torch.testing.assert_close(norm_except_dim(v).double(), expected, rtol=1e-4, atol=0)
    # a gradient of 0 stays 0, where 1 / norm is infinite
    assert torch.equal(weight_norm_backward(0 * v, v, torch.ones(4, 1))[0], 0 * v)
    w = weight_norm(v, torch.ones(4, 1))
    torch.testing.assert_close(w[:3], torch.tensor([[0.6, 0.8]]).expand(3, 2), rtol=1e-4, atol=0)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_zero_vector_has_no_direction_and_makes_no_nan(library):
    """torch makes NaN of it; here its norm counts as 1, so that a step can give it a direction."""
    convert = LIBRARIES[library]
    v = convert(np.array([[0.0, 0.0], [3.0, 4.0]], np.float32))
    g, dw = convert(np.array([[2.0], [5.0]], np.float32)), convert(np.ones((2, 2), np.float32))
    np.testing.assert_allclose(np.asarray(weight_norm(v, g)), [[0, 0], [3, 4]], rtol=1e-6)
    dv, dg = weight_norm_backward(dw, v, g)
    np.testing.assert_allclose(np.asarray(dv)[0], [2, 2])
    np.testing.assert_allclose(np.asarray(dg), [[0], [1.4]], rtol=1e-6)
    assert torch._weight_norm(torch.zeros(1, 2), torch.ones(1, 1), 0).isnan().all()


@pytest.mark.parametrize("size", [3e38, 1e38])
def test_what_is_almost_infinite_makes_no_nan(size):
    v, one = torch.full((1, 10), size), torch.ones(1, 1)
    for array in (weight_norm(v, one), *weight_norm_backward(torch.ones(1, 10), v, one)):
        assert array.isfinite().all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_in_its_vector(bad):
    v = np.random.default_rng(0).normal(size=(3, 6))
    g = np.ones((3, 1))
    clean = weight_norm(v, g)
    v[1, 2] = bad
    with np.errstate(invalid="ignore"):
        w = weight_norm(v, g)
    assert np.isnan(w[1]).all()
    np.testing.assert_array_equal(w[[0, 2]], clean[[0, 2]])


@pytest.mark.parametrize(("shape", "dim"), [((0, 3), 0), ((0, 3), 1), ((3, 0), 0), ((0,), None)])
def test_empty_stays_empty(shape, dim):
    v = torch.zeros(shape)
    g = norm_except_dim(v, dim)
    assert weight_norm(v, g, dim).shape == shape
    dv, dg = weight_norm_backward(v, v, g, dim)
    assert (dv.shape, dg.shape) == (v.shape, g.shape)


def test_inputs_are_not_modified():
    assert_inputs_are_kept(lambda *a: everything(*a, 0), case((4, 3), 0))


# ---- properties --------------------------------------------------------------------------


@given(st.integers(0, 10**6), st.sampled_from(CASES))
def test_the_result_has_length_g_and_the_gradient_is_orthogonal_to_v(seed, case_):
    shape, dim = case_
    v, g, dw = (t.numpy() for t in case(shape, dim, seed))
    w = weight_norm(v, g, dim)
    np.testing.assert_allclose(norm_except_dim(w, dim), abs(g))
    dv, _ = weight_norm_backward(dw, v, g, dim)
    axes = tuple(a for a, n in enumerate(np.broadcast_to(g, v.shape[:0] + g.shape).shape) if n == 1)
    along = (dv * v).sum(axes if g.ndim else None, keepdims=True)
    size = np.sqrt((dv**2).sum() * (v**2).sum()) + abs(g).max()
    np.testing.assert_allclose(along / size, 0, atol=1e-12)
    # so that a step along it makes no vector shorter
    longer = norm_except_dim(v - 0.1 * dv, dim)
    assert (longer >= norm_except_dim(v, dim) * (1 - 1e-12)).all()


@given(st.floats(1e-3, 1e3))
def test_invariant_to_the_scale_of_v(scale):
    v, g, dw = (t.numpy() for t in case((4, 3), 0))
    np.testing.assert_allclose(weight_norm(scale * v, g), weight_norm(v, g))
    np.testing.assert_allclose(weight_norm(-scale * v, g), -weight_norm(v, g))
    np.testing.assert_allclose(
        weight_norm_backward(dw, scale * v, g)[0], weight_norm_backward(dw, v, g)[0] / scale
    )


def test_minus_one_is_everything_and_not_the_last_axis():
    v, _, _ = case((4, 3), 0)
    assert norm_except_dim(v, -1).shape == ()
    assert norm_except_dim(v, 1).shape == (1, 3)
    torch.testing.assert_close(weight_norm(v, norm_except_dim(v, None), -1), v)


# ---- the parametrization -------------------------------------------------------------------

MODULES = {
    "Linear": (lambda: torch.nn.Linear(5, 4), (3, 5), 2),
    "Conv1d": (lambda: torch.nn.Conv1d(4, 6, 3, groups=2), (2, 4, 7), 3),
    "Conv2d": (lambda: torch.nn.Conv2d(3, 4, 3), (2, 3, 6, 5), 4),
    "Conv3d": (lambda: torch.nn.Conv3d(2, 3, 2), (1, 2, 3, 4, 3), 5),
    "ConvTranspose2d": (lambda: torch.nn.ConvTranspose2d(3, 4, 3), (2, 3, 4, 4), 4),
    "Bilinear": (lambda: torch.nn.Bilinear(3, 3, 2), None, 3),
    "Embedding": (lambda: torch.nn.Embedding(5, 4), None, 2),
}


def pair(name, dim=0):
    """Two equal modules, one under our weight_norm and one under torch's."""
    module = MODULES[name][0]().double()
    return [library.weight_norm(copy.deepcopy(module), "weight", dim) for library in (ours, torchs)]


def data(name):
    shape = MODULES[name][1]
    if name == "Bilinear":
        return torch.randn(2, 6, 3, dtype=torch.float64).unbind()
    if name == "Embedding":
        return (torch.tensor([[0, 3], [4, 4]]),)
    return (torch.randn(shape, dtype=torch.float64),)


@pytest.mark.parametrize(
    ("name", "dim"),
    [(n, d) for n, m in MODULES.items() for d in (None, *range(-m[2], m[2]))],
)
def test_trains_like_torchs(name, dim):
    torch.manual_seed(0)
    a, b = pair(name, dim)
    before = copy.deepcopy(a.weight.detach())
    optimizers = [torch.optim.SGD(m.parameters(), 0.1, momentum=0.9) for m in (a, b)]
    for _ in range(4):
        x = data(name)
        results = [m(*x) for m in (a, b)]
        torch.testing.assert_close(*results)
        for result, optimizer in zip(results, optimizers, strict=True):
            optimizer.zero_grad()
            result.square().mean().backward()
            optimizer.step()
    assert repr(a) == repr(b)
    assert list(a.state_dict()) == list(b.state_dict())
    torch.testing.assert_close(dict(a.state_dict()), dict(b.state_dict()))
    assert not torch.allclose(a.weight, before)


def test_the_function_is_unchanged_when_wrapped_and_when_removed():
    module = torch.nn.Linear(5, 4)
    weight = module.weight.detach().clone()
    ours.weight_norm(module)
    torch.testing.assert_close(module.weight.detach(), weight)
    module.weight = 2 * weight  # right_inverse
    torch.testing.assert_close(module.weight.detach(), 2 * weight)
    g, v = module.parametrizations.weight.original0, module.parametrizations.weight.original1
    torch.testing.assert_close(v.detach(), 2 * weight)
    torch.testing.assert_close(g.detach(), torch.norm_except_dim(2 * weight, 2, 0))
    torch.nn.utils.parametrize.remove_parametrizations(module, "weight")
    torch.testing.assert_close(module.weight.detach(), 2 * weight)
    assert type(module) is torch.nn.Linear


def test_state_dict_goes_both_ways():
    a, b = pair("Conv2d")
    for p in b.parameters():
        torch.nn.init.normal_(p)
    a.load_state_dict(b.state_dict())
    torch.testing.assert_close(a.weight, b.weight)
    for p in a.parameters():
        torch.nn.init.normal_(p)
    b.load_state_dict(a.state_dict())
    torch.testing.assert_close(a.weight, b.weight)
    assert a.state_dict()._metadata == b.state_dict()._metadata
    shapes = {k: tuple(t.shape) for k, t in a.state_dict().items()}
    assert shapes == {
        "bias": (4,),
        "parametrizations.weight.original0": (4, 1, 1, 1),
        "parametrizations.weight.original1": (4, 3, 3, 3),
    }


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
@pytest.mark.parametrize("prefix", ["", "0."])
def test_reads_the_old_keys(prefix):
    old = torch.nn.utils.weight_norm(torch.nn.Linear(5, 4))
    new = ours.weight_norm(torch.nn.Linear(5, 4))
    if prefix:
        old, new = torch.nn.Sequential(old), torch.nn.Sequential(new)
    torch.nn.init.normal_(dict(old.named_parameters())[f"{prefix}weight_g"])
    state = old.state_dict()
    assert f"{prefix}weight_g" in state
    new.load_state_dict(state)
    x = torch.randn(3, 5)
    torch.testing.assert_close(new(x), old(x))
    half = {k: t for k, t in old.state_dict().items() if not k.endswith("_g")}
    with pytest.raises(RuntimeError, match="original0"):
        new.load_state_dict(half)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("dim", [0, 1, None])
def test_half_precision_modules_are_torchs(dtype, dim):
    torch.manual_seed(0)
    a, b = (m.to(dtype) for m in pair("Linear", dim))
    torch.testing.assert_close(a.weight, b.weight)
    assert a.weight.dtype == dtype
    gradients = []
    for m in (a, b):
        m.weight.float().square().mul(m.weight.float() + 1).sum().backward()
        gradients.append([p.grad for n, p in m.named_parameters() if n != "bias"])
    torch.testing.assert_close(*gradients, rtol=2e-2, atol=1e-2)


def test_copies_compiles_exports_and_refuses_to_pickle_as_torch_does():
    module, theirs = (m.float() for m in pair("Linear"))
    x = torch.randn(3, 5)
    clone = copy.deepcopy(module)
    torch.testing.assert_close(clone(x), module(x))
    with torch.no_grad():
        clone.parametrizations.weight.original0.mul_(2)
    assert not torch.allclose(clone(x), module(x))
    for m in (module, theirs):
        with pytest.raises(RuntimeError, match="only supported through state_dict"):
            pickle.dumps(m)
    compiled = torch.compile(module, fullgraph=True)
    torch.testing.assert_close(compiled(x), module(x))
    gradients = []
    for m in (compiled, module):
        module.zero_grad()
        m(x).square().sum().backward()
        gradients.append([p.grad.clone() for p in module.parameters()])
    torch.testing.assert_close(*gradients)
    exported = torch.export.export(module, (x,)).module()
    torch.testing.assert_close(exported(x), module(x))


def test_can_be_differentiated_twice():
    v, g, _ = case((4, 3), 0)
    v.requires_grad_(), g.requires_grad_()
    apply = lambda v, g: ours._WeightNorm(0)(g, v)  # noqa: E731
    assert torch.autograd.gradgradcheck(apply, (v, g))


def test_a_zero_layer_stays_finite_where_torch_returns_nan():
    modules = [torch.nn.Linear(5, 4), torch.nn.Linear(5, 4)]
    for m, library in zip(modules, (ours, torchs), strict=True):
        torch.nn.init.zeros_(m.weight)
        library.weight_norm(m)
    x = torch.ones(2, 5)
    assert modules[0](x).isfinite().all()
    assert modules[1](x).isnan().all()
    modules[0](x).sum().backward()
    assert all(p.grad.isfinite().all() for p in modules[0].parameters())


def test_two_weights_of_one_module():
    module = torch.nn.LSTM(3, 4)
    x = torch.randn(5, 2, 3)
    expected = module(x)[0]
    for name in ("weight_ih_l0", "weight_hh_l0"):
        ours.weight_norm(module, name)
    torch.testing.assert_close(module(x)[0], expected)
    assert "parametrizations.weight_hh_l0.original1" in module.state_dict()


# ---- errors ------------------------------------------------------------------------------

V, G = np.ones((4, 3)), np.ones((4, 1))
LINEAR = torch.nn.Linear(3, 2, bias=False)
WRONG = {
    "list": (lambda: weight_norm([1.0], G), TypeError, "v must be an array"),
    "integers": (lambda: weight_norm(V.astype(int), G), TypeError, "v .*int64.*astype"),
    "complex": (lambda: weight_norm(V * 1j, G), TypeError, "complex128"),
    "scalar": (lambda: weight_norm(np.ones(()), G), ValueError, r"axis of v.*shape \(\)"),
    "g is a number": (lambda: weight_norm(V, 2.0), TypeError, "g must be an array"),
    "no g": (lambda: weight_norm(V, None), TypeError, "^g must be an array.*NoneType"),
    "g's shape": (
        lambda: weight_norm(V, np.ones(4)),
        ValueError,
        r"g must have shape \(4, 1\), .* along dim of v with shape \(4, 3\); got \(4,\)",
    ),
    "g of another dim": (lambda: weight_norm(V, G, 1), ValueError, r"g .*\(1, 3\).*got \(4, 1\)"),
    "g of all": (
        lambda: weight_norm(V, G, None),
        ValueError,
        r"g .*shape \(\),.*dim.*got \(4, 1\)",
    ),
    "libraries": (
        lambda: weight_norm(V, torch.ones(4, 1)),
        TypeError,
        "g is a torch.*v is a numpy",
    ),
    "dim": (lambda: weight_norm(V, G, 2), ValueError, "None or an axis of v, here -2 to 1.*got 2"),
    "dim of a vector": (lambda: weight_norm(V[0], V[0], 1), ValueError, "dim.*-1 to 0.*got 1"),
    "negative dim of a vector": (lambda: weight_norm(V[0], V[0], -2), ValueError, "dim.*got -2"),
    "negative dim": (lambda: weight_norm(V, G, -3), ValueError, "dim.*got -3"),
    "dim's type": (lambda: weight_norm(V, G, 0.0), TypeError, "dim must be an integer.*0.0"),
    "dim True": (lambda: weight_norm(V, G, True), TypeError, "dim.*True"),
    "gradient": (
        lambda: weight_norm_backward(V[:2], V, G),
        ValueError,
        r"dw must have the shape of v, \(4, 3\); got \(2, 3\)",
    ),
    "g in backward": (
        lambda: weight_norm_backward(V, V, np.ones(4)),
        ValueError,
        r"^g must have shape \(4, 1\).*got \(4,\)",
    ),
    "gradient's type": (lambda: weight_norm_backward(1.0, V, G), TypeError, "dw must be an array"),
    "norm": (lambda: norm_except_dim(V, 5), ValueError, "dim.*got 5"),
    "no module": (lambda: ours.weight_norm(V), TypeError, "module must be.*ndarray"),
    "name": (
        lambda: ours.weight_norm(LINEAR, "wieght"),
        ValueError,
        r"this Linear, one of \['weight'\]; got 'wieght'",
    ),
    "no bias": (lambda: ours.weight_norm(LINEAR, "bias"), ValueError, "one of.*got 'bias'"),
    "module's dim": (lambda: ours.weight_norm(LINEAR, dim=2), ValueError, "dim.*got 2"),
    "module's dim's type": (lambda: ours.weight_norm(LINEAR, dim="0"), TypeError, "dim.*'0'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_name_the_argument(name):
    call, error, message = WRONG[name]
    with pytest.raises(error, match=message):
        call()


def test_a_bad_call_leaves_the_module_as_it_was():
    module = torch.nn.Linear(3, 2)
    with pytest.raises(ValueError, match="dim"):
        ours.weight_norm(module, dim=7)
    assert type(module) is torch.nn.Linear
    assert list(module.state_dict()) == ["weight", "bias"]


@pytest.mark.parametrize("dim", [0, 1, None])
def test_derivatives_at_a_zero_vector_agree_in_both_modes(dim):
    """dv = g dw there: the norm counts as 1."""
    v, g, _ = case((3, 4), dim)
    v[1] = v[:, 2] = 0
    v = v if dim is not None else 0 * v
    forward = torch.func.jacfwd(lambda v: weight_norm(v, g, dim))(v)
    rows = [
        weight_norm_backward(row, v, g, dim)[0] for row in torch.eye(12).reshape(12, 3, 4).double()
    ]
    torch.testing.assert_close(forward, torch.stack(rows).reshape(forward.shape))
    assert forward.isfinite().all()
