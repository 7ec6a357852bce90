"""normcourse.nn in the place of torch.nn: nothing changes but the source."""

import copy
import itertools
import pickle

import pytest
import torch

import normcourse.nn

DIMENSIONS = {"BatchNorm1d": (6, 4), "BatchNorm2d": (3, 4, 5, 5), "BatchNorm3d": (2, 4, 3, 3, 3)}
ARGUMENTS = [
    {"affine": affine, "track_running_stats": track, "momentum": momentum, "eps": eps}
    for affine, track, momentum, eps in itertools.product(
        [True, False], [True, False], [0.1, None, 0.7], [1e-5, 0.1]
    )
] + [{"bias": False}]


def pair(name, **arguments):
    """Our module and torch's, with the same random parameters."""
    theirs = getattr(torch.nn, name)(4, dtype=torch.float64, **arguments)
    ours = getattr(normcourse.nn, name)(4, dtype=torch.float64, **arguments)
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
@pytest.mark.parametrize("name", DIMENSIONS)
def test_is_torchs_module_in_training_and_evaluation(name, arguments):
    torch.manual_seed(0)
    ours, theirs = pair(name, **arguments)
    for training in (True, True, False, True, False):
        x = torch.randn(DIMENSIONS[name], dtype=torch.float64) * 2 + 1
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
        for key, value in theirs.state_dict().items():
            torch.testing.assert_close(ours.state_dict()[key], value)
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("name", DIMENSIONS)
def test_state_dict_goes_both_ways(name):
    ours, theirs = pair(name)
    ours(torch.randn(DIMENSIONS[name], dtype=torch.float64))
    theirs.load_state_dict(ours.state_dict())
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert ours.state_dict()._metadata == theirs.state_dict()._metadata
    for module in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        torch.testing.assert_close(module.state_dict(), ours.state_dict())


def test_reads_a_state_dict_from_before_batches_were_counted():
    ours, theirs = pair("BatchNorm1d")
    old = theirs.state_dict()
    del old["num_batches_tracked"]
    old._metadata[""]["version"] = 1
    ours(torch.randn(6, 4, dtype=torch.float64))
    ours.load_state_dict(old)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)


def test_a_trained_network_changes_hands():
    """Training goes on equally after the layers were exchanged."""
    torch.manual_seed(0)
    networks = [
        torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3),
            library.BatchNorm2d(4),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.Linear(4 * 36, 10),
            library.BatchNorm1d(10),
        ).double()
        for library in (torch.nn, normcourse.nn)
    ]
    networks[1].load_state_dict(networks[0].state_dict())
    for _ in range(5):
        x = torch.randn(16, 1, 8, 8, dtype=torch.float64)
        for network in networks:
            network.zero_grad()
            network(x).square().sum().backward()
            with torch.no_grad():
                for p in network.parameters():
                    p -= 1e-3 * p.grad
    for a, b in zip(
        networks[0].state_dict().values(), networks[1].state_dict().values(), strict=True
    ):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_keeps_float32_statistics(dtype):
    x = (torch.randn(64, 4) * 300).to(dtype)
    ours, theirs = normcourse.nn.BatchNorm1d(4), torch.nn.BatchNorm1d(4)
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    assert ours.running_var.dtype == torch.float32


def test_moves_and_converts_like_a_module():
    module = normcourse.nn.BatchNorm2d(4, device="meta")
    assert module.running_mean.device.type == "meta"
    module = normcourse.nn.BatchNorm2d(4).double()
    assert {b.dtype for b in module.buffers()} == {torch.float64, torch.int64}


def test_compiles_and_exports():
    module = normcourse.nn.BatchNorm2d(4).eval()
    x = torch.randn(3, 4, 5, 5)
    exported = torch.export.export(module, (x,)).module()
    torch.testing.assert_close(exported(x), module(x))
    compiled = torch.compile(module, fullgraph=True)
    torch.testing.assert_close(compiled(x), module(x))


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("BatchNorm2d", (2, 3, 4), r"3 axes.*\(N, C, H, W\).*LayerNorm"),
        ("BatchNorm1d", (2, 3, 4, 4), r"4 axes.*\(N, C, L\)"),
        ("BatchNorm2d", (2, 3, 4, 4), "3 channels.*num_features=4"),
        ("BatchNorm1d", (1, 4), "one value per channel"),
    ],
)
def test_errors_name_what_would_work(name, shape, message):
    with pytest.raises(ValueError, match=message):
        getattr(normcourse.nn, name)(4)(torch.randn(shape))
