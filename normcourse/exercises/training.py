"""Where the learner's functions lead: handwritten digits, learned with them.

The same runs in a notebook and on the course's site, where the digits come with the page.
"""

import inspect
import os
from functools import cache, reduce

import numpy as np

import normcourse
from normcourse.exercises.display import Report, Section, Table
from normcourse.exercises.judge import told, where
from normcourse.exercises.weight_norm import WEIGHT_NORM_INIT

__all__ = [
    "train_bounded",
    "train_digits",
    "train_divided",
    "train_rescaled",
    "train_switched",
    "train_weights",
]

HIDDEN, BATCH, RATE, STEPS, EVERY, EPS = 32, 64, 0.5, 200, 40, 1e-5  # of the network
BOUNDED_RATE = 0.2  # smaller than RATE: W shall not move far between two steps of power iteration
# Of the softmax regression; three rates about the best for raw pixels, three for rescaled ones.
RATES, EPOCHS, CHUNK = (1e-6, 3e-6, 1e-5, 0.3, 1.0, 3.0), 30, 300
# Of the network with normalized weights, which start as small as in Salimans & Kingma's paper.
WEIGHT_STD, WEIGHT_RATE = 0.05, 0.02
# Of the network whose hidden units divide one another: its bias, the least it may become, the
# weakest light, and by how much the pool and its bias learn more slowly than RATE.
POOL_BIAS, LEAST_BIAS, WEAKEST, POOL_SLOWER, BIAS_SLOWER = 1e-3, 1e-4, 0.02, 10, 1e4
# Of the convolution; both rates shrink with the root of the batch, whose gradients are noisier.
FILTERS, FEW, SWITCHED_RATE, SHARES_RATE = 8, 4, 0.2, 1.0


def train_digits(forward, backward, *more):
    """Train 64 - 32 - norm - ReLU - 10 on the digits with the learner's own forward and backward.

    The same network, with the same numbers at the start, is trained beside it by the functions of
    the same name: torch's where it is installed, else the course's.

    Args:
        forward: ``forward(x, *more, weight, bias, eps)``, such as ``batch_norm``; ``rms_norm``
            has no bias.
        backward: ``backward(dy, x, *more, weight, bias, eps)`` -> (dx, dweight, dbias).
        more: what stands between x and weight, such as ``(32,)`` for the normalized_shape of
            ``layer_norm``, or 4 for the num_groups of ``group_norm``.

    Returns:
        Report: losses on the way, and how many digits of the test set are read right.
    """

    def columns(digits):
        name = getattr(forward, "__name__", "")
        known = f"{name}_backward" in normcourse.__all__
        parameters = inspect.signature(getattr(normcourse, name) if known else forward).parameters
        yield "yours", _train(digits, forward, backward, more, "bias" in parameters)
        if known:
            beside, functions = _same_elsewhere(name)
            yield beside, _train(digits, *functions, more, "bias" in parameters)

    title = "Your functions, trained on handwritten digits"
    return _report(title, "step", range(0, STEPS + 1, EVERY), columns, (forward, backward))


def train_rescaled(standard_scale, merge_statistics):
    """Learn the digits from pixels in four units, raw and rescaled by the learner.

    A softmax regression by gradient descent, each time at the best of six learning rates.

    Args:
        standard_scale: ``standard_scale(X_train, X_new)``; the test set comes to it in ten parts.
        merge_statistics: ``merge_statistics(a, b)`` of (n, mean, variance); it finds the
            statistics from chunks of 300 rows.

    Returns:
        Report: losses on the way, and how many digits of the test set are read right, with the
        pixels raw, rescaled by ``standard_scale``, by statistics in chunks, and by the course.
    """

    def columns(digits):
        # Sorted by digit: chunks differ, and what is new is not scaled by itself.
        (x, y), (x_test, y_test) = ((x[y.argsort(kind="stable")], np.sort(y)) for x, y in digits)
        units = 10.0 ** (np.arange(x.shape[1]) % 4)
        x, x_test = x * units, x_test * units

        def in_chunks(x_new):
            chunks = np.split(x, range(CHUNK, len(x), CHUNK))
            statistics = [(len(rows), rows.mean(0), rows.var(0)) for rows in chunks]
            _, mean, variance = map(np.asarray, reduce(merge_statistics, statistics))
            return (x_new - mean) / np.where(variance > 0, variance, 1) ** 0.5

        _, mean, variance = normcourse.standard_statistics(x)
        ways = {
            "raw": lambda x_new: x_new,
            "yours": lambda x_new: np.asarray(standard_scale(x.copy(), x_new.copy())),
            "chunks": in_chunks,
            "course": lambda x_new: normcourse.standard_scale(x_new, mean, variance),
        }
        rescaled = {
            name: (way(x), np.concatenate([way(part) for part in np.array_split(x_test, 10)]))
            for name, way in ways.items()
        }
        for name, (old, new) in rescaled.items():
            yield name, _softmax_regression((old, y), (new, y_test))

    title = "Your functions, and pixels in four units"
    steps = range(0, EPOCHS + 1, EPOCHS // 5)
    return _report(title, "epoch", steps, columns, (standard_scale, merge_statistics))


def train_weights(start, forward, backward):
    """Train 64 - 32 - ReLU - 10 on the digits, both weights normalized by the learner.

    The same network is trained beside it by torch's weight normalization where it is installed,
    else by the course's, and with plain weights: w = v and b = 0 at the start, the same rate.

    Args:
        start: ``start(v, x)`` -> (g, b), such as ``weight_norm_init``.
        forward: ``forward(v, g, dim)`` -> w, such as ``weight_norm``.
        backward: ``backward(dw, v, g, dim)`` -> (dv, dg).

    Returns:
        Report: losses on the way, and how many digits of the test set are read right.
    """

    def columns(digits):
        plain = (
            lambda v, x: (np.ones((len(v), 1)), np.zeros(len(v))),
            lambda v, g, dim: v,
            lambda dw, v, g, dim: (dw, 0 * g),
        )
        beside, functions = _same_elsewhere("weight_norm")
        yield "plain", _train_weights(digits, *plain)
        yield "yours", _train_weights(digits, start, forward, backward)
        yield beside, _train_weights(digits, WEIGHT_NORM_INIT.reference, *functions)

    title = "Your weights, trained on handwritten digits"
    steps = range(0, STEPS + 1, EVERY)
    return _report(title, "step", steps, columns, (start, forward, backward))


def train_bounded(layer, backward):
    """Train 64 - 32 - ReLU - 10 on the digits, both weights divided by the learner's sigma.

    Args:
        layer: ``spectral_norm_layer(weight, u, v, training, n, dim)`` -> (W_hat, u, v).
        backward: ``spectral_norm_backward(dy, weight, u, v, dim)``.

    Returns:
        Report: losses on the way, digits of the test set that are read right, and the product of
        both largest singular values: with the weights raw, with the learner's functions, and with
        torch's parametrization, or where torch is missing the course's functions.
    """
    bounds = {}

    def columns(digits):
        beside, functions = _spectral_elsewhere()
        ways = {"raw": (_raw_layer, _raw_backward), "yours": (layer, backward), beside: functions}
        for name, way in ways.items():
            losses, accuracy, bounds[name] = _train_bounded(digits, *way)
            yield name, (losses, accuracy)

    def more():
        told_bounds = ", ".join(f"{bound:.1f} ({name})" for name, bound in bounds.items())
        return (
            "By how much the scores can change, at most, where the pixels change by 1: "
            f"{told_bounds}. That is the product of both largest singular values, measured after "
            "the training.",
        )

    title = "Your functions, and weights whose norm is bounded"
    steps = range(0, STEPS + 1, EVERY)
    return _report(title, "step", steps, columns, (layer, backward), more)


def train_divided(forward, backward):
    """Train 64 - 32 - division - ReLU - 10 on digits, each in a light of its own.

    The same network is trained beside it by the course's functions, and without the division.

    Args:
        forward: ``signed_divisive_norm(x, weight, bias, power)``.
        backward: ``signed_divisive_norm_backward(dy, x, weight, bias, power)``.

    Returns:
        Report: losses on the way, and how many digits of the test set are read right.
    """

    def columns(digits):
        rng = np.random.default_rng(1)
        lit = [(x * WEAKEST ** rng.random((len(x), 1)), y) for x, y in digits]
        raw = lambda x, *_: x, lambda dy, x, weight, bias, power: (dy, 0 * weight, 0 * bias)
        beside, functions = _same_elsewhere("signed_divisive_norm")
        for name, way in {"raw": raw, "yours": (forward, backward), beside: functions}.items():
            yield name, _train_divided(lit, *way)

    title = "Your functions, and digits in weak and strong light"
    steps = range(0, STEPS + 1, EVERY)
    return _report(title, "step", steps, columns, (forward, backward))


def train_switched(forward, shares_backward, inference):
    """Train a convolution, the learner's norm, ReLU and a linear layer on the digits.

    The shares are learned by the learner's gradients, all else by the course's. Beside it trains
    the same network with the course's functions alone.

    Args:
        forward: ``switchable_norm(x, mean_weight, var_weight, weight, bias, eps)``.
        shares_backward: ``shares_backward(dy, x, mean_weight, var_weight, weight, eps)`` ->
            (dmean_weight, dvar_weight).
        inference: ``switchable_norm_inference(x, running_mean, running_var, mean_weight,
            var_weight, weight, bias, eps)``, for the test set.

    Returns:
        Report: losses on the way, digits of the test set that are read right, and the shares at the
        end: of batches of 64 and of 4.
    """
    shares, few = [], []

    def columns(digits):
        yours = forward, shares_backward, inference
        losses, accuracy, mixed = _train_switched(digits, BATCH, *yours)
        shares.append((f"batch {BATCH}", mixed))
        _, right, mixed = _train_switched(digits, FEW, *yours)
        shares.append((f"batch {FEW}", mixed))
        few.append(right)
        yield "yours", (losses, accuracy)
        course = normcourse.switchable_norm, _shares_backward, normcourse.switchable_norm_inference
        yield "course", _train_switched(digits, BATCH, *course)[:2]

    def more():
        rows = tuple(
            (batch, of, *(f"{share:.2f}" for share in parts))
            for batch, mixed in shares
            for of, parts in zip(("means", "variances"), mixed, strict=True)
        )
        return (
            f"With your functions and batches of {FEW}: {few[0]:.0%}. Your shares, all 1/3 at the "
            "start, are at the end:",
            Table(("", "of the", "instance", "layer", "batch"), rows),
        )

    title = "Your functions, and shares that are learned"
    steps = range(0, STEPS + 1, EVERY)
    return _report(title, "step", steps, columns, (forward, shares_backward, inference), more)


def _report(title, unit, steps, columns, functions, more=tuple):
    """The report of a training.

    Args:
        columns: digits -> pairs of a name and (losses at ``steps``, accuracy); all but "raw" and
            "plain" should be like the last.
        functions: the learner's.
        more: () -> what else is told, after the training.
    """

    def to_do(what, state, text):
        return Report(f"{title}: {what}", state, [Section("To do", (text,))])

    try:
        digits = _digits()
    except (ImportError, KeyError):
        text = "They come with scikit-learn: open the notebook where it is installed."
        return to_do("the digits are not here", "open", text)
    except Exception as error:  # of the network
        text = f"They could not be loaded: {told(error)}. Once more may help."
        return to_do("the digits are not here", "open", text)
    try:
        with np.errstate(all="ignore"):  # a wrong gradient may lead anywhere; the table shows it
            found = dict(columns(digits))
    except NotImplementedError as error:
        missing = where(error, *functions)
        return to_do("not started yet", "open", f"Write {missing.name if missing else 'it'} first.")
    except Exception as error:  # the learner's, not ours
        line = where(error, *functions)
        place = f" ({line.name}, line {line.lineno}: {line.line})" if line else ""
        return to_do("it stopped", "wrong", f"{told(error)}{place}. Pass the checks above first.")
    rows = [
        (str(step), *(f"{losses[i]:.3f}" for losses, _ in found.values()))
        for i, step in enumerate(steps)
    ]
    right = ", ".join(f"{accuracy:.0%} ({name})" for name, (_, accuracy) in found.items())
    told_right = f"Of the digits it never saw it reads right: {right}."
    *names, beside = found
    # Right functions in float32 differ by some 1e-7; one digit of the test set is 0.003.
    result = {name: [*losses, accuracy] for name, (losses, accuracy) in found.items()}
    other = [
        name
        for name in names
        if name not in ("raw", "plain") and not np.allclose(result[name], result[beside], rtol=4e-3)
    ]
    blocks = [Table((unit, *found), tuple(rows)), told_right, *more()]
    what, state = "the same result", "passed"
    if not names:
        what, state = "nothing to compare with", "open"
    if other:
        what, state = "another result", "wrong"
        which = " and ".join(f"“{name}”" for name in other)
        blocks.append(f"The numbers of {which} are not those of “{beside}”: see the checks above.")
    return Report(f"{title}: {what}", state, [Section("Training loss", tuple(blocks))])


@cache
def _digits():
    """(train, test) of (images in [0, 1], labels); every fifth digit is kept for the test."""
    try:
        from sklearn.datasets import load_digits

        x, y = load_digits(return_X_y=True)
    except ImportError:
        from pyodide.http import open_url

        table = np.loadtxt(open_url(os.environ["NORMCOURSE_DIGITS"]), delimiter=",")
        x, y = table[:, :-1], table[:, -1].astype(int)
    x = x / 16
    test = np.arange(len(x)) % 5 == 0
    return (x[~test], y[~test]), (x[test], y[test])


def _torchs(name):
    """torch's forward of this technique, called as the course's; AttributeError if it has none."""
    import torch

    if name == "weight_norm":  # of any layer: v and g are handed to its parametrization
        layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(1, 1), dim=0)

        def weight_norm(v, g, dim):
            stored = {"original0": g, "original1": v}
            return torch.func.functional_call(layer.parametrizations.weight, stored, ())

        return weight_norm
    function = getattr(torch.nn.functional, name)
    if name != "batch_norm":
        return function
    return lambda x, w, b, eps: function(x, None, None, w, b, training=True, eps=eps)


def _same_elsewhere(name):
    """Who has the function of this name, too, and its forward and backward."""
    try:
        import torch

        call = _torchs(name)
    except (ImportError, AttributeError):
        return "course", (getattr(normcourse, name), getattr(normcourse, f"{name}_backward"))

    def tensors(arguments, **how):
        return [torch.tensor(a, **how) if isinstance(a, np.ndarray) else a for a in arguments]

    def forward(*arguments):
        return call(*tensors(arguments)).numpy()

    def backward(dy, *arguments):
        arguments = tensors(arguments, requires_grad=True)
        leaves = [a for a in arguments if torch.is_tensor(a)]
        gradients = torch.autograd.grad(call(*arguments), leaves, torch.tensor(dy))
        return [gradient.numpy() for gradient in gradients]

    return "torch", (forward, backward)


def _descend(digits, rng, forward, learn, batch=BATCH):
    """(losses at every EVERY steps, accuracy on the test set as one batch).

    Args:
        forward: (images, whether for training) -> (scores, what ``learn`` needs besides).
        learn: (gradient of the scores, that) -> None; takes a step.
    """
    (x, y), (x_test, y_test) = digits
    losses = []
    for step in range(STEPS + 1):
        rows = rng.choice(len(x), batch, replace=False)
        scores, kept = forward(x[rows], True)
        loss, dscores = _cross_entropy(scores, y[rows])
        if step % EVERY == 0:
            losses.append(loss)
        learn(dscores, kept)
    scores, _ = forward(x_test, False)
    return losses, (scores.argmax(1) == y_test).mean()


def _train(digits, forward, backward, more, has_bias):
    """A norm behind the first layer."""
    rng = np.random.default_rng(0)
    weights = [
        rng.normal(0, (2 / 64) ** 0.5, (64, HIDDEN)),
        rng.normal(0, (1 / HIDDEN) ** 0.5, (HIDDEN, 10)),
    ]
    affine = [np.ones(HIDDEN), np.zeros(HIDDEN)][: 1 + has_bias]

    def through(x, training):
        arguments = x @ weights[0], *more, *affine, EPS
        active = np.maximum(np.asarray(forward(*arguments)), 0)
        return active @ weights[1], (x, arguments, active)

    def learn(dscores, kept):
        x, arguments, active = kept
        dhidden = (dscores @ weights[1].T) * (active > 0)
        dbefore, *daffine = map(np.asarray, backward(dhidden, *arguments))
        weights[0] = weights[0] - RATE * x.T @ dbefore
        weights[1] = weights[1] - RATE * active.T @ dscores
        affine[:] = [p - RATE * dp for p, dp in zip(affine, daffine, strict=True)]

    return _descend(digits, rng, through, learn)


def _train_weights(digits, start, forward, backward):
    """Both weights written as a length and a direction, started from the first batch."""
    images = digits[0][0]
    rng = np.random.default_rng(0)
    sizes = (HIDDEN, images.shape[1]), (10, HIDDEN)
    layers = [(rng.normal(0, WEIGHT_STD, size),) for size in sizes]

    def weight(layer):
        return np.asarray(forward(*layer[:2], 0))

    def through(layer, a):
        return a @ weight(layer).T + layer[2]

    def network(x, training):
        active = np.maximum(through(layers[0], x), 0)
        return through(layers[1], active), (x, active)

    def stepped(layer, dout, a):
        v, g, b = layer
        dv, dg = map(np.asarray, backward(dout.T @ a, v, g, 0))
        return v - WEIGHT_RATE * dv, g - WEIGHT_RATE * dg, b - WEIGHT_RATE * dout.sum(0)

    def learn(dscores, kept):
        x, active = kept
        dhidden = (dscores @ weight(layers[1])) * (active > 0)
        layers[:] = stepped(layers[0], dhidden, x), stepped(layers[1], dscores, active)

    a = images[rng.choice(len(images), BATCH, replace=False)]
    for i, (v,) in enumerate(layers):
        layers[i] = v, *map(np.asarray, start(v, a))
        a = np.maximum(through(layers[i], a), 0)
    return _descend(digits, rng, network, learn)


def _raw_layer(weight, u, v, training, n, dim):
    return weight, u, v


def _raw_backward(dy, weight, u, v, dim):
    return dy


def _spectral_elsewhere():
    """Who has spectral normalization, too, and its layer and backward."""
    try:
        from torch import from_numpy, nn
    except ImportError:
        return "course", (_course_layer, normcourse.spectral_norm_backward)

    def module(weight, u, v, n):
        h, w = weight.shape
        linear = nn.utils.parametrizations.spectral_norm(
            nn.Linear(w, h, bias=False).double(), n_power_iterations=n
        )
        state = {"original": weight, "0._u": u, "0._v": v}
        linear.load_state_dict(
            {f"parametrizations.weight.{key}": from_numpy(a) for key, a in state.items()}
        )
        return linear

    def layer(weight, u, v, training, n, dim):
        linear = module(weight, u, v, n).train(training)
        what, state = linear.weight.detach().numpy(), linear.state_dict()
        return what, *(state[f"parametrizations.weight.0.{key}"].numpy() for key in ("_u", "_v"))

    def backward(dy, weight, u, v, dim):
        linear = module(weight, u, v, 1).eval()
        linear.weight.backward(from_numpy(dy))
        return linear.parametrizations.weight.original.grad.numpy()

    return "torch", (layer, backward)


def _course_layer(weight, u, v, training, n, dim):
    if training:
        u, v = normcourse.power_iteration(normcourse.as_matrix(weight, dim), u, v, n)
    return normcourse.spectral_norm(weight, u, v, dim), u, v


def _train_bounded(digits, layer, backward):
    """What :func:`_descend` returns, and the product of both largest singular values."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(0, (2 / n) ** 0.5, (h, n)) for h, n in ((HIDDEN, 64), (10, HIDDEN))]
    vectors = [[_unit(rng.normal(size=n)) for n in weight.shape] for weight in weights]

    def normalized(training):
        whats = []
        for weight, pair in zip(weights, vectors, strict=True):
            what, *pair[:] = map(np.asarray, layer(weight, *pair, training, 1, 0))
            whats.append(what)
        return whats

    def through(x, training):
        first, last = normalized(training)
        hidden = np.maximum(x @ first.T, 0)
        return hidden @ last.T, (x, hidden, last)

    def learn(dscores, kept):
        x, hidden, last = kept
        gradients = ((dscores @ last) * (hidden > 0)).T @ x, dscores.T @ hidden
        for i, dwhat in enumerate(gradients):
            dweight = np.asarray(backward(dwhat, weights[i], *vectors[i], 0))
            weights[i] = weights[i] - BOUNDED_RATE * dweight

    losses, accuracy = _descend(digits, rng, through, learn)
    whats = normalized(False)
    finite = all(np.isfinite(what).all() for what in whats)
    return losses, accuracy, np.prod([_norm(what) for what in whats]) if finite else np.nan


def _train_divided(digits, forward, backward):
    """Hidden units that divide one another; at first each pool is the mean of all squares."""
    rng = np.random.default_rng(0)
    first, last = (rng.normal(0, (2 / n) ** 0.5, (h, n)) for h, n in ((HIDDEN, 64), (10, HIDDEN)))
    pool, bias = np.full((HIDDEN, HIDDEN), 1 / HIDDEN), np.full(HIDDEN, POOL_BIAS)
    learned = [first, last, pool, bias]

    def through(x, training):
        first, last, *parameters = learned
        arguments = x @ first.T, *parameters, 0.5
        active = np.maximum(np.asarray(forward(*arguments)), 0)
        return active @ last.T, (x, arguments, active)

    def learn(dscores, kept):
        x, arguments, active = kept
        first, last, pool, bias = learned
        dhidden = (dscores @ last) * (active > 0)
        dbefore, dpool, dbias = map(np.asarray, backward(dhidden, *arguments))
        learned[:] = (
            first - RATE * dbefore.T @ x,
            last - RATE * dscores.T @ active,
            np.maximum(pool - RATE / POOL_SLOWER * dpool, 0),
            np.maximum(bias - RATE / BIAS_SLOWER * dbias, LEAST_BIAS),
        )

    return _descend(digits, rng, through, learn)


def _shares_backward(dy, x, mean_weight, var_weight, weight, eps):
    return normcourse.switchable_norm_backward(dy, x, mean_weight, var_weight, weight, eps=eps)[1:3]


def _train_switched(digits, batch, forward, shares_backward, inference):
    """What :func:`_descend` returns, and the shares of means and of variances at the end."""
    rng, rate = np.random.default_rng(0), SWITCHED_RATE * (batch / BATCH) ** 0.5
    kernel = rng.normal(0, (2 / 9) ** 0.5, (9, FILTERS))
    last = rng.normal(0, (1 / (36 * FILTERS)) ** 0.5, (36 * FILTERS, 10))
    affine, logits = [np.ones(FILTERS), np.zeros(FILTERS)], [np.zeros(3), np.zeros(3)]
    running = [np.zeros(FILTERS), np.ones(FILTERS)]

    def through(images, training):
        images = images.reshape(-1, 8, 8)
        windows = np.lib.stride_tricks.sliding_window_view(images, (3, 3), (1, 2))
        patches = windows.reshape(len(images), 36, 9)
        x = np.swapaxes(patches @ kernel, 1, 2)
        if training:
            running[:] = normcourse.update_running_statistics(*running, x, 0.1)
            y = forward(x, *logits, *affine, EPS)
        else:
            y = inference(x, *running, *logits, *affine, EPS)
        active = np.maximum(np.asarray(y), 0).reshape(len(images), -1)
        return active @ last, (patches, x, active)

    def learn(dscores, kept):
        nonlocal kernel, last
        patches, x, active = kept
        dy = ((dscores @ last.T) * (active > 0)).reshape(x.shape)
        dlogits = shares_backward(dy, x, *logits, affine[0], EPS)
        dx, _, _, *daffine = normcourse.switchable_norm_backward(dy, x, *logits, *affine, EPS)
        kernel = kernel - rate * np.tensordot(patches, dx, ((0, 1), (0, 2)))
        last = last - rate * active.T @ dscores
        affine[:] = [p - rate * dp for p, dp in zip(affine, daffine, strict=True)]
        step = SHARES_RATE * (batch / BATCH) ** 0.5
        logits[:] = [p - step * np.asarray(dp) for p, dp in zip(logits, dlogits, strict=True)]

    losses, accuracy = _descend(digits, rng, through, learn, batch)
    powers = [np.exp(p - p.max()) for p in logits]
    return losses, accuracy, [power / power.sum() for power in powers]


def _unit(a):
    return a / np.linalg.norm(a)


def _norm(matrix):
    return np.linalg.norm(matrix, 2)


def _softmax_regression(train, test):
    """(losses at every fifth of the epochs, accuracy) at the rate with the smallest loss."""

    def run(rate):
        x, y = train
        weight, bias, losses = np.zeros((x.shape[1], 10)), np.zeros(10), []
        for epoch in range(EPOCHS + 1):
            loss, dscores = _cross_entropy(x @ weight + bias, y)
            if epoch % (EPOCHS // 5) == 0:
                losses.append(loss)
            weight, bias = weight - rate * x.T @ dscores, bias - rate * dscores.sum(0)
        return losses, ((test[0] @ weight + bias).argmax(1) == test[1]).mean()

    return min(map(run, RATES), key=lambda found: np.nan_to_num(found[0][-1], nan=np.inf))


def _cross_entropy(scores, labels):
    """The mean cross-entropy of the softmax of ``scores``, and its gradient."""
    scores = scores - scores.max(1, keepdims=True)
    logs = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    picked = np.arange(len(labels)), labels
    gradient = np.exp(logs)
    gradient[picked] -= 1
    return -logs[picked].mean(), gradient / len(labels)
