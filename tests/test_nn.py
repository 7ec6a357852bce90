"""normcourse.nn in the place of torch.nn: nothing changes but the source."""

import copy
import inspect
import io
import itertools
import pickle
import warnings

import onnx.reference
import pytest
import torch

import normcourse.nn
from normcourse.lab.data import digits


def product(**choices):
    """Every combination of the choices, as keyword arguments."""
    return [
        dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())
    ]


def batch(*, affine=True, track=True):
    return [
        *product(
            affine=[affine, not affine],
            track_running_stats=[track, not track],
            momentum=[0.1, None, 0.7],
            eps=[1e-5, 0.1],
        ),
        {"affine": True, "bias": False},
    ]


ELEMENTWISE = [
    {"elementwise_affine": affine, **eps}
    for affine, eps in itertools.product([True, False], [{}, {"eps": 0.1}])
]
GROUPED = [*product(affine=[True, False], eps=[1e-5, 0.1]), {"bias": False}]
INSTANCE = batch(affine=False, track=False)
# name: (arguments by position, arguments by keyword, shapes of inputs)
LAYERS = {
    "BatchNorm1d": ((4,), batch(), [(6, 4), (3, 4, 5)]),
    "BatchNorm2d": ((4,), batch(), [(3, 4, 5, 5)]),
    "BatchNorm3d": ((4,), batch(), [(2, 4, 3, 3, 3)]),
    "SyncBatchNorm": ((4,), batch(), [(6, 4), (3, 4, 5)]),
    "InstanceNorm1d": ((4,), INSTANCE, [(3, 4, 5), (4, 5)]),
    "InstanceNorm2d": ((4,), INSTANCE, [(3, 4, 5, 5), (4, 5, 5)]),
    "InstanceNorm3d": ((4,), INSTANCE, [(2, 4, 3, 3, 3), (4, 2, 3, 2)]),
    "GroupNorm": ((2, 4), GROUPED, [(3, 4), (3, 4, 5), (2, 4, 3, 2)]),
    "LayerNorm": ((4,), [*ELEMENTWISE, {"bias": False}], [(4,), (3, 4), (2, 3, 4)]),
    "LayerNorm over two axes": (((3, 4),), ELEMENTWISE, [(3, 4), (2, 5, 3, 4)]),
    "RMSNorm": ((4,), ELEMENTWISE, [(4,), (3, 4), (2, 3, 4)]),
    "RMSNorm over two axes": (([3, 4],), ELEMENTWISE, [(2, 5, 3, 4)]),
    "LocalResponseNorm": ((3,), [{}, {"alpha": 0.1, "beta": 0.6, "k": 2.0}], [(2, 5, 4)]),
}
CASES = [
    pytest.param(name, positional, keywords, id=f"{name}-{i}")
    for name, (positional, arguments, _) in LAYERS.items()
    for i, keywords in enumerate(arguments)
]


def pair(name, positional, keywords=None, dtype=torch.float64):
    """Our module and torch's, with the same random parameters."""
    like = {} if name == "LocalResponseNorm" else {"dtype": dtype}
    ours, theirs = (
        getattr(library, name.split()[0])(*positional, **(keywords or {}), **like)
        for library in (normcourse.nn, torch.nn)
    )
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@pytest.mark.parametrize(("name", "positional", "keywords"), CASES)
def test_starts_as_torchs_module(name, positional, keywords):
    """When it is built, and again after ``reset_parameters``."""
    ours, theirs = (
        getattr(library, name.split()[0])(*positional, **keywords)
        for library in (normcourse.nn, torch.nn)
    )
    expected = theirs.state_dict()
    torch.testing.assert_close(dict(ours.state_dict()), dict(expected), rtol=0, atol=0)
    if expected:
        for tensor in ours.state_dict().values():
            tensor.fill_(3)
        ours.reset_parameters()
        torch.testing.assert_close(dict(ours.state_dict()), dict(expected), rtol=0, atol=0)


@pytest.mark.parametrize(("name", "positional", "keywords"), CASES)
def test_is_torchs_module_in_training_and_evaluation(name, positional, keywords):
    torch.manual_seed(0)
    for shape in LAYERS[name][2]:
        ours, theirs = pair(name, positional, keywords)
        for training in (True, True, False, True, False):
            x = torch.randn(shape, dtype=torch.float64) * 2 + 1
            dy = torch.randn_like(x)
            ours.train(training), theirs.train(training)
            inputs = [x.clone().requires_grad_() for _ in range(2)]
            results = [module(i) for module, i in zip((ours, theirs), inputs, strict=True)]
            torch.testing.assert_close(*results)
            for result in results:
                result.backward(dy)
            torch.testing.assert_close(inputs[0].grad, inputs[1].grad)
            for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
                torch.testing.assert_close(p.grad, q.grad)
            torch.testing.assert_close(dict(ours.state_dict()), dict(theirs.state_dict()))
        assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("name", LAYERS)
def test_the_constructor_has_torchs_arguments_and_defaults(name):
    ours, theirs = (
        inspect.signature(getattr(library, name.split()[0])).parameters.values()
        for library in (normcourse.nn, torch.nn)
    )
    assert [(p.name, p.default, p.kind) for p in ours] == [
        (p.name, p.default, p.kind) for p in theirs
    ]


@pytest.mark.parametrize("name", LAYERS)
def test_state_dict_goes_both_ways_and_copies_are_equal(name):
    positional, _, (shape, *_) = LAYERS[name]
    ours, theirs = pair(name, positional)
    ours(torch.randn(shape, dtype=torch.float64))
    theirs.load_state_dict(ours.state_dict())
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert ours.state_dict()._metadata == theirs.state_dict()._metadata
    file = io.BytesIO()
    torch.save(ours, file)
    file.seek(0)
    for module in (
        copy.deepcopy(ours),
        pickle.loads(pickle.dumps(ours)),
        torch.load(file, weights_only=False),
    ):
        torch.testing.assert_close(dict(module.state_dict()), dict(ours.state_dict()))
        x = torch.randn(shape, dtype=torch.float64)
        torch.testing.assert_close(module.eval()(x), ours.eval()(x))


def test_reads_a_state_dict_from_before_batches_were_counted():
    ours, theirs = pair("BatchNorm1d", (4,))
    old = theirs.state_dict()
    del old["num_batches_tracked"]
    old._metadata[""]["version"] = 1
    ours(torch.randn(6, 4, dtype=torch.float64))
    ours.load_state_dict(old)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)


def test_an_empty_batch_leaves_the_statistics():
    """Torch's instance normalization turns NaN here."""
    x = torch.randn(5, 4, 3, dtype=torch.float64)
    for name in ("BatchNorm1d", "InstanceNorm1d"):
        ours, theirs = pair(name, (4,), {"track_running_stats": True})
        for module in (ours, theirs):
            module(x)
        after_one = copy.deepcopy(dict(ours.state_dict()))
        assert ours(x[:0]).shape == theirs(x[:0]).shape == (0, 4, 3)
        if name == "BatchNorm1d":
            after_one["num_batches_tracked"] += 1
            torch.testing.assert_close(dict(theirs.state_dict()), after_one)
        torch.testing.assert_close(dict(ours.state_dict()), after_one)


# ---- a trained network changes hands -------------------------------------------------------


def network(nn, wrap=torch.nn.utils.parametrizations):
    """A small network for 8 x 8 digits: each layer of ``nn`` that torch has, too, is in it."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3),
        nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        wrap.weight_norm(torch.nn.Conv2d(8, 8, 3)),
        nn.LocalResponseNorm(3),
        nn.GroupNorm(2, 8),
        torch.nn.ReLU(),
        nn.InstanceNorm2d(8, affine=True, track_running_stats=True),
        torch.nn.Flatten(),
        wrap.spectral_norm(torch.nn.Linear(8 * 16, 32)),
        nn.LayerNorm(32),
        torch.nn.ReLU(),
        nn.RMSNorm(32),
        torch.nn.Linear(32, 10),
        nn.BatchNorm1d(10),
    ).double()


def train(net, steps, seed):
    """Momentum SGD on the digits; the loss of each step."""
    data = digits()
    x = torch.as_tensor(data.x_train).double().reshape(-1, 1, 8, 8)
    y = torch.as_tensor(data.y_train).long()
    g = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(net.parameters(), 0.05, momentum=0.9)
    losses = []
    for _ in range(steps):
        rows = torch.randint(len(x), (64,), generator=g)
        loss = torch.nn.functional.cross_entropy(net(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("direction", ["from torch", "to torch"])
def test_a_network_trained_on_digits_changes_hands(direction):
    """Equal outputs after the exchange, and equal further training."""
    libraries = [
        (torch.nn, torch.nn.utils.parametrizations),
        (normcourse.nn, normcourse.nn.utils.parametrizations),
    ]
    if direction == "to torch":
        libraries.reverse()
    torch.manual_seed(0)
    first, second = (network(*library) for library in libraries)
    losses = train(first, 60, seed=0)
    assert losses[-1] < losses[0] / 2, "it did not learn"
    second.load_state_dict(first.state_dict())
    x = torch.randn(16, 1, 8, 8, dtype=torch.float64)
    for training in (False, True):
        torch.testing.assert_close(second.train(training)(x), first.train(training)(x))
    more = [train(net, 30, seed=1) for net in (first, second)]
    torch.testing.assert_close(*(torch.tensor(m) for m in more), rtol=1e-9, atol=0)
    torch.testing.assert_close(
        dict(second.state_dict()), dict(first.state_dict()), rtol=1e-7, atol=1e-9
    )


# ---- dtype, device, export -----------------------------------------------------------------

HALF = ["BatchNorm1d", "InstanceNorm1d", "GroupNorm", "LayerNorm", "RMSNorm"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", HALF)
def test_half_precision_input_with_float32_parameters(name, dtype):
    torch.manual_seed(0)
    keywords = {"track_running_stats": True} if name == "InstanceNorm1d" else {}
    ours, theirs = pair(name, LAYERS[name][0], keywords, torch.float32)
    x = (torch.randn(16, 7, 4) * 300).to(dtype)
    x = x.mT if name not in ("LayerNorm", "RMSNorm") else x
    dy = torch.randn(x.shape).to(dtype)
    assert_not_further(ours, theirs, x, dy)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", HALF)
def test_half_precision_throughout(name, dtype):
    torch.manual_seed(0)
    ours, theirs = pair(name, LAYERS[name][0], None, dtype)
    x = torch.randn(16, 7, 4).to(dtype)
    x = x.mT if name not in ("LayerNorm", "RMSNorm") else x
    assert_not_further(ours, theirs, x, torch.randn(x.shape).to(dtype))


def assert_not_further(ours, theirs, x, dy):
    """From float64: value, gradients and buffers, but for two units in the last place."""
    exact = copy.deepcopy(theirs).double()
    modules = (ours, theirs, exact)
    mine, other, truth = (
        [y, *torch.autograd.grad(y, [i, *module.parameters()], dy.to(y.dtype))]
        for module in modules
        for i in [x.to(torch.float64 if module is exact else x.dtype).requires_grad_()]
        for y in [module(i)]
    )
    assert [m.dtype for m in mine[1:]] == [o.dtype for o in other[1:]]
    assert mine[0].dtype == x.dtype
    buffers = zip(*(module.buffers() for module in modules), strict=True)
    for m, o, t in [*zip(mine, other, truth, strict=True), *buffers]:
        distance, allowed = (m.double() - t).abs().max(), (o.double() - t).abs().max()
        few = 0 if m.dtype == torch.long else 2 * torch.finfo(m.dtype).eps * t.abs().max()
        assert distance <= max(allowed, few)


ORDERS = {
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "every other": lambda x: x[..., ::2],
    "height and width swapped": lambda x: x.mT,
    "batch and channels swapped": lambda x: x.transpose(0, 1),
    "expanded": lambda x: x[:1].expand_as(x),
}


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    "name", ["BatchNorm2d", "GroupNorm", "InstanceNorm2d", "LayerNorm", "RMSNorm"]
)
def test_any_order_in_memory(name, order, train):
    """Equal numbers, laid out as torch lays them out: else ``view`` would fail after a swap."""
    x = ORDERS[order](torch.randn(4, 4, 4, 8, dtype=torch.float64))
    positional = ((x.shape[-1],),) if name in ("LayerNorm", "RMSNorm") else LAYERS[name][0]
    ours, theirs = (module.train(train) for module in pair(name, positional))
    mine, other = ours(x), theirs(x)
    torch.testing.assert_close(mine, other)
    assert mine.stride() == other.stride()
    if name == "InstanceNorm2d":
        assert ours(x[0]).stride() == theirs(x[0]).stride()


def test_wrong_channels_are_counted_on_the_axis_they_have():
    module = normcourse.nn.InstanceNorm2d(4, affine=True)
    for shape, axis in (((3, 5, 5), 0), ((2, 3, 5, 5), 1)):
        with pytest.raises(ValueError, match=rf"3 channels on axis {axis}, .*num_features=4"):
            module(torch.ones(shape))


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "LocalResponseNorm"])
def test_moves_and_converts_like_a_module(name):
    kind, positional = getattr(normcourse.nn, name.split()[0]), LAYERS[name][0]
    module = kind(*positional, device="meta", dtype=torch.float16)
    theirs = getattr(torch.nn, name.split()[0])(*positional, device="meta", dtype=torch.float16)
    for key, value in theirs.state_dict().items():
        mine = module.state_dict()[key]
        assert (mine.device, mine.dtype, mine.shape) == (value.device, value.dtype, value.shape)
    module = module.to_empty(device="cpu").double()
    module.reset_parameters()
    assert all(b.is_floating_point() is (b.dtype == torch.float64) for b in module.buffers())
    assert all((p == 1).all() for name, p in module.named_parameters() if name == "weight")


@pytest.mark.parametrize(
    "name",
    [
        "BatchNorm2d",
        "InstanceNorm2d",
        "GroupNorm",
        "LayerNorm over two axes",
        "RMSNorm",
        "LocalResponseNorm",
    ],
)
def test_compiles_to_what_it_is(name):
    positional, _, (*_, shape) = LAYERS[name]
    module = pair(name, positional, None, torch.float32)[0].eval()
    x = torch.randn(shape)
    torch.testing.assert_close(torch.compile(module, fullgraph=True)(x), module(x))


def test_compiled_training_is_eager_training():
    torch.manual_seed(0)
    layers = [normcourse.nn.BatchNorm1d(4, momentum=None), normcourse.nn.LayerNorm(4)]
    net = torch.nn.Sequential(*layers).double()
    twin = copy.deepcopy(net)
    compiled = torch.compile(twin, fullgraph=True)
    for seed in range(3):
        x = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        for module in (net, compiled):
            module(x).pow(2).sum().backward()
    torch.testing.assert_close(dict(twin.state_dict()), dict(net.state_dict()))
    for p, q in zip(twin.parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad)


def test_a_network_goes_to_onnx():
    torch.manual_seed(0)
    net = network(normcourse.nn, normcourse.nn.utils.parametrizations).float()
    net(torch.randn(8, 1, 8, 8))
    net.eval()
    x = torch.randn(4, 1, 8, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(net, (x,), dynamo=True, verbose=False)
    session = onnx.reference.ReferenceEvaluator(program.model_proto)
    (y,) = session.run(None, {session.input_names[0]: x.numpy()})
    torch.testing.assert_close(torch.as_tensor(y), net(x).detach(), rtol=1e-4, atol=1e-5)


# ---- errors --------------------------------------------------------------------------------

WRONG_INPUT = [
    ("BatchNorm2d", (4,), (2, 3, 4), r"3 axes.*\(N, C, H, W\).*LayerNorm"),
    ("BatchNorm1d", (4,), (2, 3, 4, 4), r"4 axes.*\(N, C, L\)"),
    ("BatchNorm2d", (4,), (2, 3, 4, 4), "3 channels.*num_features=4"),
    ("BatchNorm1d", (4,), (1, 4), "one value per channel"),
    ("InstanceNorm1d", (4,), (2, 4, 3, 3), r"4 axes.*\(N, C, L\) or \(C, L\)"),
    ("InstanceNorm2d", (4,), (2, 4, 1, 1), "one value per channel of a sample"),
    ("GroupNorm", (2, 4), (3, 6), "6 channels.*num_channels=4"),
    ("GroupNorm", (2, 4), (4,), r"at least 2 axes.*\(4,\)"),
    ("LayerNorm", (4,), (2, 5), r"normalized_shape.*\(2, 5\).*\(5,\); got \(4,\)"),
    ("RMSNorm", ((2, 3),), (3,), r"normalized_shape.*\(3,\); got \(2, 3\)"),
]


@pytest.mark.parametrize(("name", "positional", "shape", "message"), WRONG_INPUT)
def test_errors_name_what_would_work(name, positional, shape, message):
    module = getattr(normcourse.nn, name)(*positional)
    before = copy.deepcopy(dict(module.state_dict()))
    with pytest.raises(ValueError, match=message):
        module(torch.randn(shape))
    torch.testing.assert_close(dict(module.state_dict()), before)


@pytest.mark.parametrize(
    ("name", "positional", "shape", "instead"),
    [("LayerNorm", (1,), (3, 1), "rms_norm"), ("GroupNorm", (4, 4), (3, 4), "fewer groups")],
)
def test_a_statistic_of_one_number_gives_the_bias_as_in_torch(name, positional, shape, instead):
    ours, theirs = pair(name, positional)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    with pytest.warns(UserWarning, match=f"one value per .*always zero.*{instead}"):
        y = ours(x)
    torch.testing.assert_close(y, theirs(x))
    torch.testing.assert_close(y, ours.bias.expand(shape))
    (dx,) = torch.autograd.grad(y.sum(), x)
    assert (dx == 0).all()
    torch._dynamo.reset()
    compiled = torch.compile(ours, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), y)


def test_instance_norm_checks_channels_where_it_uses_them():
    x = torch.randn(2, 3, 5)
    with pytest.warns(UserWarning, match="3 channels, num_features=4"):
        normcourse.nn.InstanceNorm1d(4)(x)
    for keyword in ("affine", "track_running_stats"):
        with pytest.raises(ValueError, match=r"3 channels.*num_features=4"):
            normcourse.nn.InstanceNorm1d(4, **{keyword: True})(x)


@pytest.mark.parametrize("name", [n for n in LAYERS if n != "LocalResponseNorm"])
def test_integers_are_refused(name):
    positional, _, (shape, *_) = LAYERS[name]
    with pytest.raises(TypeError, match=r"x must be real floating point, got dtype torch\.int64"):
        getattr(normcourse.nn, name.split()[0])(*positional)(torch.ones(shape, dtype=torch.long))
