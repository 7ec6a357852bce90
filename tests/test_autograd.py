"""autograd: our backward runs in the place of autograd's, wherever torch's modules can go."""

import pytest
import torch
from techniques import as_function
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vmap

from normcourse import nn
from normcourse.autograd import with_backward
from normcourse.nn.divisive_norm import DivisiveNorm, LocalResponseNorm
from normcourse.nn.switchable_norm import SwitchableNorm1d

KINDS = {
    "BatchNorm1d": lambda kind: kind(4),
    "LayerNorm": lambda kind: kind((4, 5)),
    "InstanceNorm1d": lambda kind: kind(4, affine=True),
    "GroupNorm": lambda kind: kind(2, 4),
    "RMSNorm": lambda kind: kind(5),
    "LocalResponseNorm": lambda kind: kind(3),
}
OURS_ALONE = {"SwitchableNorm1d": SwitchableNorm1d, "DivisiveNorm": DivisiveNorm}
# Its running statistics would make a second call differ from the first, and stop vmap.
KINDS["BatchNorm1d"] = lambda kind: kind(4, track_running_stats=False)


def ours(name):
    """Our module in float64 with random parameters."""
    torch.manual_seed(0)
    if name in OURS_ALONE:
        keywords = {"track_running_stats": False} if name == "SwitchableNorm1d" else {}
        module = OURS_ALONE[name](4, **keywords).double()
    else:
        kind = LocalResponseNorm if name == "LocalResponseNorm" else getattr(nn, name)
        module = KINDS[name](kind).double()
    for p in module.parameters():
        torch.nn.init.normal_(p)
    return module


def both(name):
    """Our module and torch's, with the same random parameters."""
    module = ours(name)
    theirs = KINDS[name](getattr(torch.nn, name)).double()
    theirs.load_state_dict(module.state_dict())
    return module, theirs


def tensors(count=1):
    g = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, 4, 5, generator=g, dtype=torch.float64).unbind()


def cubes(module):
    return lambda x: (module(x) ** 3).sum()


def of_everything(module):
    """(function of x and all parameters, their values), for the checkers of torch."""
    values = [p.detach().clone().requires_grad_() for p in module.parameters()]
    return as_function(module), (tensors()[0].requires_grad_(), *values)


# ---- our backward and nothing else -------------------------------------------------------


def test_the_backward_that_is_given_is_the_one_that_runs():
    calls = []

    def wrong(dy, x, factor):
        calls.append((dy, x, factor))
        return (100 * dy,)

    function = with_backward(lambda x, factor: factor * x, wrong, "x")
    x = torch.ones(2, dtype=torch.float64, requires_grad=True)
    function(x, 3.0).backward(torch.tensor([1.0, 2.0], dtype=torch.float64))
    torch.testing.assert_close(x.grad, torch.tensor([100.0, 200.0], dtype=torch.float64))
    assert len(calls) == 1
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        gradcheck(lambda x: function(x, 3.0), (x,))


def test_gradients_go_to_the_arguments_that_are_named():
    function = with_backward(
        lambda x, setting, a, b: x * a + b,
        lambda dy, x, setting, a, b: (dy, None if a is None else (dy * x).sum(), dy * a),
        wrt="b a x",
    )
    x, a, b = (torch.randn(3, dtype=torch.float64, requires_grad=True) for _ in range(3))
    a = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda *p: function(p[0], "no tensor", *p[1:]), (x, a, b))
    constant = torch.ones(3, dtype=torch.float64)
    y = function(constant, None, a, b.detach())
    y.sum().backward()
    assert (constant.grad, b.grad) == (None, None)
    torch.testing.assert_close(a.grad, torch.tensor(3.0, dtype=torch.float64))


@pytest.mark.parametrize(
    "name", ["BatchNorm1d", "LayerNorm", "InstanceNorm1d", "GroupNorm", "RMSNorm"]
)
def test_only_inputs_are_kept_for_the_backward(name):
    module, (x,) = ours(name), tensors()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        module(x.requires_grad_())
    inputs = {t.data_ptr() for t in (x, *module.parameters())}
    assert {t.data_ptr() for t in kept} == inputs
    assert len(kept) == len(inputs)


# ---- derivatives of every kind -----------------------------------------------------------

NAMES = [*KINDS, *OURS_ALONE]


@pytest.mark.parametrize("name", NAMES)
def test_first_derivatives_in_both_modes(name):
    options = {"check_forward_ad": True, "check_batched_grad": True}
    assert gradcheck(*of_everything(ours(name)), **options, check_batched_forward_grad=True)


@pytest.mark.parametrize("name", NAMES)
def test_second_derivatives_in_both_modes(name):
    assert gradgradcheck(*of_everything(ours(name)), check_fwd_over_rev=True)


@pytest.mark.parametrize("name", KINDS)
def test_forward_mode_is_torchs(name):
    x, tangent = tensors(2)
    pair = both(name)
    results = [jvp(module, (x,), (tangent,)) for module in pair]
    torch.testing.assert_close(*results)
    with forward_ad.dual_level():
        duals = [forward_ad.unpack_dual(m(forward_ad.make_dual(x, tangent))) for m in pair]
        torch.testing.assert_close(duals[0].tangent, duals[1].tangent)
        torch.testing.assert_close(duals[0].tangent, results[0][1])


@pytest.mark.parametrize("name", KINDS)
def test_jacobians_and_hessians_are_torchs(name):
    x = tensors()[0][:2, :, :]
    mine, theirs = both(name)
    expected = hessian(cubes(theirs))(x)
    for derivative in (
        hessian,
        lambda f: jacrev(jacfwd(f)),
        lambda f: jacrev(jacrev(f)),
        lambda f: jacfwd(jacfwd(f)),
    ):
        torch.testing.assert_close(derivative(cubes(mine))(x), expected)


@pytest.mark.parametrize("name", ["LayerNorm", "GroupNorm", "RMSNorm", "LocalResponseNorm"])
def test_gradients_per_sample_are_torchs(name):
    x = tensors()[0][:, None]
    results = []
    for module in both(name):
        loss = lambda p, x, m=module: (functional_call(m, p, (x,)) ** 3).sum()  # noqa: E731
        parameters = dict(module.named_parameters())
        results.append(vmap(grad(loss, argnums=(0, 1)), (None, 0))(parameters, x))
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("name", ["LayerNorm", "GroupNorm", "BatchNorm1d"])
def test_an_ensemble_of_parameters(name):
    module, x = ours(name), tensors()[0]
    many = {key: torch.stack([p, -p, 2 * p]) for key, p in module.named_parameters()}
    together = vmap(lambda p: functional_call(module, p, (x,)))(many)
    for i, y in enumerate(together):
        one = {key: p[i] for key, p in many.items()}
        torch.testing.assert_close(y, functional_call(module, one, (x,)))


# ---- compiled and exported ---------------------------------------------------------------


def whole(function):
    """Compiled in one piece, but not to machine code: what is tested is the trace."""
    torch._dynamo.reset()
    return torch.compile(function, fullgraph=True, backend="aot_eager")


@pytest.mark.parametrize("name", ["LayerNorm", "LocalResponseNorm", "SwitchableNorm1d"])
@pytest.mark.parametrize("mode", ["learning", "frozen", "no_grad", "inference_mode"])
def test_compiles_whole_with_and_without_gradients(name, mode):
    module, x = ours(name).requires_grad_(mode == "learning"), tensors()[0]
    expected = module(x)
    context = getattr(torch, mode) if mode.endswith(("grad", "mode")) else torch.enable_grad
    with context():
        torch.testing.assert_close(whole(module)(x), expected, check_dtype=True)


@pytest.mark.parametrize("name", NAMES)
def test_compiled_gradients_are_the_eager_ones(name):
    module, (x, dy) = ours(name), tensors(2)
    wrt = [x.requires_grad_(), *module.parameters()]
    results = [torch.autograd.grad(f(x), wrt, dy) for f in (whole(module), module)]
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("name", ["BatchNorm1d", "LayerNorm"])
def test_forward_mode_compiles_whole(name):
    module, (x, tangent) = ours(name), tensors(2)
    directional = lambda x, tangent: jvp(module, (x,), (tangent,))[1]  # noqa: E731
    torch.testing.assert_close(whole(directional)(x, tangent), directional(x, tangent))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("strict", "learns"), [(False, True), (True, False)])
def test_exports(name, strict, learns):
    module, x = ours(name).requires_grad_(learns), tensors()[0]
    program = torch.export.export(module, (x,), strict=strict)
    torch.testing.assert_close(program.module()(x), module(x))
