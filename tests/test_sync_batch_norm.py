"""SyncBatchNorm in two processes is batch normalization of the whole batch in one."""

import copy
import pickle

import pytest
import torch
from torch import distributed, multiprocessing

import normcourse.nn

C = 3
SHAPES = {"even": ((4, C), (4, C)), "uneven": ((5, C, 2), (2, C, 2)), "empty": ((6, C), (0, C))}
SHAPES["all empty"] = ((0, C, 2), (0, C, 2))


def parts(shapes, dtype=torch.float64, offset=0.0):
    """The batch of each process, and the gradient that reaches it."""
    g = torch.Generator().manual_seed(0)
    draw = lambda s: torch.randn(s, generator=g, dtype=dtype)  # noqa: E731
    return [(draw(s) * 2 + offset + rank, draw(s)) for rank, s in enumerate(shapes)]


def layer(kind, momentum, dtype=torch.float64):
    torch.manual_seed(1)
    module = kind(C, momentum=momentum, dtype=dtype)
    for p in module.parameters():
        torch.nn.init.normal_(p)
    return module


def step(module, x, dy):
    x = x.clone().requires_grad_()
    y = module(x)
    dx, *gradients = torch.autograd.grad(y, [x, *module.parameters()], dy)
    return y.detach(), dx, gradients, copy.deepcopy(dict(module.state_dict()))


CASES = {
    f"{name}, momentum {momentum}": (shapes, momentum, torch.float64, 0.0)
    for name, shapes in SHAPES.items()
    for momentum in (0.1, None)
} | {"offset": (((2048, C), (2048, C)), 0.1, torch.float32, 1e4)}


def worker(rank, folder):
    """One of two processes: what it sees of each case."""
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )
    results = {}
    for name, (shapes, momentum, dtype, offset) in CASES.items():
        module = layer(normcourse.nn.SyncBatchNorm, momentum, dtype)
        x, dy = parts(shapes, dtype, offset)[rank]
        steps = [step(module, x, dy) for _ in range(2)]
        results[name] = (*steps, module.eval()(x).detach())
    swapped = torch.randn(C, 4, 5).transpose(0, 1)
    results["layout"] = layer(normcourse.nn.SyncBatchNorm, 0.1, torch.float32)(swapped).stride()
    with open(f"{folder}/{rank}", "wb") as file:
        pickle.dump(results, file)
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    multiprocessing.spawn(worker, (str(folder),), nprocs=2)
    return [pickle.loads((folder / str(rank)).read_bytes()) for rank in range(2)]


@pytest.mark.parametrize("name", [name for name in CASES if name != "offset"])
def test_two_processes_are_one_batch(both, name):
    shapes, momentum, *_ = CASES[name]
    results = [process[name] for process in both]
    whole = layer(torch.nn.BatchNorm1d, momentum)
    x, dy = (torch.cat(t) for t in zip(*parts(shapes), strict=True))
    for i in range(2):
        y, dx, gradients, state = step(whole, x, dy)
        mine = [r[i] for r in results]
        torch.testing.assert_close(torch.cat([m[0] for m in mine]), y)
        torch.testing.assert_close(torch.cat([m[1] for m in mine]), dx)
        # Each process has the sum over its part, as in torch: DistributedDataParallel adds them.
        for k, gradient in enumerate(gradients):
            torch.testing.assert_close(sum(m[2][k] for m in mine), gradient)
        for m in mine:
            torch.testing.assert_close(m[3], state)
    torch.testing.assert_close(torch.cat([r[2] for r in results]), whole.eval()(x))


def test_a_result_lies_in_memory_as_in_one_process(both):
    swapped = torch.randn(C, 4, 5).transpose(0, 1)
    expected = layer(torch.nn.BatchNorm1d, 0.1, torch.float32)(swapped).stride()
    assert [process["layout"] for process in both] == [expected] * 2


def test_an_offset_costs_no_more_than_in_one_process(both):
    shapes, momentum, dtype, offset = CASES["offset"]
    x, _ = (torch.cat(t) for t in zip(*parts(shapes, dtype, offset), strict=True))
    exact = layer(torch.nn.BatchNorm1d, momentum, dtype).double()(x.double())
    torchs = layer(torch.nn.BatchNorm1d, momentum, dtype)(x)
    ours = torch.cat([process["offset"][0][0] for process in both])
    assert (ours - exact).abs().max() <= (torchs - exact).abs().max()


def test_alone_it_is_batch_normalization():
    x = torch.randn(6, C, 4, dtype=torch.float64)
    ours, theirs = layer(normcourse.nn.SyncBatchNorm, 0.1), layer(torch.nn.BatchNorm1d, 0.1)
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


def test_converts_batch_normalization_within_a_network():
    network = torch.nn.Sequential(
        torch.nn.Linear(4, C), normcourse.nn.BatchNorm1d(C), torch.nn.BatchNorm1d(C, affine=False)
    ).eval()
    converted = normcourse.nn.SyncBatchNorm.convert_sync_batchnorm(network, "group")
    for layer in converted[1:]:
        assert type(layer) is normcourse.nn.SyncBatchNorm
        assert layer.process_group == "group"
        assert not layer.training
    assert converted[1].weight is network[1].weight
    assert converted[2].weight is None


def test_errors_name_what_would_work():
    with pytest.raises(ValueError, match=r"1 axes.*\(3,\).*expects \(N, C, \.\.\.\)"):
        normcourse.nn.SyncBatchNorm(C)(torch.randn(3))
    with pytest.raises(ValueError, match=r"2 channels.*num_features=3"):
        normcourse.nn.SyncBatchNorm(C)(torch.randn(4, 2))
