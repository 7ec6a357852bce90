"""Gradient descent on a quadratic loss, watched: where it goes and when it arrives."""

import numpy as np

from normcourse.palette import INK

__all__ = [
    "best_rate",
    "descend",
    "draw_path",
    "label_steps",
    "observed",
    "quadratic",
    "steps_until",
    "with_bias",
]


def best_rate(H):
    """2 / (largest + smallest curvature): no step size shrinks every error faster."""
    low, *_, high = np.linalg.eigvalsh(H)
    return 2 / (low + high)


def descend(H, error, lr, steps):
    """The distance w - w* after 0, 1, ..., ``steps`` steps: (steps + 1, weights).

    The gradient of L(w) = (w - w*)' H (w - w*) / 2 is H (w - w*).
    """
    path = [np.asarray(error, float)]
    for _ in range(steps):
        path.append(path[-1] - lr * H @ path[-1])
    return np.array(path)


def steps_until(H, error, lr, tol=1e-3, limit=2**34):
    """The first step at which the excess loss is at most ``tol**2`` of its first value.

    The excess loss is quadratic in the error, so the errors are then down to ``tol``. Step k is
    reached in one jump, (I - lr H)^k, and the step is found by halving: the loss falls in every
    step where ``lr`` is below 2 / the largest curvature. None if ``limit`` steps are not enough.
    """
    one_step = np.eye(len(H)) - lr * H

    def near(k):
        left = np.linalg.matrix_power(one_step, k) @ error
        return left @ H @ left <= tol**2 * (error @ H @ error)

    if not near(limit):
        return None
    before, after = 0, limit
    while after - before > 1:
        k = (before + after) // 2
        before, after = (before, k) if near(k) else (k, after)
    return after


def with_bias(x):
    """A column of ones in front of the features."""
    return np.column_stack([np.ones(len(x)), x])


def quadratic(X, y):
    """Curvature H and minimum w* of the loss |Xw - y|^2 / 2n."""
    H, b = X.T @ X / len(X), X.T @ y / len(X)
    return H, np.linalg.solve(H, b)


def observed(X, y, w):
    """(condition number, steps) of gradient descent from ``w`` at the best step size."""
    H, w_best = quadratic(X, y)
    return np.linalg.cond(H), steps_until(H, w - w_best, best_rate(H))


# ---- pictures --------------------------------------------------------------------------------


def draw_path(ax, X, y, w, color, name):
    """Contours of the loss over two weights and the path from ``w``; the number of its steps."""
    H, goal = quadratic(X, y)
    lr = best_rate(H)
    steps = steps_until(H, w - goal, lr)
    path = descend(H, w - goal, lr, steps) + goal
    a, b = np.array([1.2, 1.6]) * np.abs(path - goal).max(axis=0)
    L, t = np.linalg.cholesky(H), np.linspace(0, 2 * np.pi, 73)
    ellipse = np.linalg.solve(L.T, [np.cos(t), np.sin(t)])  # equal loss
    sizes = np.linalg.norm(L.T @ [a, b]) * 0.5 ** np.arange(0.5, 5, 0.5)
    for x_and_y in goal[:, None] + sizes[:, None, None] * ellipse:
        ax.plot(*x_and_y, color=INK, lw=0.7, alpha=0.6)
    ax.plot(*path.T, "o-", color=color, ms=3, lw=1.2)
    ax.plot(*goal, "+", color=INK, ms=14, mew=2)
    ax.set(xlim=goal[0] + [-a, a], ylim=goal[1] + [-b, b], aspect="equal")
    ax.set_title(f"{name}: {steps} steps")
    return steps


def label_steps(ax, predicted):
    """Axes of steps over condition number, the predicted curve, and what it shows."""
    kappa = np.geomspace(1.15, 1e9, 200)
    ax.loglog(kappa, predicted(kappa), color=INK, lw=1, label="predicted", zorder=0)
    ax.plot([], [], "o", color=INK, label="two features")
    ax.plot([], [], "s", color=INK, label="all twelve")
    ax.set(xlabel="condition number κ", ylabel="steps")
    ax.set_title("The condition number decides, over eight orders of magnitude")
    ax.legend()
