"""Claims of the chapter batch_norm, tried with small ReLU networks on the digits."""

from functools import cache

import numpy as np

from normcourse.lab import data
from normcourse.lab.claims.record import Claim, Experiment, Figure
from normcourse.lab.claims.show import curves
from normcourse.lab.network import BatchNorm, Linear, Network, depth_profile, train

SIZES = (64, 32, 32, 32, 10)
RATES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
STEPS, TARGET = 150, 0.9
SETTING = "Digits, three hidden layers of 32, ReLU, He, batches of 64"
EDGE = 1.17  # the factor up to which a largest learning rate is found
SEEDS = tuple(range(20, 30))  # of the claims on speed and rates, whose runs are the same


class NoisyBatchNorm(BatchNorm):
    """Batch norm, then a random scale and shift of each unit, drawn anew in each step.

    After Santurkar et al. 2018, who add noise to each sample from a distribution that changes.
    """

    def __init__(self, features):
        super().__init__(features)
        self.rng = np.random.default_rng(features)

    def forward(self, x, training):
        y = super().forward(x, training)
        if not training:
            return y
        self.scale = self.rng.uniform(1, 1.25, y.shape[1])
        return self.scale * y + self.rng.uniform(-0.5, 0.5, y.shape[1])

    def backward(self, dy):
        return super().backward(dy * self.scale)


@cache
def steps_to_target(norm, lr, seed):
    """Steps until 90 % of the test set are right, of at most 150; inf if it is never reached."""
    network = Network(SIZES, norm, rng=seed)
    history = train(network, data.digits(), STEPS, lr, rng=seed, every=5, stop_at=TARGET)
    return history.steps_to(TARGET)


def best_steps(norm, seed, rates=RATES):
    """Steps to the target with the best learning rate."""
    return min(steps_to_target(norm, lr, seed) for lr in rates)


def largest_rate(norm, seed):
    """The largest learning rate that reaches the target, up to a factor of EDGE.

    Between the largest of RATES that does and the next one the step is halved three times. NaN if
    none of them reaches it, inf if the last one does.
    """
    low = max((lr for lr in RATES if np.isfinite(steps_to_target(norm, lr, seed))), default=np.nan)
    high = min((lr for lr in RATES if lr > low), default=np.inf)
    for _ in range(3 if np.isfinite(high) else 0):
        middle = (low * high) ** 0.5
        reached = np.isfinite(steps_to_target(norm, middle, seed))
        low, high = (middle, high) if reached else (low, middle)
    return low if np.isfinite(high) else high


def covariate_shift(seed):
    """Shift between steps and steps to the target: plain, batch norm, and noise after it."""
    arms = {"plain": None, "batch norm": "batch", "with noise": NoisyBatchNorm}
    shift = {name: _shift(norm, seed) for name, norm in arms.items()}
    steps = {name: best_steps(norm, seed, (0.1, 0.3, 1.0)) for name, norm in arms.items()}
    return {
        "shift": shift,
        "steps": steps,
        "noisy shift": shift["with noise"] / shift["plain"],
        "noisy steps": steps["with noise"] / steps["plain"],
    }


def _shift(norm, seed):
    """How far one step moves the mean of a unit in the last hidden layer, in its own std.

    Median over units, mean over the first 40 steps at learning rate 0.1, on 256 fixed samples.
    """
    split, network = data.digits(), Network(SIZES, norm, rng=seed)
    rng, moved, before = np.random.default_rng(seed), [], None
    for _ in range(40):
        h = split.x_train[:256]
        for layer in network.layers[:-1]:
            h = layer.forward(h, training=True)
        mean, std = h.mean(0), h.std(0)
        alive = std > 0
        if before is not None:
            moved.append(np.median(np.abs(mean - before)[alive] / std[alive]))
        before = mean
        train(network, split, 1, 0.1, rng=rng)
    return np.mean(moved)


def speed(seed):
    """Steps to the target with the best rate, and the largest rate that reaches it."""
    best_for_plain = min(RATES, key=lambda lr: steps_to_target(None, lr, seed))
    steps = {"plain": best_steps(None, seed), "batch norm": best_steps("batch", seed)}
    rate = {"plain": largest_rate(None, seed), "batch norm": largest_rate("batch", seed)}
    small = [np.isfinite(steps_to_target("batch", lr, seed)) for lr in (0.001, 0.01, 0.1)]
    best = steps["plain"] / steps["batch norm"]
    same = steps["plain"] / steps_to_target("batch", best_for_plain, seed)
    return {
        "steps": steps,
        "faster": {"the best rate of each": best, "the rate best for plain": same},
        "best": best,
        "rate": rate,
        "bolder": rate["batch norm"] / rate["plain"],
        "plain rate": rate["plain"],
        "small": np.mean(small),
    }


def steps_over_rate(runs):
    """The picture of all claims on speed and rates."""
    series = {
        name: {lr: [steps_to_target(norm, lr, seed) for seed in SEEDS] for lr in RATES}
        for name, norm in (("plain", None), ("batch norm", "batch"))
    }
    title = "Steps to 90 %: fewer with batch norm, which also learns at rates that plain cannot"
    return curves(title, "learning rate", series, STEPS)


def gradients_in_depth(seed):
    """Gradient in the first over that in the last hidden layer, at initialization."""

    def ratios(norm, depth):
        inits = {"std 0.01": "small", "Xavier": "xavier", "3 × He": "large"}
        gradients = {n: depth_profile(depth, i, norm, seed=seed)[1] for n, i in inits.items()}
        return {name: gradient[0] / gradient[-1] for name, gradient in gradients.items()}

    return {"plain": ratios(None, 30), "10": ratios("batch", 10), "30": ratios("batch", 30)}


FACTORS = {"1/64": 1 / 64, "1/16": 1 / 16, "1/4": 1 / 4, "1": 1, "4": 4, "16": 16, "64": 64}


def initialization(seed):
    """Accuracy that He weights times 1/64 to 64 lose to the best factor, after 100 steps."""
    lost = {}
    for name, norm in (("plain", None), ("batch", "batch")):
        accuracy = {f"He × {n}": _accuracy_from(f, norm, seed) for n, f in FACTORS.items()}
        lost[name] = {n: max(accuracy.values()) - a for n, a in accuracy.items()}
    works = {name: sum(x < 0.1 for x in values.values()) for name, values in lost.items()}
    return lost | {"works": works, "more": works["batch"] - works["plain"]}


def _accuracy_from(factor, norm, seed):
    network = Network(SIZES, norm, "he", rng=seed)
    for layer in network.layers[:-1]:  # without the output layer, which nothing normalizes
        if isinstance(layer, Linear):
            layer.parameters[0] *= factor
    history = train(network, data.digits(), 100, 0.3, rng=seed, every=100)
    return 0.1 if history.diverged else history.accuracy[-1]  # as good as guessing


NETWORKS = 9  # trained with batches of 2 in each run


def small_batches(seed):
    """Test accuracy after 120 steps, batch norm minus plain, for batches of 2 to 64."""
    split = data.digits()

    def accuracy(network, batch_size, seed):
        history = train(network, split, 120, 0.05, batch_size, rng=seed, every=120)
        return 0.1 if history.diverged else history.accuracy[-1]

    def gain(size, seed):
        batch, plain = Network(SIZES, "batch", rng=seed), Network(SIZES, rng=seed)
        return accuracy(batch, size, seed) - accuracy(plain, size, seed)

    # With batches of 2 the last bit of a sum decides where training goes: no two kinds of CPU
    # agree on the accuracy of a network, but all agree that it is mostly far lower.
    of_two = np.median([gain(2, NETWORKS * seed + i) for i in range(NETWORKS)])
    convolutions = [accuracy(_convolutional(norm, seed), 2, seed) for norm in (True, False)]
    return {
        "loses": {"three linear layers": of_two < -0.1},
        "convolution": {"a convolution": convolutions[0] - convolutions[1]},
        "large": {f"batches of {size}": gain(size, seed) for size in (16, 64)},
        "middle": {f"batches of {size}": gain(size, seed) for size in (4, 8)},
    }


class _Patches:
    """The 36 patches of 3 x 3 pixels of each digit: (N, 64) -> (N * 36, 9)."""

    parameters = gradients = ()

    def forward(self, x, training):
        images = x.reshape(-1, 8, 8)
        return np.lib.stride_tricks.sliding_window_view(images, (3, 3), (1, 2)).reshape(-1, 9)

    def backward(self, dy):
        return None  # the pixels need no gradient


class _Flatten:
    """The positions of each digit side by side again: (N * 36, C) -> (N, 36 * C)."""

    parameters = gradients = ()

    def forward(self, x, training):
        return x.reshape(-1, 36 * x.shape[1])

    def backward(self, dy):
        return dy.reshape(-1, dy.shape[1] // 36)


def _convolutional(norm, seed):
    """One convolution with 16 channels, so that 36 positions share a statistic; then linear."""
    convolution = Network((9, 16, 10), "batch" if norm else None, rng=seed).layers[:-1]
    network = Network((36 * 16, 10), rng=seed)
    network.layers = [_Patches(), *convolution, _Flatten(), *network.layers]
    return network


def wrong_mode(seed):
    """Test accuracy of a trained network in evaluation mode, and left in training mode."""
    split, network = data.digits(), Network(SIZES, "batch", rng=seed)
    train(network, split, 120, 0.3, rng=seed, every=120)
    x, y = split.x_test, split.y_test
    ways = {f"batches of {size}": np.arange(500).reshape(-1, size) for size in (500, 20, 4, 2)}
    ways["batches of nearly one class"] = np.argsort(y, kind="stable").reshape(-1, 50)
    right = network.accuracy(x, y)
    wrong = {
        name: np.mean([network.accuracy(x[rows], y[rows], training=True) for rows in batches])
        for name, batches in ways.items()
    }
    lost = {name: right - accuracy for name, accuracy in wrong.items()}
    return {"right": right, "wrong": wrong, "lost": lost}


SPEED = Experiment(
    speed,
    f"{SETTING}; a rate works if 150 steps reach 90 % test accuracy. Six rates from 0.03 to 10; "
    f"the largest that works is found up to a factor of {EDGE}, which widens its intervals.",
    SEEDS,
    steps_over_rate,
)

CLAIMS = [
    Claim(
        "faster_and_bolder",
        "Batch norm converges faster and bears higher learning rates.",
        SPEED,
        (
            Figure("steps, plain over batch norm", "faster", log=True, above=1),
            Figure("largest rate, batch norm over plain", "bolder", True, above=1, grid=EDGE),
        ),
        {"Bjorck et al. 2018": "arXiv:1806.02375"},
        "First run on five seeds; now on ten new ones.",
    ),
    Claim(
        "five_to_ten_times_faster",
        "Normalization gives 5-10x faster training.",
        SPEED,
        (
            Figure("steps at the best rate, plain over batch norm", "best", log=True, above=5),
            Figure("steps at the best rate", "steps"),
        ),
        revision="The first criterion counted an interval that contains 5 as a refutation; "
        "rewritten and run on new seeds, ten for five.",
    ),
    Claim(
        "higher_learning_rates",
        "It permits learning rates 5-10x higher.",
        SPEED,
        (Figure("largest rate, batch norm over plain", "bolder", True, above=5, grid=EDGE),),
        revision="As the claim before. The ratio was then 10 in every run, because the rates lay "
        "a factor of 3 apart; now the largest is searched between them, on the same seeds.",
    ),
    Claim(
        "learning_rates_needed",
        "Without normalization learning rates must be at most 1e-4; with it 0.001-0.1 work.",
        SPEED,
        (
            Figure("largest rate without batch norm", "plain rate", True, below=1e-4, grid=EDGE),
            Figure(
                "of 0.001, 0.01 and 0.1, those that work with it", "small", unit="%", above=0.99
            ),
            Figure("largest rate", "rate", log=True, grid=EDGE),
        ),
        revision="Run again on new seeds, those of the other claims. It counted the runs in which "
        "plain learns above 1e-4; now their largest rate is measured.",
    ),
    Claim(
        "prevents_vanishing_and_exploding",
        "Batch norm prevents vanishing and exploding gradients.",
        Experiment(
            gradients_in_depth,
            "ReLU networks on the digits, at initialization; gradient with respect to the first "
            "hidden layer over that to the last.",
        ),
        (
            Figure("gradient, 10 layers", "10", True, between=(0.01, 100), when="10 layers"),
            Figure("gradient, 30 layers", "30", True, between=(0.01, 100), when="30 layers"),
            Figure("gradient, 30 layers without batch norm", "plain", True),
        ),
        {"Yang et al. 2019": "arXiv:1902.08129"},
    ),
    Claim(
        "initialization_matters_less",
        "Batch norm makes initialization matter less.",
        Experiment(
            initialization,
            "Digits, three hidden layers of 32, learning rate 0.3, 100 steps; He weights, those of "
            "the hidden layers times 1/64 to 64. A factor works if it loses less than 10 points "
            "to the best factor of the same network.",
            tuple(range(10, 15)),
        ),
        (
            Figure("factors that work, batch norm minus plain", "more", above=0),
            Figure("accuracy lost with batch norm", "batch", unit="pts", below=0.1),
            Figure("accuracy lost without", "plain", unit="pts"),
            Figure("factors that work, of 7", "works"),
        ),
        {"Hoffer et al. 2018": "arXiv:1803.01814"},
        "The first criterion compared best with worst accuracy, which cannot fall below guessing "
        "and so hid how many scales work. The second run scaled the output layer, too, which batch "
        "norm does not normalize. Each time on new seeds. The third asked whether all seven "
        "factors work; now each is a case of its own, on the same runs.",
    ),
    Claim(
        "small_batches",
        "Batch norm is unreliable with small batches: 16 works, below 4 must be avoided.",
        Experiment(
            small_batches,
            "Digits, 120 steps at rate 0.05; test accuracy in evaluation mode, batch norm minus "
            "plain with the same batches. Three hidden layers of 32, or one convolution, where 36 "
            f"positions share a statistic. With batches of 2 a run is the median of {NETWORKS} "
            "networks.",
            tuple(range(40, 45)),
        ),
        (
            Figure("runs that lose over 10 points, batches of 2", "loses", unit="%", above=0.99),
            Figure("gain, batches of 2", "convolution", unit="pts", below=0),
            Figure("gain, three linear layers", "large", unit="pts", above=-0.01, when=""),
            Figure("gain, three linear layers", "middle", unit="pts"),
        ),
        {"Wu & He 2018": "arXiv:1803.08494", "Wu & Johnson 2021": "arXiv:2105.07576"},
        "The first run, at rate 0.1, compared accuracies at batches of 2, too. They differ between "
        "CPUs: runs are counted there, and the rate is halved. In the second, of one network a "
        "run, another order of the same sums turned a loss of 24 points into one of 4. Each time "
        "on new seeds. The verdict then called the convolution rescued, which its interval does "
        "not show.",
    ),
    Claim(
        "wrong_mode",
        "Batch norm differs between training and inference; forgetting the mode is a bug.",
        Experiment(wrong_mode, f"{SETTING}, 120 steps at rate 0.3; accuracy on the test set."),
        (
            Figure("accuracy lost by staying in training mode", "lost", unit="pts", above=0.05),
            Figure("accuracy in training mode", "wrong", unit="%"),
            Figure("accuracy in evaluation mode", "right", unit="%"),
        ),
        revision="The loss is now taken per seed, on the same runs; before, two intervals had to "
        "lie apart.",
    ),
    Claim(
        "covariate_shift",
        "Internal covariate shift is the root cause of slow training.",
        Experiment(
            covariate_shift,
            f"{SETTING}; steps to 90 % test accuracy at the best rate (0.1, 0.3 or 1). The shift: "
            "how far a step moves the mean of a unit, in its standard deviation. The noise: a "
            "random scale and shift of each unit after batch norm, anew in each step.",
            SEEDS,
        ),
        (
            Figure("shift, with noise over plain", "noisy shift", True, above=1, premise=True),
            Figure("steps, with noise over plain", "noisy steps", log=True, above=1),
            Figure("shift per step", "shift"),
            Figure("steps", "steps"),
        ),
        {"Ioffe & Szegedy 2015": "arXiv:1502.03167", "Santurkar et al. 2018": "arXiv:1805.11604"},
        "The first wording did not say how the noise is drawn. The same experiment on new seeds: "
        "five left open which shifts more, plain or with noise; now ten. Since then both are "
        "compared per seed, on the same runs.",
    ),
]
