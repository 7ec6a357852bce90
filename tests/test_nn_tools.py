"""What tools around torch make of our modules: what they make of torch's."""

import copy
import functools

import pytest
import torch
from torch.ao.quantization import fuse_modules
from torch.ao.quantization.fuser_method_mappings import fuse_conv_bn
from torch.func import replace_all_batch_norm_modules_
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn

from normcourse import nn
from normcourse.nn.utils import parametrizations

# name: (how to build it, the shape of an input)
MODULES = {
    "BatchNorm1d": (lambda kind: kind(4), (6, 4)),
    "BatchNorm2d": (lambda kind: kind(4, affine=False), (3, 4, 5, 5)),
    "BatchNorm3d": (lambda kind: kind(4, momentum=None), (3, 4, 2, 2, 2)),
    "LazyBatchNorm1d": (lambda kind: kind(), (6, 4)),
    "LazyBatchNorm2d": (lambda kind: kind(eps=0.1), (3, 4, 5, 5)),
    "LazyBatchNorm3d": (lambda kind: kind(bias=False), (3, 4, 2, 2, 2)),
    "SyncBatchNorm": (lambda kind: kind(4), (3, 4, 5)),
    "InstanceNorm1d": (lambda kind: kind(4, affine=True, track_running_stats=True), (3, 4, 5)),
    "InstanceNorm2d": (lambda kind: kind(4), (4, 5, 5)),
    "InstanceNorm3d": (lambda kind: kind(4, affine=True), (3, 4, 2, 2, 2)),
    "LazyInstanceNorm1d": (lambda kind: kind(), (3, 4, 5)),
    "LazyInstanceNorm2d": (lambda kind: kind(momentum=0.5), (3, 4, 5, 5)),
    "LazyInstanceNorm3d": (lambda kind: kind(affine=False), (3, 4, 2, 2, 2)),
    "GroupNorm": (lambda kind: kind(2, 4, affine=False), (3, 4, 5)),
    "LayerNorm": (lambda kind: kind((4, 5)), (3, 4, 5)),
    "RMSNorm": (lambda kind: kind(4), (3, 4)),
    "LocalResponseNorm": (lambda kind: kind(3), (2, 5, 4)),
    "CrossMapLRN2d": (lambda kind: kind(3), (2, 5, 4, 4)),
    "SwitchableNorm1d": (lambda kind: kind(4, affine=False), (3, 4, 5)),
    "SwitchableNorm2d": (lambda kind: kind(4), (3, 4, 5, 5)),
    "SwitchableNorm3d": (lambda kind: kind(4), (3, 4, 2, 2, 2)),
    "DivisiveNorm": (lambda kind: kind(4), (3, 4, 5)),
    "GDN": (lambda kind: kind(4), (3, 4)),
}
OURS_ALONE = [name for name in MODULES if not hasattr(torch.nn, name)]
each = pytest.mark.parametrize("name", MODULES)
each_mode = pytest.mark.parametrize("training", [True, False])


def build(name, library=nn):
    """The module in float64, with random parameters, after one batch; and an input."""
    make, shape = MODULES[name]
    module = make(getattr(library, name)).double()
    g = torch.Generator().manual_seed(0)
    module(torch.randn(shape, generator=g, dtype=torch.float64) + 1)
    for p in module.parameters():
        p.data = torch.randn(p.shape, generator=g, dtype=torch.float64)
    return module, torch.randn(shape, generator=g, dtype=torch.float64)


def same(a, b):
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def state(module):
    return dict(module.named_parameters()) | dict(module.named_buffers())


def test_every_module_is_tried():
    classes = {name for name in nn.__all__ if isinstance(getattr(nn, name), type)}
    assert classes == set(MODULES)


@each
def test_is_a_torch_module_of_its_name(name):
    kind = getattr(nn, name)
    assert issubclass(kind, getattr(torch.nn, name, torch.nn.Module))
    if name in OURS_ALONE:  # nobody takes it for something that it is not
        torchs = {b for b in kind.__mro__ if b.__module__.startswith("torch.nn.modules")}
        known = (_BatchNorm, torch.nn.modules.instancenorm._InstanceNorm, torch.nn.LayerNorm)
        assert not torchs & set(known)


def test_the_parametrizations_are_torchs():
    torchs = torch.nn.utils.parametrizations
    for name in ("weight_norm", "spectral_norm"):
        layers = [getattr(p, name)(torch.nn.Linear(3, 2)) for p in (parametrizations, torchs)]
        ours, theirs = (layer.parametrizations.weight[0] for layer in layers)
        assert isinstance(ours, type(theirs))


# ---- torch.fx, TorchScript, nested tensors -------------------------------------------------


@each
@each_mode
def test_fx_makes_a_graph_that_computes_the_same(name, training):
    """Alone and in a network, with the same statistics after it, and in the other mode, too."""
    module, x = build(name)
    net = torch.nn.Sequential(torch.nn.Identity(), module.train(training))
    traces = (torch.fx.symbolic_trace(copy.deepcopy(m)) for m in (module, net))
    for traced in map(copy.deepcopy, traces):
        traced.graph.lint()
        original = copy.deepcopy(module)
        for mode in (training, not training):
            same(traced.train(mode)(x), original.train(mode)(x))
        same(list(traced.buffers()), list(original.buffers()))
    kinds = [node.op for node in torch.fx.symbolic_trace(net).graph.nodes]
    assert kinds.count("call_module") == 2


@each
def test_fx_runs_hooks_once(name):
    module, x = build(name)
    net = torch.nn.Sequential(module)
    expected = 2 * copy.deepcopy(module)(3 * x)
    module.register_forward_pre_hook(lambda module, inputs: (3 * inputs[0],))
    module.register_forward_hook(lambda module, inputs, output: 2 * output)
    same(torch.fx.symbolic_trace(net)(x), expected)


@each
def test_jit_trace_can_be_saved(name, tmp_path):
    module, x = build(name)
    module, x = module.float().eval(), x.float()
    torch.jit.trace(module, (x,)).save(tmp_path / "traced.pt")
    traced = torch.jit.load(tmp_path / "traced.pt")
    torch.testing.assert_close(traced(2 * x + 1), module(2 * x + 1))


@each
def test_jit_script_says_what_to_use_instead(name):
    module, x = build(name)
    for what in (module, torch.nn.Sequential(module)):
        message = r"cannot compile a normcourse\.nn\.\w+\. Use torch\.compile"
        with pytest.raises(RuntimeError, match=message):
            torch.jit.script(what)(x)


@pytest.mark.parametrize("name", ["LayerNorm", "RMSNorm"])
def test_nested_tensors(name):
    parts = [torch.randn(n, 4) for n in (3, 5)]
    module = getattr(nn, name)(4)
    nested = torch.nested.nested_tensor(parts, layout=torch.jagged)
    for y, part in zip(module(nested).unbind(), parts, strict=True):
        torch.testing.assert_close(y, module(part))
    with pytest.raises(TypeError, match=r"nested tensor without a shape.*torch\.jagged.*padded"):
        module(torch.nested.nested_tensor(parts))


def test_fast_path_of_a_transformer_layer():
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    x = torch.randn(2, 5, 8)
    expected = layer(x)
    for name in ("norm1", "norm2"):
        ours = nn.LayerNorm(8)
        ours.load_state_dict(getattr(layer, name).state_dict())
        setattr(layer, name, ours)
    for context in (torch.no_grad(), torch.enable_grad()):
        with context:
            torch.testing.assert_close(layer(x), expected)


# ---- changing in place, and graphs that live on --------------------------------------------


@each
@each_mode
def test_the_result_may_be_changed_in_place(name, training):
    module, x = build(name)
    module.train(training)
    twin, gradients = copy.deepcopy(module), []
    for change in (lambda y: y.add_(1).relu_(), lambda y: torch.relu(y + 1)):
        leaf = x.clone().requires_grad_()
        gradients.append(torch.autograd.grad(change(module(leaf)).pow(2).sum(), leaf))
        module = twin
    same(*gradients)


@each
def test_a_graph_is_differentiated_with_the_statistics_it_was_made_with(name):
    module, x = build(name)
    module.eval()
    wrt = [x.requires_grad_(), *module.parameters()]
    expected = torch.autograd.grad(module(x).pow(2).sum(), wrt)
    y = module(x)
    module.train()(5 * x.detach() + 3)
    same(torch.autograd.grad(y.pow(2).sum(), wrt), expected)


# ---- compiled for any shape ----------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in MODULES if not name.startswith("Lazy")])
@each_mode
def test_compiles_whole_for_batches_of_any_size(name, training):
    torch._dynamo.reset()
    module, x = build(name)
    module.train(training)
    twin = copy.deepcopy(module)
    compiled = torch.compile(twin, fullgraph=True, dynamic=True, backend="eager")
    for repeats in (2, 3, 4):
        batch = x.repeat(repeats, *[1] * (x.dim() - 1)) if name != "InstanceNorm2d" else x
        leaves = [batch.clone().requires_grad_() for _ in range(2)]
        results = [m(leaf) for m, leaf in zip((module, compiled), leaves, strict=True)]
        same(*results)
        pairs = zip(results, leaves, strict=True)
        same(*[torch.autograd.grad(y.pow(2).sum(), leaf) for y, leaf in pairs])
    same(state(twin), state(module))


@pytest.mark.parametrize("name", ["BatchNorm1d", "InstanceNorm1d", "SwitchableNorm1d"])
def test_a_compiled_momentum_may_change(name):
    torch._dynamo.reset()
    module, x = build(name)
    twin = copy.deepcopy(module)
    compiled = torch.compile(twin, fullgraph=True, backend="aot_eager")
    for momentum in (0.1, 0.2, 0.35, 0.9, 1.0):
        module.momentum = twin.momentum = momentum
        same(compiled(x), module(x))
    same(state(twin), state(module))


# ---- converters, averaging, freezing, checkpoints ------------------------------------------


class Doubled(nn.BatchNorm2d):
    def forward(self, input):
        return 2 * super().forward(input)


class DoubledTorch(torch.nn.BatchNorm2d):
    def forward(self, input):
        return 2 * super().forward(input)


class OtherDefaults(nn.BatchNorm2d):
    def __init__(self, channels):
        super().__init__(channels, eps=1e-3, bias=False)


def test_a_network_is_synchronized_where_nothing_is_lost():
    kept = [nn.SwitchableNorm2d(3), Doubled(3), DoubledTorch(3), nn.GroupNorm(1, 3)]
    changed = [nn.BatchNorm2d(3), torch.nn.BatchNorm2d(3), OtherDefaults(3), nn.SyncBatchNorm(3)]
    changed[0].qconfig = "kept"
    net = torch.nn.Sequential(*kept, *changed)
    x = torch.randn(4, 3, 5, 5)
    net(x)
    expected = net.eval()(x)
    result = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    assert [type(m) for m in result[:4]] == [type(m) for m in kept]
    assert {type(m) for m in result[4:]} == {nn.SyncBatchNorm}
    assert result[4].qconfig == "kept"
    assert result[6].eps == 1e-3
    torch.testing.assert_close(result(x), expected)
    with pytest.raises(ValueError, match="LazyBatchNorm2d has no channels before its first input"):
        nn.SyncBatchNorm.convert_sync_batchnorm(torch.nn.Sequential(nn.LazyBatchNorm2d()))


def test_torchs_converter_takes_ours_and_leaves_the_switchable_one():
    net = torch.nn.Sequential(nn.BatchNorm2d(3), nn.SwitchableNorm2d(3))
    convert = torch.nn.SyncBatchNorm.convert_sync_batchnorm
    assert [type(m) for m in convert(net)] == [torch.nn.SyncBatchNorm, nn.SwitchableNorm2d]


def test_averaged_weights_get_their_statistics():
    batches = [torch.randn(50, 3) * 2 + 5 for _ in range(4)]
    results = []
    for library in (nn, torch.nn):
        net = torch.nn.Sequential(library.BatchNorm1d(3))
        update_bn(batches, net)
        results.append(net.state_dict())
    torch.testing.assert_close(*map(dict, results))


def test_statistics_are_dropped_for_functional_use():
    net = torch.nn.Sequential(nn.BatchNorm1d(3))
    replace_all_batch_norm_modules_(net)
    assert net[0].running_mean is None
    assert net(torch.randn(4, 3)).mean().abs() < 1e-6


def test_missing_counts_of_an_old_checkpoint_leave_the_meta_device():
    old = torch.nn.BatchNorm1d(3).state_dict()
    del old["num_batches_tracked"]
    old._metadata[""]["version"] = 1
    module = nn.BatchNorm1d(3, device="meta")
    module.load_state_dict(old, assign=True)
    assert {t.device.type for t in module.state_dict().values()} == {"cpu"}


def test_old_running_statistics_of_instances_are_explained():
    old = {"running_mean": torch.zeros(3), "running_var": torch.ones(3)}
    with pytest.raises(RuntimeError, match=r"Unexpected running stats.*track_running_stats=True"):
        nn.InstanceNorm1d(3).load_state_dict(old)


def test_a_convolution_is_fused_with_the_mapping_of_the_reference():
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
    net(torch.randn(3, 1, 6, 6) + 1)
    x = torch.randn(2, 1, 6, 6)
    expected = net.eval()(x)
    mapping = {(torch.nn.Conv2d, nn.BatchNorm2d): fuse_conv_bn}
    custom = {"additional_fuser_method_mapping": mapping}
    fused = fuse_modules(net, ["0", "1"], fuse_custom_config_dict=custom)
    assert isinstance(fused[1], torch.nn.Identity)
    torch.testing.assert_close(fused(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("Lazy")])
def test_a_lazy_module_becomes_what_torchs_becomes(name):
    (ours, x), (theirs, _) = build(name), build(name, torch.nn)
    assert type(ours).__name__ == type(theirs).__name__
    assert type(ours) is getattr(nn, type(ours).__name__)
    same(ours(x), theirs(x))
    same(dict(ours.state_dict()), dict(theirs.state_dict()))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_cross_map_lrn_is_local_response_norm(size):
    x = torch.randn(2, 7, 3, 3, dtype=torch.float64)
    expected = torch.nn.LocalResponseNorm(size, 0.5, 0.6, 2.0)(x)
    same(nn.CrossMapLRN2d(size, 0.5, 0.6, 2.0)(x), expected)
    if size % 2:  # up to where torch's own keeps the first channel too long
        right = size // 2 + 1
        theirs = torch.nn.CrossMapLRN2d(size, 0.5, 0.6, 2.0)(x)
        same(theirs[:, :right], expected[:, :right])
    with pytest.raises(ValueError, match=r"3 axes.*CrossMapLRN2d expects \(N, C, H, W\)"):
        nn.CrossMapLRN2d(3)(x[0])


# ---- autocast ------------------------------------------------------------------------------


@each
@each_mode
def test_autocast_rounds_no_statistic(name, training):
    module, x = build(name)
    module = module.float().train(training)
    twin, x = copy.deepcopy(module), x.float()
    leaves = [x.clone().requires_grad_() for _ in range(2)]
    y = twin(leaves[0])
    with torch.autocast("cpu", torch.bfloat16):
        z = module(leaves[1])
        z.sum().backward()
    y.sum().backward()
    assert z.dtype == torch.float32
    torch.testing.assert_close(z, y, rtol=0, atol=0)
    torch.testing.assert_close(leaves[1].grad, leaves[0].grad, rtol=0, atol=0)
    torch.testing.assert_close(state(module), state(twin), rtol=0, atol=0)


def test_autocast_rounds_no_estimate_of_a_norm():
    torch.manual_seed(0)
    layer = parametrizations.spectral_norm(torch.nn.Linear(64, 32))
    conv = functools.partial(nn.utils.operator_norm.conv_operator_norm, input_size=8)
    kernel = torch.randn(4, 4, 3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        for _ in range(300):
            layer(torch.randn(4, 64))
        norm = conv(kernel)
    assert abs(torch.linalg.matrix_norm(layer.weight, 2).item() - 1) < 1e-5
    torch.testing.assert_close(norm, conv(kernel), rtol=0, atol=0)


# ---- the largest numbers -------------------------------------------------------------------


@each
@each_mode
def test_numbers_whose_squares_overflow_stay_finite(name, training):
    module, x = build(name)
    module = module.float()
    x = (1e28 * x).float().requires_grad_()
    if not training:
        module.eval()
    y = module(x)
    wrt = [x, *module.parameters()]
    for result in (y, *torch.autograd.grad(y.sum(), wrt, allow_unused=True)):
        assert result is None or not result.isnan().any()
    assert y.isfinite().all()
