"""What the page advice tries: where a norm stands, how it starts, what it costs and saves."""

from functools import partial
from itertools import pairwise

import numpy as np

from normcourse import standardize
from normcourse.lab import data
from normcourse.lab.claims.layer_norm import LayerNorm
from normcourse.lab.network import BatchNorm, Network, ReLU, cross_entropy, train

SIZES = (64, 32, 32, 32, 10)
RATES = (0.1, 0.3, 1.0)
NORMS = {"batch norm": BatchNorm, "layer norm": LayerNorm}


def trained(build, seed, steps=150, rates=RATES, split=None, batch=64):
    """Of the networks that ``build()`` makes, the best on the test set over the rates."""
    split, best = split or data.digits(seed=seed), (-1.0, None)
    for lr in rates:
        net = build()
        history = train(net, split, steps, lr, batch, seed, every=steps)
        reached = 0.1 if history.diverged else history.accuracy[-1]
        best = max(best, (reached, net), key=lambda found: found[0])
    return best


def accuracy(*arguments, **options):
    """Test accuracy of :func:`trained`."""
    return trained(*arguments, **options)[0]


# ---- running statistics: fine-tuning -------------------------------------------------------------


def fine_tuning(seed, steps=150, few=200):
    """A network of upright digits learns fallen ones: with its norms, or with others."""
    split = data.digits(seed=seed)

    def fallen(x):
        return np.rot90(x.reshape(-1, 8, 8), axes=(1, 2)).reshape(len(x), 64)

    rows = np.random.default_rng(seed).permutation(len(split.x_train))[:few]
    new = split._replace(
        x_train=fallen(split.x_train[rows]),
        y_train=split.y_train[rows],
        x_test=fallen(split.x_test),
    )
    old = trained(lambda: Network(SIZES, BatchNorm, rng=seed), seed, steps, (0.3,), split)[1]
    parameters = [[p.copy() for p in layer.parameters] for layer in old.layers]

    def tuned(exchange):
        def build():
            net = Network(SIZES, BatchNorm, rng=seed)
            for layer, values, trained in zip(net.layers, parameters, old.layers, strict=True):
                layer.parameters = [p.copy() for p in values]
                if isinstance(layer, BatchNorm):
                    layer.running = trained.running
            net.layers = [exchange(layer) for layer in net.layers]
            net.layers = [layer for layer in net.layers if layer]
            return net

        return accuracy(build, seed, max(1, steps // 5), (0.03, 0.1, 0.3), new)

    def norm(make):
        return lambda layer: make(32) if isinstance(layer, BatchNorm) else layer

    kept = tuned(lambda layer: layer)
    others = {
        "layer norm": tuned(norm(LayerNorm)),
        "batch norm started anew": tuned(norm(BatchNorm)),
        "none": tuned(norm(lambda features: None)),
    }
    return {
        "lost": {name: kept - other for name, other in others.items()},
        "accuracy": {"kept": kept} | others,
    }


# ---- what γ and β can undo -----------------------------------------------------------------------


def undone(seed, steps=150):
    """The share of what a norm read that no γ and β give back, of a trained network's units."""
    split = data.digits(seed=seed)
    net = trained(lambda: Network(SIZES, rng=seed), seed, steps, (0.3,), split)[1]
    x = net.layers[0].forward(split.x_test, False)[:448]

    def left(normalized, x=x):
        """Least squares for each unit: x ≈ γ x̂ + β."""
        centred, target = normalized - normalized.mean(0), x - x.mean(0)
        gamma = (centred * target).sum(0) / (centred**2).sum(0)
        return ((target - gamma * centred) ** 2).sum() / (target**2).sum()

    def batches(size):
        return np.concatenate([standardize(b, 0) for b in np.split(x, len(x) // size)])

    bright = x * np.random.default_rng(seed).uniform(0.25, 1, (len(x), 1))
    return {
        "left": {
            "batch norm in evaluation": left(standardize(x, 0)),
            "batch norm over 64": left(batches(64)),
            "batch norm over 4": left(batches(4)),
            "layer norm": left(standardize(x, 1)),
            "layer norm, any brightness": left(standardize(bright, 1), bright),
        }
    }


def company(seed, steps=150):
    """How far a digit's logits move with the digits beside it, as a share of their spread."""
    split = data.digits(seed=seed)
    net = trained(lambda: Network(SIZES, BatchNorm, rng=seed), seed, steps, (0.3,), split)[1]
    rng, digit, others = np.random.default_rng(seed), split.x_test[:1], split.x_test[1:]

    def moved(size, training):
        logits = [
            net.forward(np.vstack([digit, others[rng.choice(499, size - 1)]]), training)[0]
            for _ in range(20)
        ]
        return float(np.std(logits, axis=0).max() / np.std(logits[0]))

    found = {f"in training, batches of {size}": moved(size, True) for size in (4, 64)}
    return {"moved": found | {"in evaluation": moved(64, False)}}


class Residual:
    """x + f(x), of a list of layers."""

    def __init__(self, layers):
        self.layers = layers

    @property
    def parameters(self):
        return [p for layer in self.layers for p in layer.parameters]

    @property
    def gradients(self):
        return [g for layer in self.layers for g in layer.gradients]

    def forward(self, x, training):
        y = x
        for layer in self.layers:
            y = layer.forward(y, training)
        return x + y

    def backward(self, dy):
        dx = dy
        for layer in reversed(self.layers):
            dx = layer.backward(dx)
        return dy + dx


def residual_network(seed, gamma, blocks=10):
    """Residual blocks of two linear layers with batch norm; ``gamma`` starts the second."""
    net = Network((64, *[32] * (2 * blocks + 1), 10), BatchNorm, rng=seed)
    first, rest, last = net.layers[:3], net.layers[3:-1], net.layers[-1]
    parts = [rest[6 * i : 6 * i + 5] for i in range(blocks)]
    for part in parts:
        part[-1].parameters[0] *= gamma
    net.layers = [*first, *(Residual(part) for part in parts), last]
    return net


def starting(seed, steps=60):
    """Accuracy that a norm's start at γ = 1 and β = 0 gains over another."""

    def plain(gamma, spread):
        def build():
            net, rng = Network(SIZES, BatchNorm, rng=seed), np.random.default_rng(seed)
            for layer in net.layers:
                if isinstance(layer, BatchNorm):
                    layer.parameters = [np.full(32, gamma), rng.normal(0, spread, 32)]
            return net

        return accuracy(build, seed, steps)

    def residual(gamma):
        return accuracy(lambda: residual_network(seed, gamma), seed, steps)

    one = plain(1.0, 0)
    found = {
        "γ of 0.1": plain(0.1, 0),
        "γ of 10": plain(10.0, 0),
        "β drawn from N(0, 1)": plain(1.0, 1),
    }
    gain = {name: one - other for name, other in found.items()}
    zero, ones = residual(0.0), residual(1.0)
    gain["last γ of a residual block 0"] = ones - zero
    found |= {"γ of 1": one, "residual, last γ 1": ones, "residual, last γ 0": zero}
    return {"gain": gain, "accuracy": found}


# ---- where it stands -----------------------------------------------------------------------------


def placement(seed, steps=100):
    """Accuracy with the norm before the activation minus that with it behind."""

    def behind(norm):
        net = Network(SIZES, norm, rng=seed)
        for i, layer in enumerate(net.layers):
            if isinstance(layer, ReLU):
                net.layers[i - 1 : i + 1] = [layer, net.layers[i - 1]]
        return net

    found = {}
    for name, norm in NORMS.items():
        for depth, build in (
            ("before", lambda norm=norm: Network(SIZES, norm, rng=seed)),
            ("behind", lambda norm=norm: behind(norm)),
        ):
            found[f"{name}, {depth}"] = accuracy(build, seed, steps)
    gain = {name: found[f"{name}, before"] - found[f"{name}, behind"] for name in NORMS}
    return {"gain": gain, "accuracy": found}


def before_the_output(seed, steps=150, depth=4):
    """Test loss with a norm before the output layer, or on the logits, minus that without."""
    from normcourse.lab import models, text, training

    split = data.digits(seed=seed)

    def nats(norm, where):
        def build():
            net = Network(SIZES, norm, rng=seed)
            last = len(net.layers) - 1
            if where == "logits":
                net.layers.append(norm(10))
            elif where == "nowhere":
                del net.layers[last - 2]
            return net

        net = trained(build, seed, steps, split=split)[1]
        return cross_entropy(net.forward(split.x_test), split.y_test)[0]

    windows = text.windows(32)

    def transformer(final):
        losses = []
        for rate in (1e-3, 3e-3):
            model = models.Transformer("layer", depth=depth, length=32, rng=seed)
            if not final:
                model.norm = models.norm_layer(None, (32,))
            losses.append(training.fit(model, windows, steps, rate, 16, seed, "adam").nats[-1])
        return min(losses)

    found = {}
    for name, norm in NORMS.items():
        without = nats(norm, "nowhere")
        found[f"{name} on the last hidden layer"] = nats(norm, "hidden") - without
        found[f"{name} on the logits"] = nats(norm, "logits") - without
    found["the last norm of a transformer"] = transformer(True) - transformer(False)
    return {"cost": found}


# ---- which one -----------------------------------------------------------------------------------


def convolutional(norm, seed, steps, batch=32, rates=(0.03, 0.1, 0.3)):
    """Test accuracy of a convolutional network at the best rate."""
    from normcourse.lab import models, training

    split = data.digits(seed=seed)
    nets = ((models.ConvolutionalNetwork(norm, pool=False, rng=seed), rate) for rate in rates)
    return max(
        training.fit(net, split, steps, rate, batch, seed).accuracy[-1] for net, rate in nets
    )


PAIRS = (
    ("batch", "instance"),
    ("instance", "batch"),
    ("batch", "layer"),
    ("layer", "batch"),
    ("group", "batch"),
    ("batch", "group"),
)


def mixed(seed, steps=100):
    """Accuracy of two types in one network minus the mean of each alone."""
    from normcourse.lab import models

    def both(first, second):
        return lambda shape: models.norm_layer(first if shape[0] == 16 else second, shape)

    alone = {
        name: convolutional(name, seed, steps) for name in ("batch", "instance", "layer", "group")
    }
    gain = {
        f"{first}, then {second} norm": convolutional(both(first, second), seed, steps)
        - (alone[first] + alone[second]) / 2
        for first, second in PAIRS
    }
    return {"gain": gain, "accuracy": {f"{name} norm": a for name, a in alone.items()}}


def defaults(seed, steps=100, depth=4):
    """The best of batch, layer and group norm against RMSNorm, on three kinds of networks."""
    from normcourse.lab import models, text, training

    split, windows = data.digits(seed=seed), text.windows(32)

    def recurrent(norm):
        return max(
            training.fit(
                models.RecurrentNetwork(norm, rng=seed), split, steps, rate, rng=seed
            ).accuracy[-1]
            for rate in (0.1, 0.3)
        )

    def transformer(norm):
        return min(
            training.fit(
                models.Transformer(norm, depth=depth, length=32, rng=seed),
                windows,
                steps,
                rate,
                16,
                seed,
                "adam",
            ).nats[-1]
            for rate in (1e-3, 3e-3)
        )

    conv = {n: convolutional(n, seed, steps) for n in ("rms", "batch", "layer", "group")}
    steps_of = {n: recurrent(n) for n in ("rms", "batch", "layer")}
    nats = {n: transformer(n) for n in ("rms", "layer")}
    names = {"rms": "RMSNorm"} | {n: f"{n} norm" for n in ("batch", "layer", "group")}
    return {
        "convolutional": max(conv.values()) - conv["rms"],
        "recurrent": max(steps_of.values()) - steps_of["rms"],
        "transformer": nats["rms"] - nats["layer"],
        "accuracy": {f"convolutional, {names[n]}": a for n, a in conv.items()}
        | {f"recurrent, {names[n]}": a for n, a in steps_of.items()},
        "nats": {names[n]: loss for n, loss in nats.items()},
    }


def recurrent_batch_norm(seed, steps=150):
    """Layer norm's accuracy minus batch norm's, in networks that read digits row by row."""
    from normcourse import nn
    from normcourse.lab import models, training

    split = data.digits(seed=seed)
    short = split._replace(x_train=split.x_train[:, :48], x_test=split.x_test[:, :48])

    def best(norm, seen):
        """(accuracy, network) at the better rate."""
        found = []
        for rate in (0.1, 0.3):
            net = models.RecurrentNetwork(norm, rng=seed)
            found.append((training.fit(net, seen, steps, rate, rng=seed).accuracy[-1], rate, net))
        return max(found)[::2]

    def one_for_all(shape):
        return nn.BatchNorm1d(shape[0])

    def longer(norm):
        net = best(norm, short)[1]
        return training.evaluate(net, split.x_test, split.y_test)[1]

    layer, shared, each = (best(norm, split)[0] for norm in ("layer", one_for_all, "batch"))
    return {
        "gain": {
            "statistics per step": layer - each,
            "one for all steps": layer - shared,
            "two steps longer than trained": longer("layer") - longer(one_for_all),
        },
        "accuracy": {
            "layer norm": layer,
            "batch norm per step": each,
            "one batch norm": shared,
        },
    }


# ---- ε -------------------------------------------------------------------------------------------

INSIDE_RANGE = {"ε of 10⁻⁸": 1e-8, "ε of 10⁻⁵": 1e-5}
OUTSIDE_RANGE = {"ε of 10⁻¹²": 1e-12, "ε of 10⁻³": 1e-3, "ε of 0.1": 0.1}


def epsilon(seed, steps=100):
    """Accuracy that each ε loses to the best, and what half precision makes of it."""
    found = {}
    for name, eps in (INSIDE_RANGE | OUTSIDE_RANGE).items():
        norm = partial(BatchNorm, eps=eps)
        found[name] = accuracy(lambda norm=norm: Network(SIZES, norm, rng=seed), seed, steps)
    row = np.full((1, 16), np.random.default_rng(seed).normal(), np.float16)  # a constant one
    with np.errstate(all="ignore"):
        half = {
            f"{name} in float16": np.isfinite(standardize(row, 1, np.float16(eps))).mean()
            for name, eps in INSIDE_RANGE.items()
        }
    best = max(found.values())
    return {
        "inside": {name: best - found[name] for name in INSIDE_RANGE},
        "half": half,
        "outside": {name: best - found[name] for name in OUTSIDE_RANGE},
    }


# ---- what it costs -------------------------------------------------------------------------------

NETWORKS = {
    "fully connected, 256 units": (64, 256, 256, 256),
    "convolutional, 16 and 32 channels": (16, 32),
    "convolutional, 64 and 128 channels": (64, 128),
}


def _network(name, seed, normalized):
    """A network in float32, with torch's own batch norm or none."""
    import torch

    from normcourse.lab import models

    def norm(shape):
        batch_norm = torch.nn.BatchNorm1d if len(shape) == 1 else torch.nn.BatchNorm2d
        return batch_norm(shape[0]) if normalized else torch.nn.Identity()

    if name.startswith("convolutional"):
        return models.ConvolutionalNetwork(
            norm, NETWORKS[name], pool=False, rng=seed, dtype=torch.float32
        )
    torch.manual_seed(seed)
    layers, sizes = [], NETWORKS[name]
    for inputs, outputs in pairwise(sizes):
        layers += [torch.nn.Linear(inputs, outputs), norm((outputs,)), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], 10))


def training_time(seed, rounds=60, limit=200, target=0.9):
    """A step of training with batch norm over one without, and all steps until 90 %."""
    import torch
    from torch.nn import functional

    from normcourse.lab.training import fit, quickest

    split, step, until = data.digits(seed=seed), {}, {}
    x = torch.tensor(split.x_train[:64], dtype=torch.float32)
    y = torch.tensor(split.y_train[:64])

    def one(net, descent):
        def run():
            descent.zero_grad()
            functional.cross_entropy(net(x), y).backward()
            descent.step()

        return run

    for name in NETWORKS:
        nets = [_network(name, seed, normalized) for normalized in (False, True)]
        runs = [one(net, torch.optim.SGD(net.parameters(), 0.01)) for net in nets]
        without, with_norm = quickest(runs, rounds)
        step[name] = with_norm / without
        best = [
            min(
                fit(
                    _network(name, seed, normalized),
                    split,
                    limit,
                    lr,
                    64,
                    seed,
                    every=5,
                    stop_at=target,
                ).steps_to(target)
                for lr in (0.03, *RATES)
            )
            for normalized in (False, True)
        ]
        until[name] = step[name] * best[1] / best[0]
    return {"step": step, "until": until}


def inference_time(seed, rounds=60):
    """A network in evaluation with batch norm over one without: as it is, and folded."""
    import torch
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    from normcourse.lab.training import quickest

    x = torch.tensor(data.digits(seed=seed).x_test[:64], dtype=torch.float32)
    found = {}
    for name in list(NETWORKS)[1:]:
        plain, norm, folded = (_network(name, seed, n).eval() for n in (False, True, True))
        features = folded.features
        for i in range(0, len(features), 3):
            features[i] = fuse_conv_bn_eval(features[i], features[i + 1])
            features[i + 1] = torch.nn.Identity()
        with torch.inference_mode():
            runs = [partial(net, x) for net in (plain, norm, folded)]
            without, kept, fused = quickest(runs, rounds)
        channels = name.removeprefix("convolutional, ")
        found[f"as it is, {channels}"] = kept / without
        found[f"folded, {channels}"] = fused / without
    return {"time": found}


# ---- regularization ------------------------------------------------------------------------------


class Dropout:
    """In training each number is 0 with a probability of p, the others are divided by 1 - p."""

    parameters = gradients = ()

    def __init__(self, p, rng):
        self.p, self.rng = p, rng

    def forward(self, x, training):
        self.kept = (self.rng.random(x.shape) >= self.p) / (1 - self.p) if training else 1.0
        return x * self.kept

    def backward(self, dy):
        return dy * self.kept


class DecayedNetwork(Network):
    """Weight decay: each weight matrix shrinks by lr * decay in a step."""

    decay = 0.0

    def step(self, lr, momentum=0.0):
        for layer in self.layers:
            if layer.parameters and layer.parameters[0].ndim == 2:
                layer.parameters[0] *= 1 - lr * self.decay
        super().step(lr, momentum)


def regularization(seed, steps=600, counts=(100, 400)):
    """Test accuracy of networks that know their few training digits by heart."""
    split, rng = data.digits(seed=seed), np.random.default_rng(seed)

    def reached(norm, count, dropout=0.0, decay=0.0):
        rows = rng_rows[:count]
        few = split._replace(x_train=split.x_train[rows], y_train=split.y_train[rows])
        net = DecayedNetwork(SIZES, norm, rng=seed)
        net.decay, noise = decay, np.random.default_rng(seed)
        if dropout:
            net.layers = [
                part
                for layer in net.layers
                for part in ([layer, Dropout(dropout, noise)] if type(layer) is ReLU else [layer])
            ]
        train(net, few, steps, 0.1, 16, seed, every=steps)
        fit = net.accuracy(few.x_train, few.y_train)
        return net.accuracy(few.x_test, few.y_test), fit

    rng_rows = rng.permutation(len(split.x_train))
    test, fit = {}, {}
    for count in counts:
        for norm, name in ((None, "none"), (BatchNorm, "batch norm")):
            for extra, options in (
                ("", {}),
                (" and dropout", {"dropout": 0.2}),
                (" and weight decay", {"decay": 0.01}),
            ):
                key = f"{name}{extra}, {count} digits"
                test[key], fit[key] = reached(norm, count, **options)

    def gain(more, less):
        cases = [f"{count} digits" for count in counts]
        return {case: test[f"{more}, {case}"] - test[f"{less}, {case}"] for case in cases}

    added = ("dropout", "weight decay")
    dropout, none = gain("batch norm and dropout", "batch norm"), gain("none and dropout", "none")
    return {
        "fit": {key: a for key, a in fit.items() if "and" not in key},
        "gain": gain("batch norm", "none"),
        "added": {
            f"{extra}, {case}": value
            for extra in added
            for case, value in gain(f"batch norm and {extra}", "batch norm").items()
        },
        "need": {case: none[case] - dropout[case] for case in none},
        "dropout": {f"without batch norm, {case}": value for case, value in none.items()},
        "test": test,
    }
