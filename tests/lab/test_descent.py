"""Gradient descent on a quadratic: jumps land where steps do."""

import numpy as np
import pytest

from normcourse.lab import descent


@pytest.fixture
def quadratic():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(50, 3)) * [1, 2, 5], rng.normal(size=50)
    return X, y, *descent.quadratic(X, y)


def test_the_minimum_is_that_of_least_squares(quadratic):
    X, y, H, w = quadratic
    np.testing.assert_allclose(w, np.linalg.lstsq(X, y, rcond=None)[0])
    np.testing.assert_allclose(H, X.T @ X / 50)


def test_a_step_follows_the_gradient(quadratic):
    X, y, H, w_best = quadratic
    w = np.ones(3)
    path = descent.descend(H, w - w_best, 0.01, 1) + w_best
    np.testing.assert_allclose(path, [w, w - 0.01 * X.T @ (X @ w - y) / 50])


def test_steps_are_those_of_the_loop(quadratic):
    _, _, H, w_best = quadratic
    lr = descent.best_rate(H)
    path = descent.descend(H, -w_best, lr, 500)
    excess = (path @ H * path).sum(1)
    first = int(np.argmax(excess <= 1e-6 * excess[0]))
    assert descent.steps_until(H, -w_best, lr) == first > 1


def test_too_long_a_step_never_arrives(quadratic):
    _, _, H, w_best = quadratic
    lr = 2.01 / np.linalg.eigvalsh(H)[-1]
    assert descent.steps_until(H, -w_best, lr, limit=1000) is None


def test_no_rate_is_better_than_the_best(quadratic):
    H = quadratic[2]
    curvatures = np.linalg.eigvalsh(H)
    rates = np.linspace(0.01, 1, 300) * 2 / curvatures[-1]
    slowest = np.abs(1 - rates[:, None] * curvatures).max(1)
    assert np.abs(1 - descent.best_rate(H) * curvatures).max() <= slowest.min()
