"""The tiny search: what each candidate computes, how it is tried, and what is chosen."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from normcourse.lab import layer_search
from normcourse.lab.layer_search import CANDIDATES, GROUPS, KNOWN, Candidate, chosen, layer, train

RNG = np.random.default_rng(0)
X = torch.tensor(RNG.normal(1, 2, (6, 2, 8, 3, 3)))  # samples, networks, C, H, W
GAMMA, BETA = torch.tensor(RNG.normal(size=(2, 2, 8, 1, 1)))


def each_network(function):
    return torch.stack(
        [function(X[:, i], GAMMA[i].flatten(), BETA[i].flatten()) for i in range(2)], 1
    )


NORMS = {
    "batch": lambda x, g, b: functional.batch_norm(x, None, None, g, b, True),
    "instance": lambda x, g, b: functional.instance_norm(x, None, None, g, b),
    "group": lambda x, g, b: functional.group_norm(x, GROUPS, g, b),
    "layer": lambda x, g, b: functional.group_norm(x, 1, g, b),
}


@pytest.mark.parametrize("over", NORMS)
def test_a_norm_with_an_activation_is_one_of_the_candidates(over):
    candidate = Candidate(over, over, "relu")
    assert candidate in CANDIDATES
    expected = torch.relu(each_network(NORMS[over]))
    torch.testing.assert_close(layer(candidate, X, GAMMA, BETA), expected)


def test_first_means_that_gamma_and_beta_come_last():
    y = layer(KNOWN["as EvoNorm-S0"], X, GAMMA, BETA)
    sigma = X.unflatten(2, (GROUPS, -1)).var((3, 4, 5), correction=0, keepdim=True).add(1e-5).sqrt()
    expected = functional.silu(X).unflatten(2, (GROUPS, -1)) / sigma
    torch.testing.assert_close(y, expected.flatten(2, 3) * GAMMA + BETA)


def test_what_is_not_named_is_left_out():
    torch.testing.assert_close(layer(Candidate("", "", ""), X, GAMMA, BETA), X * GAMMA + BETA)
    y = layer(Candidate("layer", "", "tanh"), X, GAMMA, BETA)
    centred = X - X.mean((2, 3, 4), keepdim=True)
    torch.testing.assert_close(y, torch.tanh(centred * GAMMA + BETA))


def test_each_candidate_has_one_formula():
    assert len({str(c) for c in CANDIDATES}) == len(CANDIDATES) == 160
    assert set(KNOWN.values()) < set(CANDIDATES)
    assert str(Candidate("batch", "group", "tanh")) == "tanh((x − μ_batch) / σ_group)"
    assert str(Candidate("batch", "group", "tanh", True)) == "tanh(x − μ_batch) / σ_group"


def test_the_networks_of_several_rates_do_not_mix(monkeypatch):
    alone = []
    for rates in ((0.1,), (3.0, 0.1), (0.1, 1e-9)):
        monkeypatch.setattr(layer_search, "RATES", rates)
        alone.append(train(KNOWN["BN, ReLU"], 1, steps=12, tests=100))
    assert alone[0] == alone[2]
    assert alone[0][0] > 0.3
    assert alone[1][0] >= alone[0][0]  # the best of two, by validation


def test_a_study_is_run_again_to_what_is_stored():
    for seed in (0, 3):
        stored = [layer_search.SEARCH.runs[seed][key] for key in ("validation", "test")]
        name = str(KNOWN["BN, ReLU"])
        again = train(KNOWN["BN, ReLU"], layer_search.SEEDS[seed])
        assert again == pytest.approx([part[name] for part in stored], abs=0.02)


def test_the_winner_is_judged_by_other_seeds(monkeypatch):
    """Two candidates; the second is better in the seed that chooses, and in that one only."""
    n = len(CANDIDATES)
    validation, test = np.zeros((3, n)), np.full((3, n), 0.5)
    validation[:, 1] = 1
    test[:, 1] = [0.9, 0.3, 0.6]
    monkeypatch.setattr(layer_search, "results", lambda: (validation, test))
    assert chosen(n, draws=1) == pytest.approx((1, (0.3 + 0.6) / 2))  # the first seed chose
    assert chosen(n, draws=2) == pytest.approx((1, (0.45 + 0.75) / 2))
    assert chosen(1, draws=300)[0] < 0.1
