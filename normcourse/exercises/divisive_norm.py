"""Exercises on divisive normalization: both forms, LRN's pool as a matrix, and a backward."""

import numpy as np

from normcourse.exercises.family import mistake, on_channels
from normcourse.exercises.record import Coefficients, Exercise, Hint, Probe, Steps

__all__ = ["EXERCISES"]

TINY = 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10  # what is added lest something be 0

# ---- inputs ------------------------------------------------------------------------------------


def apart(rng, shape, low, high):
    """Evenly spaced numbers in random order: no two are nearly alike."""
    numbers = np.linspace(low, high, int(np.prod(shape)))
    return rng.permutation(numbers).reshape(shape).astype(np.float32)


def signals(rng, shape):
    """Of either sign, a third of them negative, with one above and one below 0 that are large."""
    x = apart(rng, shape, 0.4, 2)
    flat, order = x.reshape(-1), rng.permutation(x.size)
    flat[order[: x.size // 3]] *= -1
    return x


def a_sample_of_silence(x):
    """Its drives are all 0 once they are rectified."""
    x[1] = -abs(x[1])
    return x


def channels_last(x):
    """The same numbers, not contiguous."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def pool_of(rng, c):
    return apart(rng, (c, c), 0.1, 1.5)


# ---- the pool ----------------------------------------------------------------------------------


def along_channels(matrix, a):
    """The sums over j of w_ij a_j, j along axis 1."""
    return np.einsum("ij,nj...->ni...", matrix, a)


def summed(matrix, a, axes, average=False):
    pooled = along_channels(matrix, a)
    total = pooled.mean(axes, keepdims=True) if average else pooled.sum(axes, keepdims=True)
    return np.broadcast_to(total, pooled.shape)


def behind_channels(a):
    return tuple(range(2, a.ndim))


def off_diagonal(matrix):
    return matrix * (1 - np.eye(len(matrix)))


SUM = "The sum runs over j, the channels of one position of one sample"
# Alike in both forms and in the backward. All axes of the inputs have one length: a wrong one shows
# in the numbers, not in an exception.
POOL_MISTAKES = (
    mistake(
        "pool transposed",
        "Your pool of channel i has the weights wⱼᵢ, those of column i. Row i is the pool of "
        "channel i: the sum of wᵢⱼ over j. On (N, C) that is powers @ weight.T.",
        matrix=lambda q: q.weight.T,
    ),
    mistake(
        "channel left out of its own pool",
        "Your sum leaves out j = i. The pool of a channel holds the channel itself, with its "
        "weight wᵢᵢ: that is why the response saturates.",
        matrix=lambda q: off_diagonal(q.weight),
    ),
    mistake(
        "channel counted once more",
        "You add the channel's own power to its pool. It is there already, with the weight wᵢᵢ.",
        matrix=lambda q: q.weight + np.eye(len(q.weight)),
    ),
    mistake(
        "pool of the channel alone",
        "Your sum has only j = i. It runs over all channels.",
        matrix=lambda q: q.weight * np.eye(len(q.weight)),
    ),
    *(
        mistake(
            "weights ignored",
            "Your pool does not depend on the weights. Each wᵢⱼ says how much channel j counts in "
            "the pool of channel i.",
            matrix=matrix,
        )
        for matrix in (
            lambda q: np.ones_like(q.weight),
            lambda q: np.full_like(q.weight, 1 / len(q.weight)),
        )
    ),
    mistake(
        "mean instead of the sum",
        "You divide the sum by the number of channels. The weights say how much each counts; the "
        "pool is their plain sum.",
        matrix=lambda q: q.weight / len(q.weight),
    ),
    mistake(
        "weights made to sum to 1",
        "You divide by the sum of the weights. The pool is the plain sum.",
        matrix=lambda q: q.weight / q.weight.sum(1, keepdims=True),
    ),
    mistake(
        "weights squared",
        "You square the weights, too, such as in (w D)ⁿ. The power belongs to the channel alone.",
        matrix=lambda q: q.weight**2,
    ),
    mistake(
        "one weight for each channel that is pooled",
        "You multiply by the sum of a column and do not keep i and j apart. Each channel has a "
        "pool of its own.",
        matrix=lambda q: np.broadcast_to(q.weight.sum(0), q.weight.shape),
    ),
    mistake(
        "one weight for each pool",
        "You multiply the plain sum over the channels by the sum of a row. Each channel counts "
        "with a weight of its own.",
        matrix=lambda q: np.broadcast_to(q.weight.sum(1, keepdims=True), q.weight.shape),
    ),
    mistake(
        "own power times the sum of the weights",
        "You multiply the channel's own power by the sum of its row. Each wᵢⱼ goes with the power "
        "of channel j.",
        matrix=lambda q: np.diag(q.weight.sum(1)),
    ),
    mistake(
        "weights multiplied number by number",
        "You multiply the weights with the array number by number and sum then. NumPy lines them "
        "up from the last axis: it is a product of a matrix and the vector of the channels.",
        times=lambda q: (
            lambda matrix, a: np.broadcast_to((matrix * a).sum(1, keepdims=True), a.shape)
        ),
    ),
    mistake(
        "largest instead of the sum",
        "You take the largest of the weighted powers. The pool is their sum.",
        times=lambda q: lambda matrix, a: np.einsum("ij,nj...->nij...", matrix, a).max(2),
    ),
    mistake(
        "pooled along the last axis",
        f"Your sum runs along the last axis, as a @ weight.T does. {SUM}: they lie on axis 1.",
        times=lambda q: lambda matrix, a: np.einsum("ij,...j->...i", matrix, a),
    ),
    mistake(
        "pooled along the axis before the last",
        f"Your sum runs along the last axis but one, as weight @ a does. {SUM}: they lie on "
        "axis 1. With (N, C, positions) it would be right.",
        times=lambda q: np.matmul,
    ),
    mistake(
        "pooled along the samples",
        f"Your sum runs along axis 0, as np.tensordot(weight, a, 1) does. {SUM}: they lie on "
        "axis 1.",
        times=lambda q: lambda matrix, a: np.tensordot(matrix, a, 1),
    ),
    mistake(
        "samples and channels exchanged",
        "Your pool comes out as (C, N, ...), as np.tensordot(weight, a, (1, 1)) makes it. Move its "
        "first axis back to axis 1.",
        times=lambda q: lambda matrix, a: np.tensordot(matrix, a, (1, 1)),
    ),
    mistake(
        "pooled over the positions, too",
        "Your pool also sums over all positions. Each position of each sample has its own.",
        times=lambda q: lambda matrix, a: summed(matrix, a, behind_channels(a)),
    ),
    mistake(
        "pooled over the samples, too",
        "Your pool also sums over the samples. Each position of each sample has its own.",
        times=lambda q: lambda matrix, a: summed(matrix, a, 0),
    ),
    mistake(
        "pooled over samples and positions, too",
        "Your pool also sums over samples and positions. Each position of each sample has its own.",
        times=lambda q: lambda matrix, a: summed(matrix, a, (0, *behind_channels(a))),
    ),
    mistake(
        "averaged over the positions",
        "Your pool is a mean over positions. Each position of each sample has its own.",
        times=lambda q: lambda matrix, a: summed(matrix, a, behind_channels(a), True),
    ),
)
POOL_HINT = Hint(
    "matrix times pooled",
    "Row i of the weights is the pool of channel i. On (N, C) the pool is a @ weight.T; for any "
    'number of axes np.einsum("ij,nj...->ni...", weight, a), or weight @ a where a is '
    "(N, C, positions).",
)


def own_number_added(what):
    """Where the inputs are weak, it is no longer small."""
    return tuple(
        mistake(
            "a number of its own added",
            f"You add a small number lest you divide by 0. {what} does that; and beside weak "
            "inputs your number is not small.",
            d=lambda q, tiny=tiny: q.floor + q.pooled + tiny,
        )
        for tiny in TINY
    )


def on_last_axis(p, x):
    """What NumPy makes of a vector beside x: it meets the last axis."""
    return p.reshape((1,) * (x.ndim - 1) + (-1,))


PLACE_HINT = Hint(
    "floor gamma",
    "A vector (C,) meets the last axis by itself. reshape((1, -1) + (1,) * (x.ndim - 2)) moves it "
    "to axis 1, where the channels are.",
)

# ---- the canonical form ------------------------------------------------------------------------


def rectified(a):
    return np.maximum(a, 0)


def given(rng, x, n, sigma=(0.6, 1.4)):
    """With a pool, sigma and gain for the channels of x."""
    c = x.shape[1]
    return x, pool_of(rng, c), apart(rng, c, *sigma), apart(rng, c, 0.5, 2), n


def canonical_by_hand():
    x, weight = np.float32([[1, 2], [4, -1]]), np.float32([[1, 1], [0, 2]])
    return x, weight, np.float32([2, 1]), np.float32([9, 9]), 2.0


POWER_MISTAKES = (
    *(
        mistake(
            "not rectified",
            "You take the power of x itself. Of a negative drive it may be NaN, or positive: "
            "rectify first, D = max(x, 0).",
            drive=drive,
        )
        for drive in (lambda q: q.x, lambda q: np.where(q.x < 0, np.nan, q.x))
    ),
    mistake(
        "absolute value instead of rectifying",
        "You take |x|. A neuron whose drive is negative is silent: D = max(x, 0).",
        drive=lambda q: abs(q.x),
    ),
    mistake(
        "rectified after the power",
        "You take the power first and rectify then. An even power has made the negative drives "
        "positive before, and another may be NaN.",
        power=lambda q: rectified(q.x**q.n),
    ),
    *(
        mistake(
            "pool not rectified",
            "Your numerator is rectified, your pool is not: it holds powers of negative drives. "
            "Take Dⁿ in both places.",
            members=members,
        )
        for members in (lambda q: q.x**q.n, lambda q: abs(q.x) ** q.n)
    ),
    *(
        mistake(
            "only the pool rectified",
            "Your pool is rectified, your numerator is not. Take Dⁿ in both places.",
            top=top,
        )
        for top in (
            lambda q: q.x**q.n,
            lambda q: abs(q.x) ** q.n,
            lambda q: np.sign(q.x) * abs(q.x) ** q.n,
        )
    ),
    mistake(
        "sign put back",
        "You divide |x|ⁿ and give the result the sign of x. Here a negative drive gives 0: "
        "D = max(x, 0).",
        power=lambda q: abs(q.x) ** q.n,
        top=lambda q: np.sign(q.x) * abs(q.x) ** q.n,
    ),
    mistake(
        "exponent 2 whatever n",
        "You square everything. The exponent is the parameter n.",
        n=lambda q: 2.0,
    ),
    mistake(
        "exponent forgotten",
        "You take no power: your n is 1. D and σ are both raised to n.",
        n=lambda q: 1.0,
    ),
    mistake(
        "exponent forgotten in the numerator",
        "Your numerator is D. It is Dⁿ, as in the pool.",
        top=lambda q: q.drive,
    ),
    mistake(
        "exponent forgotten in the pool",
        "Your pool holds the drives. It holds their powers, Dⁿ.",
        members=lambda q: q.drive,
    ),
    mistake(
        "squares in the pool whatever n",
        "Your pool holds squares. It holds the powers Dⁿ.",
        members=lambda q: q.drive**2,
    ),
    mistake(
        "power of the sum",
        "You sum the drives and raise the sum to n. Raise each drive to n, then sum.",
        pooled=lambda q: q.times(q.matrix, q.drive) ** q.n,
    ),
    mistake(
        "power of weight times drive",
        "You raise w D to n. The power belongs to the drive alone: w Dⁿ.",
        pooled=lambda q: q.times(q.matrix**q.n, q.members),
    ),
)

SIGMA_MISTAKES = (
    mistake(
        "sigma not raised to n",
        "You add σ itself. It has the unit of the drive, the pool that of its n-th power: add σⁿ.",
        floor=lambda q: on_channels(q.sigma, q.x),
    ),
    mistake(
        "sigma squared whatever n",
        "You add σ². Add σⁿ.",
        floor=lambda q: on_channels(q.sigma, q.x) ** 2,
    ),
    mistake(
        "root of sigma",
        "You add the n-th root of σ. Add its n-th power.",
        floor=lambda q: on_channels(q.sigma, q.x) ** (1 / q.n),
    ),
    *(
        mistake(
            "sigma forgotten",
            "Your denominator is the pool alone: a weak input is blown up as if it were a strong "
            "one, and silence is 0/0. Add σⁿ.",
            d=d,
        )
        for d in (
            lambda q: q.pooled,
            lambda q: np.where(q.pooled == 0, 1, q.pooled),
            *(lambda q, tiny=tiny: q.pooled + tiny for tiny in TINY),
        )
    ),
    mistake(
        "one instead of sigma",
        "You add 1. Add σⁿ.",
        d=lambda q: 1 + q.pooled,
    ),
    mistake(
        "sigma as a lower bound",
        "You take the larger of σⁿ and the pool. The formula adds them.",
        d=lambda q: np.maximum(q.floor, q.pooled),
    ),
    mistake(
        "sigma subtracted",
        "You subtract σⁿ. The formula adds it.",
        d=lambda q: q.pooled - q.floor,
    ),
    mistake(
        "sigma as a threshold",
        "You subtract σ from the drive before you rectify. σ stands below only: it is the drive "
        "of half the response, no threshold.",
        drive=lambda q: rectified(q.x - on_channels(q.sigma, q.x)),
    ),
    mistake(
        "sigma inside the pool",
        "Your σⁿ is weighed and summed as the powers of the drives are. It stands outside of the "
        "sum, once.",
        d=lambda q: q.times(q.matrix, q.members + q.floor),
    ),
    mistake(
        "sigma plus the sum, then the power",
        "You compute (σ + Σ w D)ⁿ. Raise each to n, then add: σⁿ + Σ w Dⁿ.",
        d=lambda q: (on_channels(q.sigma, q.x) + q.times(q.matrix, q.drive)) ** q.n,
    ),
    mistake(
        "power of σ plus the pool",
        "You raise σ + Σ w Dⁿ to n. The powers stand inside: σⁿ + Σ w Dⁿ.",
        d=lambda q: (on_channels(q.sigma, q.x) + q.pooled) ** q.n,
    ),
    mistake(
        "root of the denominator",
        "You take the n-th root below. That would give D over a norm; here Dⁿ is divided by "
        "σⁿ + Σ w Dⁿ itself.",
        d=lambda q: (q.floor + q.pooled) ** (1 / q.n),
    ),
    mistake(
        "square root of the denominator",
        "You take a square root below. There is none in this form.",
        d=lambda q: np.sqrt(q.floor + q.pooled),
    ),
    mistake(
        "sigma on the last axis",
        "Your σ meets the last axis. It belongs to the channels, axis 1.",
        floor=lambda q: on_last_axis(q.sigma, q.x) ** q.n,
    ),
    mistake(
        "sigma on the samples",
        "Your σ meets axis 0. It belongs to the channels, axis 1.",
        floor=lambda q: q.sigma.reshape((-1,) + (1,) * (q.x.ndim - 1)) ** q.n,
    ),
    mistake(
        "one sigma for all channels",
        "You use the mean of σ. Each channel has its own.",
        floor=lambda q: q.sigma.mean() ** q.n,
    ),
    mistake(
        "pool squared after the sum",
        "You square the pool, σ² + (Σ w Dⁿ)². Each drive is raised to n before the sum, and no "
        "more after it.",
        pooled=lambda q: q.times(q.matrix, q.members) ** 2,
    ),
    *own_number_added("σⁿ"),
)

GAIN_MISTAKES = (
    mistake(
        "gain raised to n",
        "You raise γ D to n. The gain γ stands in front: it is the response that is never "
        "exceeded where w = 1.",
        top=lambda q: (q.gamma * q.drive) ** q.n,
        y=lambda q: q.top / q.d,
    ),
    mistake(
        "gain in the drive",
        "You multiply the drive by γ before the division, so that it is in the pool, too. γ "
        "scales the response.",
        drive=lambda q: rectified(q.x) * on_channels(q.gain, q.x),
        y=lambda q: q.top / q.d,
    ),
    mistake(
        "gain in the pool, too",
        "Your pool holds γ Dⁿ. γ scales the response only.",
        members=lambda q: q.gamma * q.power,
    ),
    mistake(
        "gain in the drive, and in front",
        "You multiply by γ twice: in the drive and in front. It scales the response only.",
        drive=lambda q: rectified(q.x) * on_channels(q.gain, q.x),
    ),
    mistake("gain forgotten", "You leave out γ. Multiply by it.", y=lambda q: q.top / q.d),
    mistake(
        "gain added", "You add γ. The formula multiplies by it.", y=lambda q: q.gamma + q.top / q.d
    ),
    mistake(
        "divided by the gain",
        "You divide by γ. The formula multiplies by it.",
        y=lambda q: q.top / (q.d * q.gamma),
    ),
    mistake(
        "gain on the last axis",
        "Your γ meets the last axis. It belongs to the channels, axis 1.",
        gamma=lambda q: on_last_axis(q.gain, q.x),
    ),
    mistake(
        "gain on the samples",
        "Your γ meets axis 0. It belongs to the channels, axis 1.",
        gamma=lambda q: q.gain.reshape((-1,) + (1,) * (q.x.ndim - 1)),
    ),
    mistake(
        "sigma and gain on the last axis",
        "Your σ and γ meet the last axis, as NumPy lines up a vector. They belong to the channels, "
        "axis 1.",
        floor=lambda q: on_last_axis(q.sigma, q.x) ** q.n,
        gamma=lambda q: on_last_axis(q.gain, q.x),
    ),
    mistake(
        "sigma and gain exchanged",
        "You take γ for σ and σ for γ. σ stands below, γ in front.",
        floor=lambda q: on_channels(q.gain, q.x) ** q.n,
        gamma=lambda q: on_channels(q.sigma, q.x),
    ),
    mistake(
        "not divided",
        "You return γ Dⁿ. Divide by σⁿ and the pool.",
        y=lambda q: q.gamma * q.top,
    ),
    mistake(
        "multiplied by the pool",
        "You multiply by σⁿ + Σ w Dⁿ. Divide.",
        y=lambda q: q.gamma * q.top * q.d,
    ),
    mistake(
        "only the power divided by sigma",
        "You compute Dⁿ/σⁿ + Σ w Dⁿ. Put the whole denominator in parentheses.",
        y=lambda q: q.gamma * (q.top / q.floor + q.pooled),
    ),
    mistake(
        "power of the ratio",
        "You raise the denominator to n, too, such as in (D/d)ⁿ. Its powers stand inside: "
        "σⁿ + Σ w Dⁿ.",
        y=lambda q: q.gamma * (q.drive / q.d) ** q.n,
    ),
    mistake(
        "result rectified only",
        "You divide powers of x as it is and rectify the result. The pool then holds negative "
        "drives: rectify first.",
        power=lambda q: q.x**q.n,
        y=lambda q: rectified(q.gamma * q.top / q.d),
    ),
)

DIVISIVE_NORM = Exercise(
    name="divisive_norm",
    task="Rectify the input, raise it to exponent, and divide each channel by sigma to the same "
    "power plus the pool: the weighted sum of all channels' powers, row i of weight for channel i. "
    "Then multiply by gain.",
    returns=("y",),
    reference=Steps(
        "x weight sigma gain exponent",
        "y",
        n=lambda q: q.exponent,
        gamma=lambda q: on_channels(q.gain, q.x),
        drive=lambda q: rectified(q.x),
        power=lambda q: q.drive**q.n,
        top=lambda q: q.power,
        members=lambda q: q.power,
        matrix=lambda q: q.weight,
        times=lambda q: along_channels,
        pooled=lambda q: q.times(q.matrix, q.members),
        floor=lambda q: on_channels(q.sigma, q.x) ** q.n,
        d=lambda q: q.floor + q.pooled,
        y=lambda q: q.gamma * q.top / q.d,
    ),
    probes=(
        Probe(
            "numbers for the hand: two channels, n = 2",
            lambda rng: canonical_by_hand(),
            by_hand="the first sample's D² = 1, 4; with σ² = 4, 1 both denominators are 9, so "
            "y = 1, 4. In the second the drive −1 is silent: 9 · 16/(4 + 16) = 7.2, and 0",
        ),
        Probe(
            "rows, one of them silent, n = 3",
            lambda rng: given(rng, a_sample_of_silence(signals(rng, (3, 3))), 3.0),
        ),
        Probe("a sequence (N, C, L), n = 2", lambda rng: given(rng, signals(rng, (3, 3, 3)), 2.0)),
        Probe(
            "channels-last images (N, C, H, W), n = 1.5",
            lambda rng: given(rng, channels_last(signals(rng, (3, 3, 3, 3))), 1.5),
        ),
        Probe(
            "weak drives and a small sigma",
            lambda rng: given(rng, signals(rng, (3, 3)) * np.float32(3e-5), 2.0, (2e-5, 4e-5)),
        ),
    ),
    mistakes=(*POOL_MISTAKES, *POWER_MISTAKES, *SIGMA_MISTAKES, *GAIN_MISTAKES),
    hints=(
        Hint(
            "drive power top members n",
            "First D = max(x, 0), then its power: P = D**n. The same P stands above and in the "
            "pool. On paper, with D = 1, 2 and n = 2, it is 1, 4.",
        ),
        POOL_HINT,
        Hint(
            "floor d",
            "Below stands σⁿ + pool: σ is raised to n as the drives are, so that both have the "
            "same unit. There is no root, and nothing else is added.",
        ),
        PLACE_HINT,
    ),
)

# ---- the signed form ---------------------------------------------------------------------------


def signed(rng, x, power, bias=(0.4, 1.6)):
    """With a pool and a bias for the channels of x."""
    c = x.shape[1]
    return x, pool_of(rng, c), apart(rng, c, *bias), power


def signed_by_hand():
    x, weight = np.float32([[1, 2], [-1, 0]]), np.float32([[2, 3], [0, 2]])
    return x, weight, np.float32([2, 1]), 0.5


SIGNED = (
    Probe("a sequence (N, C, L), p = ½", lambda rng: signed(rng, signals(rng, (3, 3, 3)), 0.5)),
    Probe(
        "channels-last images (N, C, H, W), p = ¾",
        lambda rng: signed(rng, channels_last(signals(rng, (3, 3, 3, 3))), 0.75),
    ),
    Probe(
        "rows of weak inputs and a small bias, p = 1",
        lambda rng: signed(rng, signals(rng, (3, 3)) * np.float32(3e-5), 1.0, (0.4e-9, 1.6e-9)),
    ),
)

SQUARE_MISTAKES = (
    mistake(
        "squares forgotten",
        "Your pool sums x itself, where negative numbers take away. It sums x².",
        square=lambda q: q.x,
    ),
    mistake(
        "absolute values instead of squares",
        "Your pool sums |x|. It sums x².",
        square=lambda q: abs(q.x),
    ),
    mistake(
        "pool rectified",
        "You rectify x before it is squared. In this form negative numbers count, too: x².",
        square=lambda q: rectified(q.x) ** 2,
    ),
    mistake(
        "power of each member of the pool",
        "Your pool sums |x|²ᵖ. It sums x², and the power comes after the sum.",
        square=lambda q: abs(q.x) ** (2 * q.p),
    ),
    mistake(
        "square of the sum",
        "You sum first and square the sum. It is the sum of the squares.",
        pooled=lambda q: q.times(q.matrix, q.x) ** 2,
    ),
    mistake(
        "mean subtracted in the pool",
        "You subtract the mean of the channels in the pool. The formula has x² as it is.",
        square=lambda q: (q.x - q.x.mean(1, keepdims=True)) ** 2,
    ),
)
BIAS_MISTAKES = (
    mistake(
        "bias squared",
        "You add b². The bias has the unit of x² already: add b.",
        floor=lambda q: on_channels(q.bias, q.x) ** 2,
    ),
    mistake(
        "root of the bias",
        "You add √b. Add b.",
        floor=lambda q: np.sqrt(on_channels(q.bias, q.x)),
    ),
    *(
        mistake(
            "bias forgotten",
            "You divide by a power of the pool alone. Add b to it: it keeps a weak input weak.",
            d=d,
        )
        for d in (
            lambda q: q.pooled,
            lambda q: np.where(q.pooled == 0, 1, q.pooled),
            *(lambda q, tiny=tiny: q.pooled + tiny for tiny in TINY),
        )
    ),
    mistake("one instead of the bias", "You add 1. Add b.", d=lambda q: 1 + q.pooled),
    mistake(
        "bias as a lower bound",
        "You take the larger of b and the pool. The formula adds them.",
        d=lambda q: np.maximum(q.floor, q.pooled),
    ),
    mistake(
        "bias subtracted",
        "You subtract b. The formula adds it.",
        d=lambda q: q.pooled - q.floor,
    ),
    mistake(
        "bias multiplied",
        "You multiply the pool by b. The formula adds it.",
        d=lambda q: q.floor * q.pooled,
    ),
    mistake(
        "pool divided by the bias",
        "Your denominator is 1 + pool/b: you have taken b out and dropped its power. It is "
        "b + pool.",
        d=lambda q: 1 + q.pooled / q.floor,
    ),
    mistake(
        "bias inside the pool",
        "You add b to each square before they are weighed and summed. It is added once, to the "
        "sum.",
        d=lambda q: q.times(q.matrix, q.square + q.floor),
    ),
    mistake(
        "bias on the last axis",
        "Your b meets the last axis. It belongs to the channels, axis 1.",
        floor=lambda q: on_last_axis(q.bias, q.x),
    ),
    mistake(
        "bias on the samples",
        "Your b meets axis 0. It belongs to the channels, axis 1.",
        floor=lambda q: q.bias.reshape((-1,) + (1,) * (q.x.ndim - 1)),
    ),
    mistake(
        "one bias for all channels",
        "You use the mean of b. Each channel has its own.",
        floor=lambda q: q.bias.mean(),
    ),
    *own_number_added("b"),
)
ROOT_MISTAKES = (
    mistake(
        "power forgotten",
        "You divide by b + Σ w x² itself. Divide by its p-th power.",
        p=lambda q: 1.0,
    ),
    mistake(
        "square root whatever p",
        "You take a square root. The power is the parameter p.",
        p=lambda q: 0.5,
    ),
    mistake(
        "root taken twice",
        "You take a square root and the p-th power. Only the power: p = ½ is the root.",
        p=lambda q: q.power / 2,
    ),
    mistake(
        "power taken twice",
        "Your power is 2p, as of a root that is raised to p once more squared. It is p.",
        p=lambda q: 2 * q.power,
    ),
    mistake(
        "p-th root",
        "You take the p-th root, the power 1/p. It is the p-th power.",
        p=lambda q: 1 / q.power,
    ),
    mistake(
        "power of the power",
        "You take the power p twice: that is p².",
        p=lambda q: q.power**2,
    ),
    mistake(
        "1 - p instead of p",
        "Your power is 1 - p. It is p.",
        p=lambda q: 1 - q.power,
    ),
)

DENOMINATOR_STEPS = {  # the steps to the denominator, forward and backward
    "p": lambda q: q.power,
    "square": lambda q: q.x**2,
    "matrix": lambda q: q.weight,
    "times": lambda q: along_channels,
    "pooled": lambda q: q.times(q.matrix, q.square),
    "floor": lambda q: on_channels(q.bias, q.x),
    "d": lambda q: q.floor + q.pooled,
}
SIGNED_DIVISIVE_NORM = Exercise(
    name="signed_divisive_norm",
    task="Divide each channel by a power of its bias plus its pool, the weighted sum of all "
    "channels' squares, row i of weight for channel i. Signs stay.",
    returns=("y",),
    reference=Steps(
        "x weight bias power",
        "y",
        **DENOMINATOR_STEPS,
        root=lambda q: q.d**q.p,
        top=lambda q: q.x,
        y=lambda q: q.top / q.root,
    ),
    probes=(
        Probe(
            "numbers for the hand: two channels, p = ½",
            lambda rng: signed_by_hand(),
            by_hand="the first sample's squares are 1, 4: below stand √(2 + 2 + 12) = 4 and "
            "√(1 + 8) = 3; in the second √(2 + 2) = 2 and 1",
        ),
        *SIGNED,
    ),
    mistakes=(
        *POOL_MISTAKES,
        *SQUARE_MISTAKES,
        *BIAS_MISTAKES,
        *ROOT_MISTAKES,
        mistake(
            "bias outside the power",
            "You raise the pool to p and add b then. The bias is added first: (b + Σ w x²)ᵖ.",
            root=lambda q: q.floor + q.pooled**q.p,
        ),
        mistake(
            "bias beside the root of the pool",
            "You add b to the root of the pool, and raise the sum. b is added to the pool itself: "
            "(b + Σ w x²)ᵖ.",
            root=lambda q: (q.floor + np.sqrt(q.pooled)) ** (2 * q.p),
        ),
        mistake(
            "power of bias and pool apart",
            "You compute bᵖ + (Σ w x²)ᵖ. Add first, then raise to p.",
            root=lambda q: q.floor**q.p + q.pooled**q.p,
        ),
        mistake(
            "power of each square",
            "You raise each square to p and sum then. Sum first, add b, then raise to p.",
            pooled=lambda q: q.times(q.matrix, q.square**q.p),
            root=lambda q: q.floor + q.pooled,
        ),
        mistake(
            "rectified",
            "You rectify x, as in the canonical form. In this one signs stay.",
            square=lambda q: rectified(q.x) ** 2,
            top=lambda q: rectified(q.x),
        ),
        mistake(
            "numerator rectified",
            "Your negative numbers come out as 0. In this form signs stay.",
            top=lambda q: rectified(q.x),
        ),
        mistake(
            "sign lost",
            "Your result is positive everywhere. x itself stands above, with its sign.",
            top=lambda q: abs(q.x),
        ),
        mistake(
            "square above",
            "You divide x², as in the canonical form with n = 2. Here x itself stands above.",
            top=lambda q: q.x**2,
        ),
        mistake(
            "signed square above",
            "You divide x |x|. Here x itself stands above.",
            top=lambda q: q.x * abs(q.x),
        ),
        mistake(
            "mean subtracted",
            "You subtract the mean of the channels first, as Ren et al. do. The formula here has x "
            "as it is.",
            square=lambda q: (q.x - q.x.mean(1, keepdims=True)) ** 2,
            top=lambda q: q.x - q.x.mean(1, keepdims=True),
        ),
        mistake(
            "not divided",
            "You return x. Divide by (b + Σ w x²)ᵖ.",
            root=lambda q: np.ones_like(q.d),
        ),
        mistake(
            "multiplied instead of divided",
            "You multiply by (b + Σ w x²)ᵖ, as GDN's inverse does. Divide. A power that is "
            "negative already needs no division.",
            y=lambda q: q.top * q.root,
        ),
        mistake(
            "bias added after the division",
            "You divide by (Σ w x²)ᵖ and add b to the result. b belongs below, to the pool.",
            y=lambda q: q.top / q.pooled**q.p + q.floor,
        ),
        mistake(
            "bias added below and after the division",
            "You add b below and to the result. It belongs below only.",
            y=lambda q: q.top / q.root + q.floor,
        ),
        mistake(
            "power of the ratio",
            "You raise x/(b + Σ w x²) to p. The power belongs to the denominator alone.",
            y=lambda q: np.sign(q.x) * abs(q.top / q.d) ** q.p,
        ),
        mistake(
            "one added below",
            "You add 1 to the root. Only b is added, under the power.",
            root=lambda q: 1 + q.d**q.p,
        ),
    ),
    hints=(
        Hint(
            "square pooled floor d p root",
            "Four steps: x², the pool (a weighted sum over channels), b + pool, its p-th power. "
            "On paper, with x = 1, 2, the weights 2, 3 and b = 2, it is 16, and its root 4.",
        ),
        POOL_HINT,
        Hint(
            "top y root",
            "x itself stands above, whatever its sign. A negative drive is not rectified here: it "
            "is the squares that are pooled.",
        ),
        PLACE_HINT,
    ),
)

# ---- LRN's pool --------------------------------------------------------------------------------


def window(below, above):
    """q -> 1 where j is one of ``below(size)`` channels before i to ``above(size)`` behind it."""
    return lambda q: (q.ahead >= -below(q.size)) & (q.ahead <= above(q.size))


def around(c, below, above):
    """How often a window that goes on at the other end meets each channel."""
    band = np.zeros((c, c))
    for i in range(c):
        for j in range(i - below, i + above + 1):
            band[i, j % c] += 1
    return band


def indexed(c, below, above):
    """A window whose negative indices Python counts from the end."""
    band = np.zeros((c, c))
    for i in range(c):
        for j in range(i - below, i + above + 1):
            if -c <= j < c:
                band[i, j] = 1
    return band


def sliced(c, below, above):
    """Rows filled by a slice whose start may be negative."""
    band = np.zeros((c, c))
    for i in range(c):
        band[i, i - below : i + above + 1] = 1
    return band


def held(c, below, above, mode):
    """How often each channel is met by a window in an array that is padded in this mode."""
    padded = np.pad(np.arange(c), (below, above), mode=mode)
    rows = [np.bincount(padded[i : i + below + above + 1], minlength=c) for i in range(c)]
    return np.stack(rows).astype(float)


def kept_inside(c, size, below, last):
    """A window of ``size`` that is pushed inward at the ends; it starts at ``last`` at most."""
    band = np.zeros((c, c))
    for i in range(c):
        first = min(max(i - below, 0), last)
        band[i, first : first + size] = 1
    return band


def lower(size):
    return size // 2


def upper(size):
    return (size - 1) // 2


EVEN = (
    "An odd size reaches as far up as down. An even one has no middle: here, as in torch, it "
    "reaches one channel further down, from i - size // 2 to i + (size - 1) // 2."
)
ENDS = "What lies beyond the first and the last channel counts as 0."


def band_mistake(name, explanation, below, above):
    return mistake(name, explanation, band=window(below, above))


BAND_MISTAKES = (
    band_mistake(
        "even sizes reach further up",
        f"Your band of an even size has the odd one out above. {EVEN}",
        upper,
        lower,
    ),
    band_mistake(
        "even sizes one too wide",
        f"Your band of an even size has size + 1 channels: size // 2 on both sides. {EVEN}",
        lower,
        lower,
    ),
    band_mistake(
        "even sizes one too narrow",
        f"Your band of an even size has size - 1 channels. {EVEN}",
        upper,
        upper,
    ),
    band_mistake(
        "last channel of the window left out",
        "Your window ends one channel too early: Python's ranges and slices leave out their end. "
        "It reaches to i + (size - 1) // 2, that channel included.",
        lower,
        lambda size: upper(size) - 1,
    ),
    *(
        band_mistake(
            "window one too narrow on both sides",
            "Your window lacks a channel on either side, such as by |j - i| < size // 2. It "
            "reaches from i - size // 2 to i + (size - 1) // 2, both included.",
            lambda size, side=side: side(size) - 1,
            lambda size, side=side: side(size) - 1,
        )
        for side in (lower, upper)
    ),
    *(
        band_mistake(
            "-size // 2",
            "Your window of an odd size starts one channel too early: Python reads -size // 2 as "
            "(-size) // 2 and rounds down, -3 // 2 is -2. Write -(size // 2).",
            lambda size: (size + 1) // 2,
            above,
        )
        for above in (upper, lower, lambda size: lower(size) - 1)
    ),
    band_mistake(
        "window one too wide above",
        "Your window ends one channel too late. It reaches to i + (size - 1) // 2.",
        lower,
        lambda size: upper(size) + 1,
    ),
    band_mistake(
        "first channel of the window left out",
        "Your window starts one channel too late. It starts at i - size // 2.",
        lambda size: lower(size) - 1,
        upper,
    ),
    band_mistake(
        "size channels on both sides",
        "Your band has size channels on either side. size counts all channels of a pool, i "
        "among them.",
        lambda size: size,
        lambda size: size,
    ),
    band_mistake(
        "size - 1 channels on both sides",
        "Your band has size - 1 channels on either side. size counts all channels of a pool, i "
        "among them.",
        lambda size: size - 1,
        lambda size: size - 1,
    ),
    band_mistake(
        "window starts at its channel",
        "Your window starts at i and looks up only. It lies around i.",
        lambda size: 0,
        lambda size: size - 1,
    ),
    band_mistake(
        "window ends at its channel",
        "Your window ends at i and looks down only. It lies around i.",
        lambda size: size - 1,
        lambda size: 0,
    ),
    band_mistake(
        "half a window above only",
        "Your window has only what lies above i. It lies around i.",
        lambda size: 0,
        upper,
    ),
    band_mistake(
        "half a window below only",
        "Your window has only what lies below i. It lies around i.",
        lower,
        lambda size: 0,
    ),
    mistake(
        "channel left out of its own pool",
        "Your band leaves out j = i. A channel is in its own pool.",
        band=lambda q: window(lower, upper)(q) & (q.ahead != 0),
    ),
    mistake(
        "diagonal only",
        "Your matrix has entries on the diagonal only. The pool holds the neighbours, too.",
        band=lambda q: q.ahead == 0,
    ),
    mistake(
        "all channels",
        "Your pool holds all channels. It holds size neighbours.",
        band=lambda q: q.ahead == q.ahead,
    ),
    mistake(
        "outside of the window",
        "You filled what lies outside of the window. Turn the condition around.",
        band=lambda q: ~window(lower, upper)(q),
    ),
    mistake(
        "blocks instead of a window",
        "Your channels share pools in blocks, as in group normalization. Each has a window of its "
        "own, around itself.",
        band=lambda q: q.i // q.size == q.j // q.size,
    ),
    *(
        mistake(
            "window goes on at the other end",
            f"Your window wraps round: beyond the last channel follows the first. {ENDS}",
            band=band,
        )
        for band in (
            lambda q: around(q.channels, lower(q.size), upper(q.size)),
            lambda q: around(q.channels, lower(q.size), upper(q.size)) > 0,
        )
    ),
    mistake(
        "negative indices wrap round",
        f"At the first channels your index becomes negative, and Python counts it from the end. "
        f"{ENDS} Leave out j < 0: max(0, ...).",
        band=lambda q: indexed(q.channels, lower(q.size), upper(q.size)),
    ),
    mistake(
        "slice with a negative start",
        "At the first channels your slice starts at a negative number, which Python counts from "
        "the end: the slice is empty there. Start at max(0, i - size // 2).",
        band=lambda q: sliced(q.channels, lower(q.size), upper(q.size)),
    ),
    mistake(
        "end channels repeated",
        f"Beyond the ends you repeat the first and the last channel. {ENDS}",
        band=lambda q: held(q.channels, lower(q.size), upper(q.size), "edge"),
    ),
    mistake(
        "window mirrored at the ends",
        f"Beyond the ends your window is mirrored. {ENDS}",
        band=lambda q: held(q.channels, lower(q.size), upper(q.size), "reflect"),
    ),
    *(
        mistake(
            "window pushed inward at the ends",
            f"At an end you push the window inward, so that it keeps its size channels. {ENDS}",
            band=lambda q, last=last: kept_inside(q.channels, q.size, lower(q.size), last(q)),
        )
        for last in (lambda q: max(q.channels - q.size, 0), lambda q: q.channels)
    ),
    mistake(
        "windows only where they fit",
        f"You leave rows empty whose window does not fit. It is cut off at the ends. {ENDS}",
        band=lambda q: (
            window(lower, upper)(q) & (q.i >= lower(q.size)) & (q.i + upper(q.size) < q.channels)
        ),
    ),
    mistake(
        "last of all channels left out",
        "Your windows never reach the last channel: its index is channels - 1, and Python's ranges "
        "and slices leave out their end.",
        band=lambda q: window(lower, upper)(q) & (q.j < q.channels - 1),
    ),
    mistake(
        "last channel of the window left out",
        "Your window ends one channel too early: Python's ranges and slices leave out their end. "
        "It reaches to i + (size - 1) // 2, that channel included.",
        band=lambda q: window(lower, lambda size: upper(size) - 1)(q) & (q.j < q.channels - 1),
    ),
    mistake(
        "weights that fall with the distance",
        "Your weights fall with the distance. All in the window count alike.",
        band=lambda q: np.maximum(0, 1 - abs(q.ahead) / (q.size / 2)),
    ),
)

SHARE_MISTAKES = (
    mistake(
        "alpha not divided by size",
        "Your entries are α, as in the paper of 2012. Here, as in torch, they are α/size: a mean "
        "over the window, times α.",
        share=lambda q: q.alpha,
    ),
    mistake(
        "alpha divided by the number of channels",
        "You divide α by the number of channels. Divide by size.",
        share=lambda q: q.alpha / q.channels,
    ),
    mistake(
        "alpha forgotten",
        "Your entries are 1/size. They are α/size.",
        share=lambda q: 1 / q.size,
    ),
    mistake(
        "ones in the band",
        "Your entries are 1. They are α/size.",
        share=lambda q: 1.0,
    ),
    mistake(
        "multiplied by size",
        "You multiply α by size. Divide.",
        share=lambda q: q.alpha * q.size,
    ),
    mistake(
        "alpha squared",
        "Your entries are (α/size)², as if the weight were inside the square. They are α/size.",
        share=lambda q: (q.alpha / q.size) ** 2,
    ),
    mistake(
        "root of alpha",
        "Your entries are √(α/size). They are α/size.",
        share=lambda q: np.sqrt(q.alpha / q.size),
    ),
    mistake(
        "divided without a remainder",
        "You divide with //, which rounds down. Divide with /.",
        share=lambda q: q.alpha // q.size,
    ),
    mistake(
        "divided by the square of size",
        "You divide by size², as for a window in an image. This one runs over channels: α/size.",
        share=lambda q: q.alpha / q.size**2,
    ),
    mistake(
        "divided by the size and by the number of channels",
        "You divide by size and by the number of channels. Divide by size.",
        share=lambda q: q.alpha / q.size / q.channels,
    ),
    *(
        mistake(
            "divided by what is left of the window",
            "At the ends you divide α by the number of channels that are left in the window, so "
            "that each row sums to α. Here, as in torch, it is α/size everywhere.",
            share=share,
        )
        for share in (
            lambda q: q.alpha / np.maximum(q.band.sum(1, keepdims=True), 1),
            lambda q: q.alpha / np.maximum(q.band.sum(0, keepdims=True), 1),
        )
    ),
)

LOCAL_RESPONSE_POOL = Exercise(
    name="local_response_pool",
    task="Return the pool of local response normalization as a matrix (channels, channels): "
    "alpha / size where channel j lies in the window of size channels around channel i, else 0. An "
    "even size reaches one channel further down than up.",
    returns=("weight",),
    reference=Steps(
        "channels size alpha",
        "weight",
        i=lambda q: np.arange(q.channels)[:, None],
        j=lambda q: np.arange(q.channels)[None, :],
        ahead=lambda q: q.j - q.i,
        band=window(lower, upper),
        share=lambda q: q.alpha / q.size,
        weight=lambda q: q.band * q.share,
    ),
    probes=(
        Probe(
            "numbers for the hand: 4 channels, size 3, α = 6",
            lambda rng: (4, 3, 6.0),
            by_hand="6/3 = 2 on the diagonal and on both sides of it; the first row is 2, 2, 0, 0",
        ),
        Probe("an odd size", lambda rng: (8, 5, rng.uniform(6, 9))),
        Probe("an even size", lambda rng: (7, 4, rng.uniform(5, 7))),
        Probe("a window wider than the channels", lambda rng: (3, 7, rng.uniform(8, 12))),
    ),
    mistakes=(*BAND_MISTAKES, *SHARE_MISTAKES),
    hints=(
        Hint(
            "band",
            "Row i is the pool of channel i. With i = np.arange(channels)[:, None] and "
            "j = np.arange(channels), j - i says how far j lies above i, for all pairs at once.",
        ),
        Hint(
            "band",
            "The window has size channels: size // 2 below i, i itself, and the rest above. For "
            "size 4 that is i - 2, i - 1, i, i + 1.",
        ),
        Hint(
            "share",
            "α/size stands everywhere in the window, also at the ends, where some of it is cut "
            "off: what is beyond counts as 0.",
        ),
    ),
)

# ---- backward ----------------------------------------------------------------------------------


def signed_backward_by_hand():
    x, weight, bias, power = signed_by_hand()
    return np.float32([[16, 0], [0, 2]]), x, weight, bias, power


def with_dy(probe):
    """``probe`` with a gradient in front that is not alike along any axis."""

    def arguments(rng):
        x, weight, *rest = probe.make(rng)
        dy = 0.7 * signals(rng, x.shape) + 0.4 * np.sign(x)
        return dy.astype(np.float32), x, weight, *rest

    return Probe(probe.name, arguments)


def slope(q, exponent):
    """t, the gradient of d, with another power of d."""
    return -q.p * q.dy * q.x * q.d**exponent


def sums(a, b):
    """Σ a_i b_j over samples and positions."""
    return np.einsum("nip,njp->ij", a.reshape(*a.shape[:2], -1), b.reshape(*b.shape[:2], -1))


def over_all_but_channels(a):
    return a.sum((0, *range(2, a.ndim)))


def many(q):
    """Samples times positions."""
    return q.x.size // q.x.shape[1]


def laws(shape_of, count):
    """Factors of a law, as arrays of a result's shape; n is what ``count`` gives."""
    return {
        "n": lambda q: np.full(shape_of(q), count(q)),
        "m": lambda q: np.full(shape_of(q), many(q)),
        "N": lambda q: np.full(shape_of(q), len(q.x)),
        "s": lambda q: np.full(shape_of(q), q.power),
    }


BACK_MISTAKES = (
    mistake(
        "pool not transposed on the way back",
        "Your second term sums wⱼᵢ tᵢ with rows and columns exchanged. Forwards, channel i "
        "collects from the j of its row; backwards, x_j collects from all i whose pool it is in: "
        "column j, the transposed matrix.",
        back_matrix=lambda q: q.matrix,
    ),
    mistake(
        "diagonal term only",
        "Your second term has only i = j. x_j is in the pools of other channels, too: sum over i.",
        back_matrix=lambda q: q.matrix * np.eye(len(q.matrix)),
    ),
    mistake(
        "others' pools only",
        "Your second term leaves out i = j. x_j is in its own pool, too.",
        back_matrix=lambda q: off_diagonal(q.matrix),
    ),
    *(
        mistake(
            "pool and its transpose in the second term",
            "Your second term has w + wᵀ, as the gradient of a quadratic form. But d is linear in "
            "the squares: wᵀ alone, and the 2 of x².",
            back_matrix=lambda q, part=part: part * (q.matrix + q.matrix.T),
        )
        for part in (1, 0.5)
    ),
    mistake(
        "weights missing in the second term",
        "Your second term sums the tᵢ without their weights. On its way to dᵢ, x_j² is multiplied "
        "by wᵢⱼ.",
        back_matrix=lambda q: np.ones_like(q.matrix),
    ),
    mistake(
        "x inside the sum of the second term",
        "In your second term x stands inside the sum, with the index i. It is x_j, the number "
        "whose gradient is sought, and stands in front: 2 x_j Σ wᵢⱼ tᵢ.",
        by_pool=lambda q: 2 * q.times(q.back_matrix, q.t * q.x),
    ),
    mistake(
        "x missing in the second term",
        "Your second term lacks x_j. The derivative of x_j² is 2 x_j.",
        by_pool=lambda q: 2 * q.reach,
    ),
    mistake(
        "x² in the second term",
        "Your second term has x_j². Its derivative is 2 x_j.",
        by_pool=lambda q: 2 * q.square * q.reach,
    ),
    mistake(
        "y where x belongs in the second term",
        "Your second term has y_j in front. It is x_j that is squared in the pools: 2 x_j.",
        by_pool=lambda q: 2 * q.x / q.root * q.reach,
    ),
    mistake(
        "wrong index left over in the second term",
        "Your second term is 2 tᵢ Σ wᵢⱼ x_j, summed over j. dx has the index j: sum over i, "
        "2 x_j Σ wᵢⱼ tᵢ.",
        by_pool=lambda q: 2 * q.t * q.times(q.matrix, q.x),
    ),
    mistake(
        "whole pool in the second term",
        "Your second term has the whole pool, as if every square in it were the channel's own. "
        "The derivative by x_j takes one square out of each pool: 2 x_j Σ wᵢⱼ tᵢ, over i.",
        by_pool=lambda q: -2 * q.p * q.dy * q.pooled * q.d ** (-q.p - 1),
    ),
    *(
        mistake(
            "sum over channels forgotten",
            "Your second term is no sum over i: each channel gets its own t only, times a sum of "
            "weights. x_j collects from all i.",
            by_pool=lambda q, axis=axis: 2 * q.x * q.t * on_channels(q.matrix.sum(axis), q.x),
        )
        for axis in (0, 1)
    ),
    mistake(
        "d outside of the sum of the second term",
        "In your second term the power of d stands outside of the sum, with the index j. Each pool "
        "has its own d: the sum runs over tᵢ, with dᵢ in it.",
        by_pool=lambda q: -2 * q.p * q.x * q.d ** (-q.p - 1) * q.times(q.back_matrix, q.dy * q.x),
    ),
    *(
        mistake(
            name,
            text,
            t=lambda q, exponent=exponent: slope(q, exponent(q.p)),
        )
        for name, text, exponent in (
            (
                "power not lowered by one",
                "Your t has d⁻ᵖ. The derivative of d⁻ᵖ is -p d⁻ᵖ⁻¹: one more 1/d.",
                lambda p: -p,
            ),
            (
                "power raised instead of lowered",
                "Your t has d¹⁻ᵖ. The derivative of d⁻ᵖ is -p d⁻ᵖ⁻¹: the exponent becomes smaller.",
                lambda p: 1 - p,
            ),
            (
                "derivative of dᵖ instead of d⁻ᵖ",
                "Your t has dᵖ⁻¹. It is d⁻ᵖ that x is multiplied by: its derivative is -p d⁻ᵖ⁻¹.",
                lambda p: p - 1,
            ),
            (
                "1/d only",
                "Your t has 1/d. The derivative of d⁻ᵖ is -p d⁻ᵖ⁻¹: a factor d⁻ᵖ is missing.",
                lambda p: -1,
            ),
            (
                "derivative of dᵖ left out",
                "Your t has d⁻²ᵖ, the square of the denominator. In the quotient rule it is "
                "multiplied by the derivative of dᵖ, p dᵖ⁻¹: together p d⁻ᵖ⁻¹.",
                lambda p: -2 * p,
            ),
            (
                "power -3/2 whatever p",
                "Your t has d^(-3/2), right for p = ½ only. It is d⁻ᵖ⁻¹.",
                lambda p: -1.5,
            ),
            (
                "power lowered by two",
                "Your t has d⁻ᵖ⁻². The derivative of d⁻ᵖ is -p d⁻ᵖ⁻¹.",
                lambda p: -p - 2,
            ),
        )
    ),
    mistake(
        "x missing in t",
        "Your t is the gradient of d without x: y = x d⁻ᵖ, so it is -p dy x d⁻ᵖ⁻¹.",
        t=lambda q: -q.p * q.dy * q.d ** (-q.p - 1),
    ),
    mistake(
        "dy missing in t",
        "Your t lacks dy. It is the gradient of the loss: -p dy x d⁻ᵖ⁻¹.",
        t=lambda q: -q.p * q.x * q.d ** (-q.p - 1),
    ),
    mistake(
        "|x| in t",
        "Your t has |x|. It is x, with its sign.",
        t=lambda q: -q.p * q.dy * abs(q.x) * q.d ** (-q.p - 1),
    ),
    mistake(
        "first term not divided",
        "Your first term is dy. It is dy/dᵖ.",
        direct=lambda q: q.dy,
    ),
    mistake(
        "first term divided by d",
        "Your first term is dy/d. It is dy/dᵖ.",
        direct=lambda q: q.dy / q.d,
    ),
    mistake(
        "first term multiplied",
        "Your first term is dy dᵖ. Divide by dᵖ.",
        direct=lambda q: q.dy * q.root,
    ),
    mistake(
        "first term without dy",
        "Your first term is 1/dᵖ. Multiply by dy.",
        direct=lambda q: 1 / q.root,
    ),
    mistake(
        "dweight transposed",
        "Your dweight has rows and columns exchanged: wᵢⱼ stands in dᵢ and multiplies x_j², so "
        "row i has tᵢ, and column j has x_j².",
        dweight=lambda q: sums(q.square, q.t),
    ),
    mistake(
        "dweight from x",
        "Your dweight is Σ tᵢ x_j. The weight multiplies x_j².",
        dweight=lambda q: sums(q.t, q.x),
    ),
    mistake(
        "dweight from |x|",
        "Your dweight is Σ tᵢ |x_j|. The weight multiplies x_j².",
        dweight=lambda q: sums(q.t, abs(q.x)),
    ),
    mistake(
        "dweight from y",
        "Your dweight is Σ tᵢ y_j². The weight multiplies x_j².",
        dweight=lambda q: sums(q.t, (q.x / q.root) ** 2),
    ),
    mistake(
        "dweight from the first sample only",
        "Your dweight is that of the first sample. Sum over all of them.",
        dweight=lambda q: sums(q.t[:1], q.square[:1]),
    ),
    mistake(
        "dweight from the channel's own square",
        "Your dweight is Σ tᵢ xᵢ², alike for all j. wᵢⱼ multiplies x_j².",
        dweight=lambda q: np.broadcast_to(
            over_all_but_channels(q.t * q.square)[:, None], q.weight.shape
        ),
    ),
    mistake(
        "dweight from t of the pooled channel",
        "Your dweight is Σ t_j x_j², alike for all i. wᵢⱼ stands in dᵢ: tᵢ.",
        dweight=lambda q: np.broadcast_to(over_all_but_channels(q.t * q.square), q.weight.shape),
    ),
    mistake(
        "dweight from the weights, too",
        "Your dweight is multiplied by the weight. d is linear in w: its derivative is x_j².",
        dweight=lambda q: q.weight * sums(q.t, q.square),
    ),
    mistake(
        "product of two sums in dweight",
        "You sum t and x² first and multiply then. Multiply for each sample and position, then "
        "sum.",
        dweight=lambda q: np.outer(over_all_but_channels(q.t), over_all_but_channels(q.square)),
    ),
    mistake(
        "dweight on the diagonal only",
        "Your dweight has only i = j. Each wᵢⱼ has a gradient.",
        dweight=lambda q: sums(q.t, q.square) * np.eye(len(q.weight)),
    ),
    mistake(
        "dweight from dy",
        "Your dweight is Σ dyᵢ x_j². What reaches dᵢ is tᵢ = -p dyᵢ xᵢ dᵢ⁻ᵖ⁻¹.",
        dweight=lambda q: sums(q.dy, q.square),
    ),
    mistake(
        "positions of dweight summed apart",
        "You sum t and x² over the positions first and multiply then. Multiply at each position, "
        "then sum.",
        dweight=lambda q: np.einsum(
            "ni,nj->ij",
            q.t.reshape(*q.t.shape[:2], -1).sum(2),
            q.square.reshape(*q.t.shape[:2], -1).sum(2),
        ),
    ),
    mistake(
        "dbias from dy",
        "Your dbias is Σ dy, as of a bias that is added to y. This one stands under the power: "
        "Σ t.",
        dbias=lambda q: over_all_but_channels(q.dy),
    ),
    mistake(
        "dbias multiplied by the bias",
        "Your dbias is multiplied by b. d is linear in b: its derivative is 1.",
        dbias=lambda q: q.bias * over_all_but_channels(q.t),
    ),
    mistake(
        "dbias one sum for all channels",
        "Your dbias is one sum over all channels. Each channel has a bias of its own.",
        dbias=lambda q: np.full_like(q.bias, q.t.sum()),
    ),
    mistake(
        "dbias with x²",
        "Your dbias is Σ t x². Nothing multiplies b: Σ t.",
        dbias=lambda q: over_all_but_channels(q.t * q.square),
    ),
    mistake(
        "dbias pooled",
        "Your dbias goes through the weights. b stands outside of the pool: Σ t.",
        dbias=lambda q: q.weight.T @ over_all_but_channels(q.t),
    ),
    mistake(
        "dbias with the gradient of x",
        "Your dbias is Σ dy/dᵖ. The bias stands in d: Σ t.",
        dbias=lambda q: over_all_but_channels(q.dy / q.root),
    ),
)

_DX_CAUSES = {
    ("by_pool", "0"): (
        "pool taken for a constant",
        "Your dx is dy/dᵖ. But d depends on x: the term 2 x_j Σ wᵢⱼ tᵢ is missing.",
    ),
    ("direct", "0"): (
        "direct path missing",
        "Your dx has only the term through the pools. x also stands above: dy/dᵖ.",
    ),
    ("by_pool", "-1"): (
        "wrong sign of the second term",
        "The path through the pools has the wrong sign: a larger d makes y smaller, t is negative "
        "where dy x is positive.",
    ),
    ("by_pool", "1/2"): (
        "factor 2 missing",
        "The derivative of x² is 2x: your second term is half as large as it should be.",
    ),
    ("by_pool", "1/s"): (
        "factor p missing",
        "The derivative of d⁻ᵖ is -p d⁻ᵖ⁻¹: the p is missing.",
    ),
    ("by_pool", "1/2/s"): (
        "factor 2p missing",
        "The 2 of x² and the p of the power are both missing. They cancel for p = ½ only.",
    ),
    ("by_pool", "s"): (
        "factor p counted twice",
        "Your second term has p². t holds it already.",
    ),
    ("by_pool", "2"): (
        "second term counted twice",
        "Your second term is twice as large as it should be: the 2 of x² stands in it once.",
    ),
    ("by_pool", "1/n"): (
        "mean instead of the sum over the channels",
        "x_j collects from all channels i: a sum, not a mean.",
    ),
    ("all", "-1"): ("sign of dx", "Your dx points the other way."),
}


def _parameter_causes(name):
    symbol = {"dweight": "wᵢⱼ", "dbias": "bᵢ"}[name]
    return {
        (name, "1/m"): (
            f"mean instead of a sum for {name}",
            f"Your {name} is a mean. {symbol} is used by every sample and position: a sum.",
        ),
        (name, "1/N"): (
            f"{name} divided by the batch size",
            "If the loss is a mean over the batch, dy holds that 1/N already: it is a plain sum.",
        ),
        (name, "1/n"): (
            f"{name} averaged over the positions",
            f"Your {name} is a mean over the positions. {symbol} is used by each of them: a sum.",
        ),
        (name, "-1"): (
            f"sign of {name}",
            f"Your {name} has the wrong sign: more in the denominator makes |y| smaller.",
        ),
        (name, "0"): (f"{name} is zero", f"Your {name} is 0. {symbol} changes y, too."),
        (name, "1/s"): (
            f"factor p missing in {name}",
            "The derivative of d⁻ᵖ is -p d⁻ᵖ⁻¹: the p is missing.",
        ),
        (name, "1/2/s"): (
            f"½ where p belongs in {name}",
            "You took p for ½. It is the parameter power.",
        ),
        (name, "2"): (
            f"factor 2 in {name}",
            f"d is linear in {symbol}: the 2 belongs to dx, where x² is differentiated.",
        ),
        (name, "2s"): (f"factor 2p in {name}", "Only t stands there: p is in it already."),
    }


SIGNED_DIVISIVE_NORM_BACKWARD = Exercise(
    name="signed_divisive_norm_backward",
    task="From dy, the gradient of the loss with respect to y, compute the gradients with respect "
    "to x, weight and bias.",
    returns=("dx", "dweight", "dbias"),
    reference=Steps(
        "dy x weight bias power",
        "dx dweight dbias",
        **DENOMINATOR_STEPS,
        axis=lambda q: tuple(range(q.x.ndim)),
        root=lambda q: q.d**q.p,
        t=lambda q: slope(q, -q.p - 1),
        back_matrix=lambda q: q.matrix.T,
        reach=lambda q: q.times(q.back_matrix, q.t),
        direct=lambda q: q.dy / q.root,
        by_pool=lambda q: 2 * q.x * q.reach,
        dx=lambda q: q.direct + q.by_pool,
        dweight=lambda q: sums(q.t, q.square),
        dbias=lambda q: over_all_but_channels(q.t),
    ),
    probes=(
        Probe(
            "numbers for the hand: two channels, p = ½",
            lambda rng: signed_backward_by_hand(),
            by_hand="d = 16, 9 in the first sample, 4, 1 in the second; t = -½ · 16 · 1/64 = "
            "-1/8 for the first number, 0 for all others",
        ),
        *map(with_dy, SIGNED),
    ),
    mistakes=(*POOL_MISTAKES, *SQUARE_MISTAKES, *BIAS_MISTAKES, *ROOT_MISTAKES, *BACK_MISTAKES),
    hints=(
        Hint(
            "t p d root",
            "Go through d: yᵢ = xᵢ dᵢ⁻ᵖ, so what reaches dᵢ is tᵢ = -p dyᵢ xᵢ dᵢ⁻ᵖ⁻¹. All three "
            "gradients start from t.",
        ),
        Hint(
            "dweight dbias",
            "dᵢ = bᵢ + Σ wᵢⱼ x_j² is linear in b and w, which every sample and position uses: "
            "Σ tᵢ and Σ tᵢ x_j², over samples and positions.",
        ),
        Hint(
            "dx by_pool direct reach back_matrix",
            "x_j reaches the loss on two paths: above, in y_j, and through every pool it is in. "
            "The second is 2 x_j Σᵢ wᵢⱼ tᵢ: a sum over i, so the matrix is transposed.",
        ),
        POOL_HINT,
    ),
    coefficients=(
        Coefficients(
            "dx",
            {"direct": 1, "by_pool": 1},
            ("dy/dᵖ", "2 x_j Σ wᵢⱼ tᵢ"),
            "axis",
            laws(lambda q: q.x.shape, lambda q: q.x.shape[1]),
            _DX_CAUSES,
            "",
        ),
        *(
            Coefficients(
                name,
                {name: 1},
                (symbol,),
                "",
                laws(lambda q, of=of: getattr(q, of).shape, lambda q: many(q) / len(q.x)),
                _parameter_causes(name),
            )
            for name, symbol, of in (
                ("dweight", "Σ tᵢ x_j²", "weight"),
                ("dbias", "Σ tᵢ", "bias"),
            )
        ),
    ),
)

EXERCISES = (
    DIVISIVE_NORM,
    SIGNED_DIVISIVE_NORM,
    LOCAL_RESPONSE_POOL,
    SIGNED_DIVISIVE_NORM_BACKWARD,
)
