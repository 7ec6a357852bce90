"""What a model does to itself while it is watched is undone, bit by bit."""

import random
from collections import deque

import numpy as np
import pytest
import torch
from torch import nn

import normcourse
from normcourse.doctor.preserve import preserved


class Restless(nn.Module):
    """Changes whatever can be changed."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, -0.0, float("nan")]))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))
        self.register_buffer("mean", torch.tensor([1.0, 2.0]).half())
        self.cache, self.seen, self.steps = torch.ones(2), [], 0
        self.table = {"a": 1}
        self.child = nn.Linear(2, 2)

    def forward(self, x):
        with torch.no_grad():
            self.weight.mul_(2)
            self.weight[1] = 0.0
            self.count += 1
            self.cache.zero_()
            self.mean = self.mean + 1
        self.seen.append(1)
        self.steps += 1
        self.table["b"] = 2
        self.new = torch.ones(1)
        self.register_buffer("late", torch.ones(1))
        self.child = nn.Linear(2, 2)
        self.register_forward_hook(lambda *_: None)
        self.weight.requires_grad_(False)
        self.eval()
        random.random(), np.random.rand(), torch.rand(1)
        return x


def bits(tensor):
    return tensor.detach().clone().reshape(-1).view(torch.uint8).tolist()


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_everything_is_put_back(error):
    model = Restless()
    model.weight.grad = torch.tensor([1.0, 2.0, 3.0])
    grad, child, mean, seen, table = (
        model.weight.grad, model.child, model.mean, model.seen, model.table,
    )  # fmt: skip
    before = {name: bits(t) for name, t in model.state_dict().items()}
    versions = [t._version for t in (model.weight, model.count, model.mean, model.cache)]
    names, draws = list(vars(model)), (random.getstate(), torch.get_rng_state())

    def run():
        with preserved(model):
            assert model.weight.grad is None
            model(torch.ones(1))
            if error is not None:
                raise error

    if error is None:
        run()
    else:
        with pytest.raises(error):
            run()
    assert {name: bits(t) for name, t in model.state_dict().items()} == before
    assert [t._version for t in (model.weight, model.count, model.mean, model.cache)] == versions
    assert model.weight.grad is grad
    assert grad.tolist() == [1, 2, 3]
    assert model.child is child
    assert model.mean is mean
    assert (model.seen, model.steps, model.table) == ([], 0, {"a": 1})
    assert model.seen is seen
    assert model.table is table
    assert list(vars(model)) == names
    assert not model._forward_hooks
    assert model.weight.requires_grad
    assert model.training
    assert model.cache.tolist() == [1, 1]
    assert random.getstate() == draws[0]
    assert torch.equal(torch.get_rng_state(), draws[1])


def test_a_graph_that_was_there_before_still_has_a_backward_pass():
    """The versions of what it holds have not moved."""
    norm = nn.BatchNorm1d(2)
    loss = norm(torch.randn(4, 2)).pow(2).sum()
    with preserved(norm):
        norm(torch.randn(4, 2))
        with torch.no_grad():
            norm.weight.mul_(2)
    loss.backward()
    assert norm.weight.grad is not None


def test_tied_weights_stay_tied():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    with preserved(model), torch.no_grad():
        model[0].weight.zero_()
    assert model[1].weight is model[0].weight
    assert model[0].weight.abs().sum() > 0


class Keeps(nn.Module):
    """A cache of lists, a queue, tensors in both, and random numbers of its own."""

    def __init__(self):
        super().__init__()
        self.cache, self.bank = {"keys": [[]]}, [torch.zeros(2)]
        self.queue = deque([torch.ones(2)], maxlen=9)
        self.draws, self.numpy = torch.Generator(), np.random.default_rng(0)

    def forward(self, x):
        self.cache["keys"][0].append(x)
        self.bank[0] += 1
        self.queue.append(x)
        return x + torch.rand(2, generator=self.draws) + self.numpy.random()


def test_what_is_kept_in_containers_is_put_back_too():
    model, x = Keeps(), torch.ones(2)
    with preserved(model):
        first = model(x)
    assert model.cache == {"keys": [[]]}
    assert model.bank[0].tolist() == [0, 0]
    assert len(model.queue) == 1
    assert torch.equal(model(x), first)


@pytest.mark.parametrize("kind", ["to_sparse", "to_sparse_csr", "expand"])
def test_buffers_of_any_layout_are_put_back(kind):
    """A graph as a sparse matrix; a mean that is expanded, into which nobody can write."""
    model = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6))
    held = torch.eye(6).to_sparse_csr() if kind == "to_sparse_csr" else torch.eye(6).to_sparse()
    model.register_buffer("held", torch.ones(6, 1).expand(6, 4) if kind == "expand" else held)
    before = model.held.to_dense().clone()
    report = normcourse.doctor(model, torch.randn(8, 6))
    assert not [n for n in report.not_checked if "itself failed" in n.reason]
    assert torch.equal(model.held.to_dense(), before)
