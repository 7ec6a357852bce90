"""Claims of the chapter layer_norm, tried with small networks on the digits and on English text."""

from functools import cache

import numpy as np

from normcourse.core import normalize
from normcourse.lab import data, text
from normcourse.lab.claims.record import Claim, Experiment, Figure
from normcourse.lab.network import BatchNorm, Network, train
from normcourse.layer_norm import layer_norm, layer_norm_backward

SIZES = (64, 32, 32, 32, 10)


class LayerNorm:
    """Layer norm with a learned scale and shift."""

    def __init__(self, features):
        self.features = features
        self.parameters = [np.ones(features), np.zeros(features)]

    def forward(self, x, training):
        self.x = x
        return layer_norm(x, self.features, *self.parameters)

    def backward(self, dy):
        dx, *self.gradients = layer_norm_backward(dy, self.x, self.features, *self.parameters)
        return dx


class DetachedLayerNorm(LayerNorm):
    """The same forward pass; backward, mean and variance count as constants.

    DetachNorm of Xu et al. 2019: of the gradient's three terms only the first is left.
    """

    def backward(self, dy):
        super().backward(dy)
        _, rstd = normalize(self.x, -1, 1e-5)
        return dy * self.parameters[0] * rstd


# ---- one sample, whatever its company ------------------------------------------------------------

BATCH_SIZES = (1, 2, 4, 8, 16, 32)
REFERENCE = 16  # the batch size that others are compared with


def batch_size(seed, images=5120, networks=5):
    """What a sample's logits owe to its batch, and what small batches cost in training."""
    split = data.digits()

    def trained(norm, size, seed):
        network = Network(SIZES, norm, rng=seed)
        rate = 0.3 * size / 32
        train(network, split, images // size, rate, size, rng=seed, every=images)
        return network

    def of_company(network):
        rng = np.random.default_rng(seed)
        digit, others = split.x_test[:1], split.x_test[1:]
        logits = [
            network.forward(np.vstack([digit, others[rng.choice(499, n)]]), training=True)[0]
            for n in (1, 3, 15, 63)
        ]
        return np.ptp(logits, axis=0).max()

    def accuracy(network, training=False):
        return network.accuracy(split.x_test, split.y_test, training)

    def reached(norm, size):
        seeds = range(networks * seed, networks * (seed + 1))
        return np.median([accuracy(trained(norm, size, i)) for i in seeds])

    one = trained(LayerNorm, REFERENCE, seed)
    found = {
        "company": of_company(one),
        "company, batch norm": of_company(trained(BatchNorm, REFERENCE, seed)),
        "mode": accuracy(one) - accuracy(one, training=True),
    }
    # Batch norm has no statistics in a batch of one.
    for name, norm, sizes in (
        ("layer norm", LayerNorm, BATCH_SIZES),
        ("batch norm", BatchNorm, BATCH_SIZES[1:]),
    ):
        median = {size: reached(norm, size) for size in sizes}
        found[name] = {f"batches of {size}": a for size, a in median.items()}
        found[f"lost, {name}"] = {
            f"batches of {size}": median[REFERENCE] - a
            for size, a in median.items()
            if size != REFERENCE
        }
    return found


# ---- regularization ------------------------------------------------------------------------------


def regularization(seed, steps=500):
    """Test accuracy of networks that know their few training digits by heart."""
    split, rng = data.digits(), np.random.default_rng(seed)
    found = {"test": {}, "gain": {}, "fit": {}}
    for count in (100, 400):
        rows, test = rng.permutation(len(split.x_train))[:count], {}
        few = split._replace(x_train=split.x_train[rows], y_train=split.y_train[rows])
        for name, norm in (("layer norm", LayerNorm), ("batch norm", BatchNorm)):
            network = Network(SIZES, norm, rng=seed)
            train(network, few, steps, 0.1, 16, rng=seed, every=steps)
            test[name] = network.accuracy(few.x_test, few.y_test)
            found["fit"][f"{name}, {count}"] = network.accuracy(few.x_train, few.y_train)
            found["test"][f"{name}, {count}"] = test[name]
        found["gain"][f"{count} digits"] = test["batch norm"] - test["layer norm"]
    return found


# ---- the gradient through the statistics ---------------------------------------------------------


def detached(seed, steps=150):
    """Best accuracy after 150 steps: plain, layer norm, layer norm with constant statistics."""

    def best(norm):
        found = []
        for rate in (0.01, 0.03, 0.1, 0.3):
            network = Network((64, *[32] * 10, 10), norm, rng=seed)
            history = train(network, data.digits(), steps, rate, rng=seed, every=steps)
            found.append(0.1 if history.diverged else history.accuracy[-1])
        return max(found)

    arms = {"plain": None, "layer norm": LayerNorm, "detached": DetachedLayerNorm}
    accuracy = {name: best(norm) for name, norm in arms.items()}
    return {
        "accuracy": accuracy,
        "backward": accuracy["layer norm"] - accuracy["detached"],
        "forward": accuracy["detached"] - accuracy["plain"],
    }


# ---- before or after the sum ---------------------------------------------------------------------

DEPTHS = (2, 4, 8, 16)


@cache
def gradients(place, seed):
    """Gradient at initialization of the weights of each block, for each of DEPTHS."""
    from normcourse.lab import models, training

    windows, rng = text.windows(32), np.random.default_rng(seed)
    rows = rng.choice(len(windows.x_train), 8, replace=False)
    x, y = windows.x_train[rows], windows.y_train[rows]
    with training.one_thread():
        return [
            models.gradient_norms(
                models.Transformer("layer", place, depth, length=32, rng=seed), x, y
            )
            for depth in DEPTHS
        ]


def at_initialization(seed, networks=3):
    """The power of the depth with which the last block's gradient grows, in the mean."""
    found = {}
    for place in ("pre", "post"):
        seeds = range(networks * seed, networks * (seed + 1))
        last = [[blocks[-1] for blocks in gradients(place, i)] for i in seeds]
        found[place] = np.polyfit(np.log(DEPTHS), np.log(np.mean(last, 0)), 1)[0]
    return found


def warm_up(seed, depth=6, steps=200):
    """Test loss of a transformer after a short training, with and without warm-up."""
    from normcourse.lab import models, training

    windows, nats = text.windows(32), {}
    for place in ("pre", "post"):
        for warmup in (0, steps // 2):
            model = models.Transformer("layer", place, depth, length=32, rng=seed)
            history = training.fit(model, windows, steps, 3e-3, 16, seed, "adam", warmup=warmup)
            nats[place, bool(warmup)] = history.nats[-1]
    return {
        "pre": nats["pre", False] - nats["pre", True],
        "post": nats["post", False] - nats["post", True],
        "nats": {
            f"{name}, {'with' if warmup else 'without'} warm-up": nats[place, warmup]
            for place, name in (("pre", "Pre-LN"), ("post", "Post-LN"))
            for warmup in (False, True)
        },
    }


# ---- sequences -----------------------------------------------------------------------------------


def sequences(seed, steps=150, depth=6):
    """A recurrent network and a transformer with no norm, layer norm and batch norm."""
    from normcourse import nn
    from normcourse.lab import models, training

    class TokenBatchNorm(nn.BatchNorm1d):
        """Batch norm of (N, L, D): each feature over all tokens of all texts."""

        def __init__(self, shape):
            super().__init__(shape[0])

        def forward(self, x):
            return super().forward(x.movedim(-1, 1)).movedim(1, -1)

    digits, windows = data.digits(), text.windows(32)

    def accuracy(norm, rate):
        model = models.RecurrentNetwork(norm, features=4, steps=16, rng=seed)
        return training.fit(model, digits, steps, rate, rng=seed).accuracy[-1]

    def nats(norm, rate):
        model = models.Transformer(norm, depth=depth, length=32, rng=seed)
        return training.fit(model, windows, steps, rate, 16, seed, "adam").nats[-1]

    recurrent = {
        name: max(accuracy(norm, rate) for rate in (0.1, 0.3))
        for name, norm in (("no norm", None), ("layer norm", "layer"), ("batch norm", "batch"))
    }
    transformer = {
        name: min(nats(norm, rate) for rate in (1e-3, 3e-3))
        for name, norm in (
            ("no norm", None),
            ("layer norm", "layer"),
            ("batch norm", TokenBatchNorm),
        )
    }
    return {
        "accuracy": recurrent,
        "nats": transformer,
        "recurrent": {
            f"than {other}": recurrent["layer norm"] - recurrent[other]
            for other in ("no norm", "batch norm")
        },
        "transformer": {
            f"than {other}": transformer[other] - transformer["layer norm"]
            for other in ("no norm", "batch norm")
        },
    }


# ---- the claims ----------------------------------------------------------------------------------

MLP = "Digits, three hidden layers of 32, ReLU, He"
CHARACTERS = "Characters of English text, windows of 32, Transformer of width 32, Xavier"

CLAIMS = [
    Claim(
        "independent_of_batch",
        "Layer norm is independent of the batch size, and the same in training and inference.",
        Experiment(
            batch_size,
            f"{MLP}. Trained on 5120 images with batches of 1 to 32, the rate in proportion: 0.3 "
            "for 32; the median of 5 networks. The company: one digit's logits in training mode, "
            "among 1 to 63 others.",
            tuple(range(10, 15)),
            study="layer_norm_batch_size",
            reduced=lambda seed: batch_size(seed, images=64, networks=1),
        ),
        (
            Figure(
                "change of a digit's logits with its company",
                "company",
                below=1e-9,
                when="what comes out",
            ),
            Figure(
                "accuracy lost in training mode",
                "mode",
                unit="pts",
                between=(-0.005, 0.005),
                when="what comes out",
            ),
            Figure(
                f"accuracy lost against batches of {REFERENCE}",
                "lost, layer norm",
                unit="pts",
                below=0.05,
                when="training with {}",
            ),
            Figure("accuracy, layer norm", "layer norm", unit="%"),
            Figure("accuracy, batch norm", "batch norm", unit="%"),
            Figure("change of the logits, batch norm", "company, batch norm"),
        ),
        {"Ba, Kiros & Hinton 2016": "arXiv:1607.06450"},
        "The first run, of one network and 2560 images, gave intervals of ten points either way, "
        "which show nothing. The same criterion on new seeds.",
    ),
    Claim(
        "right_for_sequences",
        "Layer norm is right for transformers and RNNs.",
        Experiment(
            sequences,
            "The best of two rates after 150 steps. RNN: digits in 16 steps of 4 pixels, 32 units, "
            "rates 0.1 and 0.3, batch norm per time step. Transformer: six Pre-LN blocks of width "
            "32, characters of English text, Adam, rates 0.001 and 0.003, batch norm over all "
            "tokens.",
            tuple(range(10, 15)),
            study="layer_norm_sequences",
            reduced=lambda seed: sequences(seed, steps=1, depth=1),
        ),
        (
            Figure("accuracy better", "recurrent", unit="pts", above=0, when="RNNs"),
            Figure("test loss better, nats", "transformer", above=0, when="transformers"),
            Figure("accuracy of the RNN", "accuracy", unit="%"),
            Figure("test loss of the transformer, nats", "nats"),
        ),
        {
            "Ba, Kiros & Hinton 2016": "arXiv:1607.06450",
            "Cooijmans et al. 2016": "arXiv:1603.09025",
            "Shen et al. 2020": "arXiv:2003.07845",
        },
        "The first run, with two blocks and larger rates, showed no use of any norm: layer norm "
        "lost 0.02 nats to none. Now six blocks, on new seeds; the RNN is as before.",
    ),
    Claim(
        "lacks_regularization",
        "Layer norm lacks the regularization that batch norm has from mixing samples.",
        Experiment(
            regularization,
            f"{MLP}; 100 or 400 of the digits to train on, 500 steps at rate 0.1, batches of 16. "
            "Test accuracy, batch norm minus layer norm, where both fit the training set.",
            tuple(range(20, 30)),
            study="layer_norm_regularization",
            reduced=lambda seed: regularization(seed, steps=5),
        ),
        (
            Figure("training accuracy", "fit", unit="%", above=0.98, premise=True),
            Figure("batch norm minus layer norm", "gain", unit="pts", above=0),
            Figure("test accuracy", "test", unit="%"),
        ),
        {"Luo et al. 2018": "arXiv:1809.00846"},
    ),
    Claim(
        "gradient_through_statistics",
        "Layer norm helps by its gradient through mean and variance, not by what it does forward.",
        Experiment(
            detached,
            "Digits, ten hidden layers of 32, ReLU, He, batches of 64, 150 steps, the best of four "
            "rates from 0.01 to 0.3. Detached: the same forward pass, but mean and variance count "
            "as constants in the backward pass.",
            tuple(range(20, 40)),
            study="layer_norm_detached",
            reduced=lambda seed: detached(seed, steps=2),
        ),
        (
            Figure("layer norm minus detached", "backward", unit="pts", above=0),
            Figure("detached minus no norm", "forward", unit="pts", below=0.01),
            Figure("accuracy", "accuracy", unit="%"),
        ),
        {"Xu et al. 2019": "arXiv:1911.07013"},
        "The first run, on five seeds, left the second half open: −13 points (−39 … 13). The same "
        "criterion on twenty new seeds.",
    ),
    Claim(
        "post_norm_gradient",
        "At initialization the last block's gradient stays large in Post-LN however deep the "
        "transformer, and falls like 1/√depth in Pre-LN.",
        Experiment(
            at_initialization,
            f"{CHARACTERS}, of 2, 4, 8 and 16 blocks, untrained. The power of the depth with which "
            "the gradient of the last block's weights grows, in the mean of 3 networks.",
            tuple(range(20, 25)),
        ),
        (
            Figure("power of the depth, Pre-LN", "pre", between=(-0.6, -0.4), when="Pre-LN"),
            Figure("power of the depth, Post-LN", "post", above=-0.1, when="Post-LN"),
        ),
        {"Xiong et al. 2020": "arXiv:2002.04745"},
        "The first run, of one network a seed, left Pre-LN open: −0.36 (−0.44 … −0.28). The same "
        "criterion, each half a case of its own, on the mean of three networks and new seeds.",
    ),
    Claim(
        "warm_up",
        "Post-LN needs a warm-up of the learning rate, Pre-LN does not.",
        Experiment(
            warm_up,
            f"{CHARACTERS}, 6 blocks, Adam at 0.003, batches of 16, 200 steps, of which the first "
            "100 raise the rate, or none. Test loss without less that with warm-up, in nats.",
            tuple(range(10, 20)),
            study="layer_norm_warm_up",
            reduced=lambda seed: warm_up(seed, depth=1, steps=2),
        ),
        (
            Figure("loss from leaving it out, Post-LN, nats", "post", above=0.1),
            Figure("loss from leaving it out, Pre-LN, nats", "pre", below=0.1),
            Figure("test loss, nats", "nats"),
        ),
        {"Xiong et al. 2020": "arXiv:2002.04745"},
        "The first run, on five seeds, left Post-LN open: 0.44 nats (0.042 … 0.83). The same "
        "criterion on ten new seeds.",
    ),
]
