"""Claims of the chapter rescaling: what min-max scaling keeps, and whom standardization helps."""

import numpy as np

from normcourse import min_max_scale, min_max_statistics
from normcourse.lab import data
from normcourse.lab.claims.record import COURSE, Claim, Figure
from normcourse.lab.claims.why_normalize import descent_iterations, standardized

CHAPTER = "foundations/rescaling"


def min_max_keeps(seed):
    """Fitted on the training rows of breast cancer: what happens to the relations of test rows."""
    table = data.breast_cancer()
    train, _, test, _ = data.split(table.x, table.y, test_size=169, seed=seed)
    extremes = min_max_statistics(train)
    scaled = min_max_scale(test, *extremes)
    inside = ((scaled >= 0) & (scaled <= 1)).all(1).mean()
    trained = min_max_scale(train, *extremes)

    rng = np.random.default_rng(seed)
    a, b, c, d = rng.permuted(np.tile(np.arange(len(test)), (4, 1)), axis=1)
    same_order = ((test[a] < test[b]) == (scaled[a] < scaled[b])).mean()
    smaller = np.abs(test[a] - test[b]) < np.abs(test[c] - test[d])
    still_smaller = np.abs(scaled[a] - scaled[b]) < np.abs(scaled[c] - scaled[d])
    return {
        "order": same_order,
        "gaps": (smaller == still_smaller).mean(),
        "neighbours": (_nearest(test) == _nearest(scaled)).mean(),
        "train_inside": ((trained > -1e-12) & (trained < 1 + 1e-12)).all(1).mean(),
        "test_inside": inside,
    }


def _nearest(x):
    """Index of each row's nearest other row."""
    squares = ((x[:, None] - x) ** 2).sum(-1)
    np.fill_diagonal(squares, np.inf)
    return squares.argmin(1)


def decide_min_max_keeps(e):
    within = e["order"].low > 0.999 and e["gaps"].low > 0.999
    if not within:
        return "does not hold here"
    if e["neighbours"].low > 0.999 and e["test_inside"].low > 0.999:
        return "holds"
    return (
        "holds only if within one feature, for the relations; on the training data, for the bounds"
    )


def standardization_helps(seed):
    """Iterations, raw over standardized: EM of a Gaussian mixture, and gradient descent."""
    table, rng = data.wine(), np.random.default_rng(seed)
    rows = rng.choice(len(table.x), len(table.x))
    x, y = table.x[rows], table.y[rows] - table.y[rows].mean()
    both = np.column_stack([table.x, table.y])
    drawn = rng.multivariate_normal(both.mean(0), np.cov(both.T), len(x), method="cholesky")
    gaussian, target = drawn[:, :-1], drawn[:, -1] - drawn[:, -1].mean()
    start = rng.dirichlet(np.ones(3), len(table.x))
    return {
        "em": _em_iterations(table.x[:, :5], start)
        / _em_iterations(standardized(table.x[:, :5]), start),
        "skewed": descent_iterations(x, y) / descent_iterations(standardized(x), y),
        "gaussian": descent_iterations(gaussian, target)
        / descent_iterations(standardized(gaussian), target),
    }


def _em_iterations(x, resp, tolerance=1e-4):
    """Steps of EM for a mixture of Gaussians, until no responsibility changes by ``tolerance``."""
    for step in range(1, 1000):
        log_p = []
        for r in resp.T:
            centred = x - r @ x / r.sum()
            covariance = (r[:, None] * centred).T @ centred / r.sum()
            squares = (centred * np.linalg.solve(covariance, centred.T).T).sum(1)
            log_p.append(np.log(r.mean()) - (squares + np.linalg.slogdet(covariance)[1]) / 2)
        log_p = np.stack(log_p, axis=1)
        new = np.exp(log_p - log_p.max(1, keepdims=True))
        new /= new.sum(1, keepdims=True)
        if np.abs(new - resp).max() < tolerance:
            return step
        resp = new
    return np.inf


def decide_standardization_helps(e):
    descent = e["skewed"].low >= 1.5 and e["gaussian"].low >= 1.5
    if e["em"].low >= 1.5:
        return "holds"
    if descent:
        return "holds only if the algorithm is gradient descent, whatever the distribution"
    return "does not hold here"


CLAIMS = [
    Claim(
        name="min_max_keeps",
        statement="Min-max scaling keeps the relations between values and bounds them.",
        said_by=(COURSE,),
        chapter=CHAPTER,
        criterion=(
            "Breast cancer, fitted on 400 rows, tried on the other 169. Holds if on new rows the "
            "order of values, the comparison of differences and each row's nearest neighbour stay "
            "the same and all values lie in [0, 1], each in more than 99.9 %. Only if restricted "
            "to one feature and to training data, when just order and differences pass."
        ),
        experiment=min_max_keeps,
        figures={
            "order": Figure("order of two values kept", unit="%"),
            "gaps": Figure("comparison of two differences within a feature kept", unit="%"),
            "neighbours": Figure("nearest neighbour kept", unit="%"),
            "train_inside": Figure("training rows with all features in [0, 1]", unit="%"),
            "test_inside": Figure("new rows with all features in [0, 1]", unit="%"),
        },
        decide=decide_min_max_keeps,
        seeds=tuple(range(10)),
    ),
    Claim(
        name="standardization_helps",
        statement="Standardization helps algorithms that assume Gaussian data converge faster.",
        said_by=(COURSE,),
        chapter=CHAPTER,
        criterion=(
            "Wine, iterations raw over standardized. Holds if EM gains a factor of 1.5: three "
            "Gaussians with full covariances, first five features, all rows, random start. (Such "
            "EM is affine equivariant, so theory says 1.) Only if the algorithm is gradient "
            "descent, when EM does not gain but least squares by gradient descent does, on "
            "bootstrap samples and on Gaussian data with their mean and covariance alike, the "
            "class number, its target, included."
        ),
        experiment=standardization_helps,
        figures={
            "em": Figure("EM for a Gaussian mixture, raw over standardized", log=True),
            "skewed": Figure("gradient descent, bootstrap samples of the data", log=True),
            "gaussian": Figure("gradient descent, Gaussian data", log=True),
        },
        decide=decide_standardization_helps,
        revision=(
            "The first run drew Gaussian features without relation to the target; now both are "
            "drawn together, on new seeds."
        ),
        seeds=tuple(range(10, 20)),
    ),
]
