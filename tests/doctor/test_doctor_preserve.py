"""What a model does to itself while it is watched is undone, bit by bit."""

import random

import numpy as np
import pytest
import torch
from torch import nn

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
