"""Exercises on spectral normalization: a matrix, power iteration, the layer, and its backward."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from normcourse.exercises.family import mistake
from normcourse.exercises.record import Coefficients, Exercise, Hint, Probe, Steps

__all__ = ["EXERCISES"]

HAND = "numbers for the hand: a matrix of two rows"

# ---- a weight as a matrix, and back ------------------------------------------------------------


def to_matrix(weight, dim):
    return np.moveaxis(weight, dim, 0).reshape(weight.shape[dim], -1)


def to_weight(matrix, shape, dim):
    """What :func:`to_matrix` was made of, whose shape is ``shape``."""
    moved = (shape[dim], *(n for axis, n in enumerate(shape) if axis != dim % len(shape)))
    return np.moveaxis(matrix.reshape(moved), 0, dim)


def swapped(q):
    """The axis dim and axis 0 exchanged, and the rest in one."""
    moved = np.swapaxes(q.weight, 0, q.dim)
    return moved.reshape(len(moved), -1)


def last_axis_alone(a):
    return a.reshape(-1, a.shape[-1])


MATRIX_MISTAKES = (
    mistake(
        "reshaped to (-1, h) and transposed",
        "You reshape to (-1, h) and transpose. The shape is right, the numbers are not: reshape "
        "reads along the last axis, so a row mixes several outputs. Move the axis to the front "
        "first, then reshape(h, -1).",
        matrix=lambda q: q.weight.reshape(-1, q.weight.shape[q.dim]).T,
    ),
    mistake(
        "axis not moved before the reshape",
        "You reshape without moving the axis dim to the front. For dim = 0 that is the same; else "
        "a row mixes several outputs.",
        matrix=lambda q: q.weight.reshape(q.weight.shape[q.dim], -1),
    ),
    mistake(
        "dim ignored",
        "Your rows are those of axis 0 whatever dim is. A transposed convolution has its outputs "
        "on axis 1.",
        matrix=lambda q: to_matrix(q.weight, 0),
    ),
    mistake(
        "axis 0 and dim exchanged",
        "You swap two axes. Then the old axis 0 stands where dim was, and a row has its numbers in "
        "another order: v no longer fits. Move dim to the front and keep the order of the others.",
        matrix=swapped,
    ),
    mistake(
        "all axes turned around",
        "You transpose all axes. Only dim moves, to the front; the others keep their order.",
        matrix=lambda q: q.weight.T.reshape(q.weight.shape[q.dim], -1),
    ),
    mistake(
        "axis moved to the end",
        "You move dim to the end and reshape to (h, -1). The outputs are the rows: move dim to the "
        "front.",
        matrix=lambda q: np.moveaxis(q.weight, q.dim, -1).reshape(q.weight.shape[q.dim], -1),
    ),
)

SHAPE_HINT = Hint(
    "matrix",
    "Two steps: move the axis dim to the front, which keeps the order of the others, then make "
    "one axis of all but the first. np.moveaxis does the first, reshape the second.",
)


def counted(shape):
    """1, 2, 3, ... in an array of this shape."""
    return np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)


def numbers(rng, shape):
    return rng.standard_normal(shape).astype(np.float32)


AS_MATRIX = Exercise(
    name="as_matrix",
    task="Return the weight as a matrix (h, w): one row for each index along the axis dim, which "
    "holds the outputs, and in it all other numbers in their order.",
    returns=("matrix",),
    reference=Steps(
        "weight dim",
        "matrix",
        matrix=lambda q: to_matrix(q.weight, q.dim),
    ),
    probes=(
        Probe(
            "numbers for the hand: 1 to 8",
            lambda rng: (counted((2, 2, 2)), 1),
            by_hand="the first row holds what has index 0 along axis 1: 1, 2, 5, 6",
        ),
        Probe("a convolution's kernel", lambda rng: (numbers(rng, (4, 2, 3, 3)), 0)),
        Probe(
            "a transposed convolution's kernel, dim = 1",
            lambda rng: (numbers(rng, (4, 3, 2, 2)), 1),
        ),
        Probe("dim = -1", lambda rng: (numbers(rng, (2, 3, 4)), -1)),
    ),
    mistakes=(
        *MATRIX_MISTAKES,
        mistake(
            "rows and columns exchanged",
            "Your matrix is transposed. The outputs are the rows: it is (h, w).",
            matrix=lambda q: to_matrix(q.weight, q.dim).T,
        ),
        mistake(
            "reshaped to (-1, h)",
            "You reshape to (-1, h). The outputs are the rows, and to transpose it would not help: "
            "reshape reads along the last axis, so a column mixes several outputs. Move the axis "
            "to the front first, then reshape(h, -1).",
            matrix=lambda q: q.weight.reshape(-1, q.weight.shape[q.dim]),
        ),
        mistake(
            "reshaped by the old length of axis 0",
            "You move the axis, but then reshape to the length that axis 0 had before. It is "
            "weight.shape[dim].",
            matrix=lambda q: np.moveaxis(q.weight, q.dim, 0).reshape(len(q.weight), -1),
        ),
        mistake(
            "outputs not in one row each",
            "Your matrix keeps only the last axis for itself: reshape(-1, n). Each output has one "
            "row, with all other axes in it.",
            matrix=lambda q: last_axis_alone(np.moveaxis(q.weight, q.dim, 0)),
        ),
    ),
    hints=(
        SHAPE_HINT,
        Hint(
            "matrix",
            "reshape changes no order: it reads the last axis first. weight.reshape(-1, h) has as "
            "many numbers, but a column of it is no output, unless dim is the last axis.",
        ),
        Hint(
            "matrix",
            "For dim = 1 and the numbers 1 to 8 in (2, 2, 2): np.moveaxis(weight, 1, 0) begins "
            "with 1, 2, 5, 6. np.swapaxes is the same there, but not for the last of three axes.",
        ),
    ),
)

# ---- power iteration ---------------------------------------------------------------------------


def euclidean(a):
    return np.sqrt(a @ a)


def u_first(q, u, v):
    """One step."""
    u = q.shorten_u(q.matrix @ v)
    return u, q.shorten_v(q.matrix.T @ u)


def iterated(q, u, v, count):
    for _ in range(count):
        u, v = q.step(u, v)
    return u, v


def both_at_once(q, u, v):
    return q.shorten_u(q.matrix @ v), q.shorten_v(q.matrix.T @ u)


def v_first(q, u, v):
    v = q.shorten_v(q.matrix.T @ u)
    return q.shorten_u(q.matrix @ v), v


def apart(q, u, v):
    """u and v each by itself."""
    u = q.shorten_u(q.matrix @ (q.matrix.T @ u))
    return u, q.shorten_v(q.matrix.T @ (q.matrix @ v))


def without_length(q):
    """Steps whose vectors keep their length until the end."""
    u, v = q.u, q.v
    for _ in range(q.count):
        u = q.matrix @ v
        v = q.matrix.T @ u
    return (q.shorten_u(u), q.shorten_v(v)) if q.count else (u, v)


POWER = {
    "length": lambda q: euclidean,
    "least": lambda q: lambda length: max(length, q.eps),
    "shorten_u": lambda q: lambda a: a / q.least(q.length(a)),
    "shorten_v": lambda q: lambda a: a / q.least(q.length(a)),
    "step": lambda q: lambda u, v: u_first(q, u, v),
    "pair": lambda q: iterated(q, q.u, q.v, q.count),
    "new_u": lambda q: q.pair[0],
    "new_v": lambda q: q.pair[1],
}

STEP_MISTAKES = (
    mistake(
        "v from the old u",
        "You compute v from the u that came in. First the new u, then v = Wᵀu from it: else two "
        "sequences run side by side and each is a step behind.",
        step=lambda q: lambda u, v: both_at_once(q, u, v),
    ),
    mistake(
        "v before u",
        "You compute v first, then u, as the paper's algorithm does. Here, as in torch, a step "
        "starts with u = W v and ends with v: then v is the one that fits u.",
        step=lambda q: lambda u, v: v_first(q, u, v),
    ),
    mistake(
        "u and v each on its own",
        "You iterate u with W Wᵀ and v with WᵀW. They have to be a pair: v comes from the new u, "
        "or u and v may belong to different signs, and uᵀWv means nothing.",
        step=lambda q: lambda u, v: apart(q, u, v),
    ),
    mistake(
        "u not normalized",
        "Your u keeps the length of W v. Divide it by that, before v is computed and returned.",
        shorten_u=lambda q: lambda a: a,
    ),
    mistake(
        "v not normalized",
        "Your v keeps the length of Wᵀu. Divide it by that.",
        shorten_v=lambda q: lambda a: a,
    ),
    mistake(
        "1-norm",
        "You divide by the sum of the absolute values. The length is the root of the sum of "
        "squares.",
        length=lambda q: lambda a: abs(a).sum(),
    ),
    mistake(
        "largest entry",
        "You divide by the largest absolute value. The length is the root of the sum of squares.",
        length=lambda q: lambda a: abs(a).max(),
    ),
    mistake(
        "length squared",
        "You divide by the sum of squares. The length is its root.",
        length=lambda q: lambda a: a @ a,
    ),
    mistake(
        "mean of the squares instead of the sum",
        "You divide by the root of the mean of squares. The length has their sum: np.linalg.norm.",
        length=lambda q: lambda a: np.sqrt((a**2).mean()),
    ),
    mistake(
        "standard deviation",
        "You divide by the standard deviation. No mean is subtracted from a direction.",
        length=lambda q: lambda a: a.std(),
    ),
)

COUNT_MISTAKES = (
    *(
        mistake("one step whatever n", "You take one step. It should be n of them.", count=count)
        for count in (lambda q: min(q.n, 1), lambda q: 1)
    ),
    mistake(
        "at least one step",
        "For n = 0 you take a step, too. range(n) then takes none, and u and v stay.",
        count=lambda q: max(q.n, 1),
    ),
    mistake("no step", "Your u and v are those that came in. Take n steps.", count=lambda q: 0),
    mistake(
        "one step too many",
        "You take n + 1 steps: range(n) has n numbers.",
        count=lambda q: q.n + 1,
    ),
    mistake(
        "one step too few",
        "You take n - 1 steps. range(1, n) has n - 1 numbers.",
        count=lambda q: max(q.n - 1, 0),
    ),
)

EPS_MISTAKES = (
    mistake(
        "eps added",
        "You divide by the length plus ε. Divide by the larger of the two, so that ε changes "
        "nothing where the length is well above it.",
        least=lambda q: lambda length: length + q.eps,
    ),
    mistake(
        "eps inside the root",
        "You put ε under the root. Divide by the larger of the length and ε.",
        length=lambda q: lambda a: np.sqrt(a @ a + q.eps),
        least=lambda q: lambda length: length,
    ),
    mistake(
        "eps squared inside the root",
        "You put ε² under the root. Divide by the larger of the length and ε.",
        length=lambda q: lambda a: np.sqrt(a @ a + q.eps**2),
        least=lambda q: lambda length: length,
    ),
    mistake(
        "vector left as it is below eps",
        "Where the length is below ε, you do not divide. Divide by ε there.",
        least=lambda q: lambda length: length if length > q.eps else 1.0,
    ),
    mistake(
        "normalized only at the end",
        "You let the vectors grow and normalize them after the last step. The direction is the "
        "same while the numbers last, but they grow like σ² with each step: normalize in each.",
        pair=without_length,
    ),
    *(
        mistake(
            "eps ignored",
            "Your result does not depend on eps. Use the parameter, not a number of your own, and "
            "not none.",
            least=least,
        )
        for least in (
            lambda q: lambda length: length,
            lambda q: lambda length: max(length, 1e-5),
            lambda q: lambda length: max(length, 1e-6),
            lambda q: lambda length: max(length, 1e-8),
        )
    ),
    *(
        mistake(
            "a number of its own added",
            "You add a number of your own to the length. Beside small weights it is not small: "
            "divide by the larger of the length and the parameter eps.",
            least=lambda q, tiny=tiny: lambda length: length + tiny,
        )
        for tiny in (1e-3, 1e-5, 1e-6, 1e-7, 1e-8)
    ),
)


def orthogonal(rng, n):
    """A random rotation, perhaps with a reflection; none of its axes is nearly one of ours."""
    while True:
        q, _ = np.linalg.qr(rng.standard_normal((n, n)))
        if abs(q).max() < 0.93:
            return q


VALUES = 3.0, 2.2, 1.0, 0.6  # singular values
START = 0.55, 0.7, 0.37, 0.26  # of v, along the right singular vectors
BEFORE = 0.3, -0.75, 0.45, -0.3  # of u, along the left ones: away from where v leads
SETTLED = 0.85, 0.45, -0.25, 0.13


def factors(rng, h, w):
    """Left and right singular vectors, as columns."""
    return orthogonal(rng, h)[:, : min(h, w)], orthogonal(rng, w)[:, : min(h, w)]


def along(basis, parts):
    vector = basis @ np.array(parts[: basis.shape[1]])
    return (vector / euclidean(vector)).astype(np.float32)


def matrix_of(left, right, scale=1.0):
    values = scale * np.array(VALUES[: left.shape[1]])
    return ((left * values) @ right.T).astype(np.float32)


def matrix_and_vectors(rng, h, w, scale=1.0):
    """(W, u, v): singular values that are known, and u and v far from the first ones."""
    left, right = factors(rng, h, w)
    return matrix_of(left, right, scale), along(left, BEFORE), along(right, START)


def small_matrix():
    return np.float32([[3, 0], [4, 15]]), np.float32([0, 1]), np.float32([1, 0])


POWER_ITERATION = Exercise(
    name="power_iteration",
    task="Take n steps of power iteration: in each, the new u is W v, divided by its length, and "
    "the new v is Wᵀu, with the new u, divided by its length. Where a length is below eps, divide "
    "by eps. Return u and v as new arrays.",
    returns=("u", "v"),
    reference=Steps(
        "weight_matrix u v n eps",
        "new_u new_v",
        matrix=lambda q: q.weight_matrix,
        count=lambda q: q.n,
        **POWER,
    ),
    probes=(
        Probe(
            HAND,
            lambda rng: (*small_matrix(), 1, 1e-12),
            by_hand="W v = (3, 4) has length 5, so u = (0.6, 0.8); Wᵀu = (5, 12) has length 13",
        ),
        Probe("two steps, h = w", lambda rng: (*matrix_and_vectors(rng, 4, 4), 2, 1e-12)),
        Probe("a wide matrix", lambda rng: (*matrix_and_vectors(rng, 3, 4), 1, 1e-12)),
        Probe("no step", lambda rng: (*matrix_and_vectors(rng, 3, 3), 0, 1e-12)),
        Probe("tiny weights", lambda rng: (*matrix_and_vectors(rng, 3, 3, 1e-6), 1, 1e-12)),
        Probe("a large eps", lambda rng: (*matrix_and_vectors(rng, 3, 3), 1, 4.0)),
    ),
    mistakes=(*STEP_MISTAKES, *COUNT_MISTAKES, *EPS_MISTAKES),
    hints=(
        Hint(
            "step pair",
            "One step is two lines, and the second uses what the first made: u from W and v, then "
            "v from Wᵀ and the new u.",
        ),
        Hint(
            "length least shorten_u shorten_v",
            "The length is the root of the sum of squares, np.linalg.norm(a). Divide by "
            "max(length, eps), in both lines.",
        ),
        Hint(
            "count pair step",
            "A loop over range(n) takes n steps; for n = 0 it returns what came in. On paper, with "
            "W = [[3, 0], [4, 15]] and v = (1, 0), one step leads to u = (0.6, 0.8).",
        ),
    ),
)

# Who takes the rows of another axis has no vectors of their length: that is an exception.
OF_THE_MATRIX = tuple(m for m in MATRIX_MISTAKES if m.name != "dim ignored")

# ---- the layer ---------------------------------------------------------------------------------


def exact(matrix):
    return np.linalg.norm(matrix, 2)


SIGMA_MISTAKES = (
    mistake(
        "Frobenius norm",
        "You divide by the root of the sum of all squares of W. That is the length of all singular "
        "values; σ is the largest: uᵀWv.",
        sigma=lambda q: euclidean(q.weight.ravel()),
    ),
    mistake(
        "exact norm",
        "You divide by the largest singular value itself. In a network that is too slow; here σ is "
        "the estimate uᵀWv.",
        sigma=lambda q: exact(q.matrix),
    ),
    mistake(
        "σ squared",
        "You divide by σ², such as uᵀW WᵀWv or ‖Wᵀu‖². Divide by σ = uᵀWv.",
        sigma=lambda q: (q.left @ q.matrix @ q.right) ** 2,
    ),
    mistake(
        "root of σ",
        "You divide by √σ. There is no root: uᵀWv is as large as W.",
        sigma=lambda q: np.sqrt(q.left @ q.matrix @ q.right),
    ),
    mistake(
        "‖Wᵀu‖ as σ",
        "You take the length of Wᵀu for σ. Right after a step it is uᵀWv; once W has moved on, as "
        "in evaluation, it is not.",
        sigma=lambda q: euclidean(q.matrix.T @ q.left),
    ),
    mistake(
        "‖Wv‖ as σ",
        "You take the length of W v for σ. It is uᵀWv: how far W v reaches along u.",
        sigma=lambda q: euclidean(q.matrix @ q.right),
    ),
    mistake(
        "largest entry of W",
        "You divide by the largest |w|. σ is the largest singular value, uᵀWv.",
        sigma=lambda q: abs(q.matrix).max(),
    ),
)


def kernel(rng, shape, dim, scale=1.0):
    """A weight of this shape whose matrix has known singular values; u and v as above."""
    h = shape[dim]
    matrix, u, v = matrix_and_vectors(rng, h, int(np.prod(shape)) // h, scale)
    return np.ascontiguousarray(to_weight(matrix, shape, dim)), u, v


def settled(rng, shape, dim=0):
    """W has moved on: u and v are near the first singular vectors, and do not fit each other.

    Nor is any matrix that is made of W in a wrong way 0 between them: it divides, too.
    """
    h = shape[dim]
    while True:
        left, right = factors(rng, h, int(np.prod(shape)) // h)
        weight = np.ascontiguousarray(to_weight(matrix_of(left, right), shape, dim))
        u, v = along(left, (0.9, 0.1, -0.4, 0.1)), along(right, SETTLED)
        q = SimpleNamespace(weight=weight, dim=dim)
        if all(abs(u @ m.turns["matrix"](q) @ v) > 0.3 for m in OF_THE_MATRIX):
            return weight, u, v


def rank_one(q):
    """u vᵀ, in the shape of the weight."""
    return to_weight(np.outer(q.left, q.right), q.weight.shape, q.dim)


def taken_but_not_kept(q):
    """Vectors that have gone on, in evaluation, too."""
    return iterated(q, q.u, q.v, q.n)


SPECTRAL_NORM_LAYER = Exercise(
    name="spectral_norm_layer",
    task="In training, take n steps of power iteration with the weight as a matrix; in evaluation "
    "none. Then divide the weight by σ = uᵀWv. Return it, in its own shape, and u and v for the "
    "next call. ε is 1e-12.",
    returns=("W_hat", "u", "v"),
    reference=Steps(
        "weight u v training n dim",
        "W_hat new_u new_v",
        eps=lambda q: 1e-12,
        matrix=lambda q: to_matrix(q.weight, q.dim),
        count=lambda q: q.n if q.training else 0,
        **POWER,
        left=lambda q: q.new_u,
        right=lambda q: q.new_v,
        sigma=lambda q: q.left @ q.matrix @ q.right,
        back=lambda q: lambda a: a,
        W_hat=lambda q: q.back(q.weight / q.sigma),
    ),
    probes=(
        Probe(
            HAND,
            lambda rng: (*small_matrix(), True, 1, 0),
            by_hand="u = (0.6, 0.8), v = (5, 12)/13 and σ = uᵀWv = 13",
        ),
        Probe(
            "a convolution's kernel, two steps in training",
            lambda rng: (*kernel(rng, (4, 2, 1, 3), 0), True, 2, 0),
        ),
        Probe(
            "a kernel with its outputs on the last axis, dim = -1",
            lambda rng: (*kernel(rng, (2, 3, 1, 4), -1), True, 1, -1),
        ),
        Probe("evaluation", lambda rng: (*settled(rng, (3, 4)), False, 1, 0)),
        Probe("tiny weights", lambda rng: (*kernel(rng, (3, 3), 0, 1e-6), True, 1, 0)),
    ),
    mistakes=(
        *OF_THE_MATRIX,
        *STEP_MISTAKES,
        *(
            replace(m, turns={"count": lambda q, of=m.turns["count"]: of(q) if q.training else 0})
            for m in COUNT_MISTAKES
            if m.name != "at least one step"
        ),
        *(m for m in EPS_MISTAKES if m.name == "a number of its own added"),
        mistake(
            "steps in evaluation, too",
            "You take steps whether training or not. In evaluation u and v stay: the same input "
            "must give the same output, call after call.",
            count=lambda q: q.n,
        ),
        mistake(
            "training turned around",
            "You take steps in evaluation and none in training. Turn the condition around.",
            count=lambda q: 0 if q.training else q.n,
        ),
        mistake(
            "steps in evaluation, not kept",
            "In evaluation you take steps for σ, and return the old u and v. It is the stored "
            "vectors that count there.",
            left=lambda q: taken_but_not_kept(q)[0],
            right=lambda q: taken_but_not_kept(q)[1],
        ),
        mistake(
            "new vectors not returned",
            "You return the u and v that came in. Each call then starts anew, and the estimate "
            "never gets better than one call makes it: return those after the steps.",
            new_u=lambda q: q.u,
            new_v=lambda q: q.v,
            left=lambda q: q.pair[0],
            right=lambda q: q.pair[1],
        ),
        mistake(
            "new u not returned",
            "You return the u that came in. Return the one after the steps.",
            new_u=lambda q: q.u,
            left=lambda q: q.pair[0],
        ),
        mistake(
            "new v not returned",
            "You return the v that came in. Return the one after the steps.",
            new_v=lambda q: q.v,
            right=lambda q: q.pair[1],
        ),
        mistake(
            "σ from the old vectors",
            "Your σ is uᵀWv with the u and v that came in. Take the steps first.",
            left=lambda q: q.u,
            right=lambda q: q.v,
        ),
        *(
            mistake(
                "σ with the old v",
                "Your σ has the new u and the old v: that is ‖Wv‖, half a step behind. Use both "
                "new ones.",
                right=old,
            )
            for old in (lambda q: q.v, lambda q: iterated(q, q.u, q.v, q.count - 1)[1])
        ),
        mistake(
            "σ with the old u",
            "Your σ has the new v and the old u. Use both new ones.",
            left=lambda q: q.u,
        ),
        *SIGMA_MISTAKES,
        mistake(
            "not divided by σ",
            "You return the weight as it was. Divide it by σ.",
            W_hat=lambda q: q.back(q.weight),
        ),
        mistake(
            "multiplied by σ",
            "You multiply by σ. Divide: then the largest singular value is 1.",
            W_hat=lambda q: q.back(q.weight * q.sigma),
        ),
        mistake(
            "divided only where σ > 1",
            "You leave the weight as it is where σ < 1, as clipping would. Here it is divided "
            "always, and a small weight becomes larger.",
            W_hat=lambda q: q.back(q.weight / max(q.sigma, 1)),
        ),
        *(
            mistake(
                "a number of its own added to σ",
                "You add a small number to σ. Beside small weights it is not small. Divide by σ.",
                W_hat=lambda q, tiny=tiny: q.back(q.weight / (q.sigma + tiny)),
            )
            for tiny in (1e-3, 1e-5, 1e-6, 1e-7, 1e-8)
        ),
        mistake(
            "u vᵀ returned",
            "You return u vᵀ: only the first part of W. Divide W itself by σ, with all its parts.",
            W_hat=rank_one,
        ),
        mistake(
            "returned as a matrix",
            "Your result is the matrix. The layer needs a weight of the shape that came in: divide "
            "the weight itself by σ.",
            back=lambda q: lambda a: to_matrix(a, q.dim),
        ),
    ),
    hints=(
        Hint(
            "matrix back W_hat",
            "The matrix is needed for u, v and σ only. σ is one number: divide the weight itself, "
            "and its shape is kept.",
        ),
        Hint(
            "count pair step length least shorten_u shorten_v",
            "Call your as_matrix, then, if training, your power_iteration with n. In evaluation u "
            "and v stay as they are.",
        ),
        Hint(
            "sigma left right new_u new_v",
            "σ = uᵀWv with the u and v after the steps: u @ W @ v. The same two are returned, for "
            "the next call.",
        ),
    ),
)

# ---- backward ----------------------------------------------------------------------------------


def stepped(q):
    """u and v after one more step."""
    u = q.matrix @ q.v
    u = u / euclidean(u)
    v = q.matrix.T @ u
    return u, v / euclidean(v)


def with_dy(make, dim=0):
    """(dy, weight, u, v, dim): dy has parts along W, along u vᵀ and, the largest, across."""

    def arguments(rng):
        weight, u, v = make(rng)
        wide, noise = weight.astype(float), rng.standard_normal(weight.shape)
        wide = wide / euclidean(wide.ravel())
        noise = noise - (noise * wide).sum() * wide
        uv = to_weight(np.outer(u, v), weight.shape, dim)
        dy = 1.2 * wide + 0.9 * uv + 2 * noise / euclidean(noise.ravel())
        return dy.astype(np.float32), weight, u, v, dim

    return arguments


def at_the_vectors():
    """W = [[0, 2], [1, 0]] with its first singular vectors."""
    W, dy = np.float32([[0, 2], [1, 0]]), np.float32([[4, 2], [6, 0]])
    return dy, W, np.float32([1, 0]), np.float32([0, 1]), 0


SPECTRAL_NORM_BACKWARD = Exercise(
    name="spectral_norm_backward",
    task="From dy, the gradient of the loss with respect to W/σ, compute the gradient with respect "
    "to the weight. u and v are the vectors that σ = uᵀWv was computed with; they are constants.",
    returns=("dweight",),
    reference=Steps(
        "dy weight u v dim",
        "dweight",
        matrix=lambda q: to_matrix(q.weight, q.dim),
        left=lambda q: q.u,
        right=lambda q: q.v,
        sigma=lambda q: q.left @ q.matrix @ q.right,
        axis=lambda q: tuple(range(q.weight.ndim)),
        W_hat=lambda q: q.weight / q.sigma,
        projection=lambda q: (q.dy * q.W_hat).sum(),
        rank_one=rank_one,
        direct=lambda q: q.dy / q.sigma,
        by_sigma=lambda q: q.projection * q.rank_one / q.sigma,
        back=lambda q: lambda a: a,
        dweight=lambda q: q.back(q.direct - q.by_sigma),
    ),
    probes=(
        Probe(
            HAND,
            lambda rng: at_the_vectors(),
            by_hand="σ = 2, Ŵ = [[0, 1], [0.5, 0]], ⟨dy, Ŵ⟩ = 2 + 3 = 5; u vᵀ is 1 in one place",
        ),
        Probe("a convolution's kernel", with_dy(lambda rng: settled(rng, (4, 2, 1, 3), 0))),
        Probe(
            "a kernel with its outputs on the last axis, dim = -1",
            with_dy(lambda rng: settled(rng, (2, 3, 1, 4), -1), -1),
        ),
    ),
    mistakes=(
        *OF_THE_MATRIX,
        *SIGMA_MISTAKES,
        mistake(
            "rank-one term of v uᵀ",
            "Your rank-one term is v uᵀ. σ = Σ uᵢ Wᵢⱼ vⱼ, so its derivative by Wᵢⱼ is uᵢ vⱼ: u vᵀ.",
            rank_one=lambda q: to_weight(np.outer(q.right, q.left), q.weight.shape, q.dim),
        ),
        mistake(
            "Ŵ where u vᵀ belongs",
            "You take away what lies along Ŵ, as weight normalization does. σ changes only along "
            "u vᵀ: ∂σ/∂W = u vᵀ.",
            rank_one=lambda q: q.W_hat,
        ),
        mistake(
            "W where u vᵀ belongs",
            "Your last factor is W. σ changes along u vᵀ: ∂σ/∂W = u vᵀ.",
            rank_one=lambda q: q.weight,
        ),
        mistake(
            "projected on u vᵀ",
            "You compute ⟨dy, u vᵀ⟩ u vᵀ, as if u vᵀ were taken out of dy. The number in front is "
            "⟨dy, Ŵ⟩: it is W, all of it, that is divided by σ.",
            projection=lambda q: (q.dy * rank_one(q)).sum(),
        ),
        mistake(
            "u vᵀ and Ŵ exchanged",
            "You compute ⟨dy, u vᵀ⟩ Ŵ. It is ⟨dy, Ŵ⟩ u vᵀ: Ŵ in the number, u vᵀ behind it.",
            projection=lambda q: (q.dy * rank_one(q)).sum(),
            rank_one=lambda q: q.W_hat,
        ),
        mistake(
            "sum over the weight forgotten",
            "You multiply dy and Ŵ number by number and do not sum. σ is one number that all of W "
            "shares: what it gets back is a sum over all.",
            projection=lambda q: q.dy * q.W_hat,
        ),
        mistake(
            "sum over the rows forgotten",
            "You sum dy Ŵ along each row. σ is one number that all of W shares: one sum.",
            projection=lambda q: (q.dy * q.W_hat).sum(
                tuple(a for a in q.axis if a != q.dim % q.dy.ndim), keepdims=True
            ),
        ),
        mistake(
            "rank-one term not moved back",
            "You reshape u vᵀ to the shape of the weight. Its rows belong to the axis dim: reshape "
            "with that axis in front, then move it back.",
            rank_one=lambda q: np.outer(q.left, q.right).reshape(q.weight.shape),
        ),
        mistake(
            "u vᵀ missing behind its number",
            "You subtract the number ⟨dy, Ŵ⟩ from every entry alike. It comes with u vᵀ.",
            rank_one=lambda q: np.ones(q.weight.shape),
        ),
        mistake(
            "one more step in the backward pass",
            "You take a step of power iteration here. The gradient has to use the u and v that σ "
            "was computed with.",
            left=lambda q: stepped(q)[0],
            right=lambda q: stepped(q)[1],
        ),
        mistake(
            "absolute values summed",
            "You sum |dy Ŵ|. Where dy points against Ŵ, a number takes away: sum dy Ŵ itself.",
            projection=lambda q: abs(q.dy * q.W_hat).sum(),
        ),
        mistake(
            "returned as a matrix",
            "Your result is the matrix. A gradient has the shape of its weight.",
            back=lambda q: lambda a: to_matrix(a, q.dim),
        ),
    ),
    hints=(
        Hint(
            "direct by_sigma dweight",
            "W reaches Ŵ = W/σ on two paths: directly, and through σ. Write down the derivative of "
            "each on paper, then add them.",
        ),
        Hint(
            "rank_one sigma left right",
            "σ = Σ uᵢ Wᵢⱼ vⱼ is linear in W, with u and v constant: ∂σ/∂Wᵢⱼ = uᵢ vⱼ, which is "
            "np.outer(u, v). As a weight it has the axis dim where the weight has it.",
        ),
        Hint(
            "projection by_sigma W_hat",
            "What reaches σ is one number, -⟨dy, W⟩/σ² = -⟨dy, Ŵ⟩/σ: a sum over all of the weight. "
            "Times u vᵀ, added to dy/σ.",
        ),
        SHAPE_HINT,
    ),
    coefficients=(
        Coefficients(
            "dweight",
            {"direct": 1, "by_sigma": -1},
            ("dy", "⟨dy, Ŵ⟩ u vᵀ"),
            "axis",
            {
                "n": lambda q: np.full(q.weight.shape, q.weight.size),
                "N": lambda q: np.full(q.weight.shape, q.weight.shape[q.dim]),
                "s": lambda q: np.full(q.weight.shape, q.sigma),
            },
            {
                ("by_sigma", "0"): (
                    "σ taken for a constant",
                    "Your gradient is dy/σ. But σ = uᵀWv depends on W: the term with u vᵀ is "
                    "missing.",
                ),
                ("by_sigma", "-1"): (
                    "wrong sign of the rank-one term",
                    "You add ⟨dy, Ŵ⟩ u vᵀ. It is subtracted: a larger σ makes Ŵ smaller.",
                ),
                ("by_sigma", "s"): (
                    "projected on W",
                    "Your rank-one term is σ times too large: the number in front is ⟨dy, Ŵ⟩ with "
                    "Ŵ = W/σ, not ⟨dy, W⟩.",
                ),
                ("by_sigma", "1/s"): (
                    "rank-one term divided by σ once more",
                    "⟨dy, Ŵ⟩ holds one 1/σ, the last division is the other. Yours has three.",
                ),
                ("by_sigma", "1/n"): (
                    "a mean instead of the sum",
                    "You take the mean of dy Ŵ. σ collects from every number of the weight: a sum.",
                ),
                ("by_sigma", "2"): (
                    "rank-one term counted twice",
                    "σ is linear in W: no factor 2 appears, as it would for a sum of squares.",
                ),
                ("by_sigma", "1/2"): (
                    "half of the rank-one term",
                    "There is no root in σ = uᵀWv, so no factor ½ appears.",
                ),
                ("direct", "0"): (
                    "direct path missing",
                    "Your gradient has only the term of σ. W also reaches Ŵ directly: dy/σ.",
                ),
                ("direct", "s"): (
                    "direct path not divided by σ",
                    "Your dy is not divided by σ, the other term is. Both are.",
                ),
                ("all", "s"): (
                    "not divided by σ",
                    "The last factor is missing: W is divided by σ on its way to Ŵ, and so is the "
                    "gradient on its way back.",
                ),
                ("all", "1/s"): ("divided by σ twice", "You divide by σ². Divide by σ."),
                ("all", "s²"): (
                    "multiplied by σ",
                    "You multiply by σ. Divide by it, as on the way to Ŵ.",
                ),
                ("all", "-1"): ("sign of dweight", "Your gradient points the other way."),
            },
            "σ",
        ),
    ),
)

EXERCISES = (AS_MATRIX, POWER_ITERATION, SPECTRAL_NORM_LAYER, SPECTRAL_NORM_BACKWARD)
