"""Running statistics: those of the data, of the last batch, or of none."""

from collections.abc import Iterator

from normcourse.doctor.checks.measure import (
    channel_statistics,
    distance,
    few,
    measured_eps,
    moved_by_a_batch,
    updated,
    young,
)
from normcourse.doctor.checks.record import ORIGINS, Found, check
from normcourse.doctor.patient import Patient
from normcourse.doctor.recognize import Norm

FAR, VERY_FAR = 1.0, 5.0  # running deviations; a batch of 32 from the same data is 0.2 away
RATIO = 4.0  # of variances; each side


@check(
    "warning",
    "Evaluation normalizes with statistics of other data, or of other weights.",
    "Scale inputs as in training; or renew the statistics with one pass over training data.",
    "#inputs-scaled-in-training-only",
    "jchen42703/kits19-cnn#22 tensorflow/models#7604 hiwonjoon/tf-frrn#2",
    "batch",
)
def far_statistics(patient: Patient) -> Iterator[Found]:
    """Running statistics that are far from those of the batch."""
    found = []
    for norm in patient.tracking:
        calls = patient.trace.of(norm.name)
        usable = len(calls) == 1 and calls[0].x is not None and norm.kind != "switchable"
        if not usable or not updated(norm) or young(norm) or not _finite(norm):
            continue
        _, _, n = channel_statistics(calls[0], norm.channel)
        away, ratio = distance(norm, calls[0])
        # The mean of n samples of the same data is 1/sqrt(n) away.
        if away > FAR + 3 / n**0.5 or max(ratio, 1 / max(ratio, 1e-30)) > RATIO * (1 + 6 / n**0.5):
            found.append((norm, away, ratio))
    if found:  # what comes later follows from the first
        norm, away, ratio = found[0]
        measured = f"the batch's mean is {few(away)} running deviations away, its variance "
        measured += f"{few(ratio)} times the running one"
        measured += f"; later norms that are far, too: {len(found) - 1}" if len(found) > 1 else ""
        severity = "severe" if away > VERY_FAR else None
        yield Found(norm.name, measured, {"deviations": away, "ratio": ratio}, severity)


def _finite(norm: Norm) -> bool:
    held = (norm.tensor(name) for name in norm.running)
    return all(bool(t.isfinite().all()) for t in held if t is not None)


@check(
    "severe",
    "Evaluation divides by 1 and subtracts 0: the norm is not there.",
    "Run training batches in train() mode; look whether buffers were copied, and at momentum.",
    "#an-average-of-weights-without-the-buffers",
    "paiml/aprender#2166 LaurentMazare/tch-rs#628 Cadene/pretrained-models.pytorch#5",
)
def never_updated(patient: Patient) -> Iterator[Found]:
    """Trained γ and β beside running statistics as a fresh layer has them."""
    stepped = any(optimizer.state for optimizer in patient.optimizers)
    # Where no norm was ever updated, the model may be new, with a random γ and β as in RepVGG.
    may_be_new = not stepped and not any(updated(norm) for norm in patient.tracking)
    for norm in patient.tracking:
        weight, bias = norm.tensor(norm.weight), norm.tensor(norm.bias)
        held = [t for t in (weight, bias) if t is not None]
        # Training moves β, too: a random γ alone is how some layers start.
        trained = bool(held) and all(bool((t != t.flatten()[0]).any()) for t in held)
        if not (trained or stepped) or updated(norm):
            continue
        call = next(iter(patient.trace.of(norm.name)), None) if patient.has("batch") else None
        values = {"channels": float(_size(norm))}
        measured = f"mean 0 and variance 1 in all {_size(norm)} channels"
        if call is not None and call.x is not None:
            away, ratio = distance(norm, call)
            measured += f"; the batch's mean is {few(away)} away, its variance is {few(ratio)}"
            values |= {"deviations": away, "ratio": ratio}
        yield Found(norm.name, measured, values, "warning" if may_be_new else None)


def _size(norm: Norm) -> int:
    mean = norm.tensor(norm.running[0])
    return 0 if mean is None else mean.numel()


@check(
    "severe",
    "One batch with NaN or inf is remembered for ever: evaluation is NaN from then on.",
    "Find the batch, reset_running_stats(), and one pass over training data.",
    "#the-loss-is-nan-or-an-error-is-raised",
    "pytorch/pytorch#1206 facebookresearch/SparseConvNet#190",
)
def not_finite(patient: Patient) -> Iterator[Found]:
    """Running statistics that are NaN, infinite, or a negative variance."""
    for norm in patient.tracking:
        mean, var = (norm.tensor(name) for name in norm.running)
        if mean is None or var is None:
            continue
        bad = ~mean.isfinite() | ~var.isfinite() | (var < 0)
        if bool(bad.any()):
            count = int(bad.sum())
            measured = f"{count} of {bad.numel()} channels are not finite, or negative"
            yield Found(norm.name, measured, {"channels": count})


FACTOR = 30.0  # times the median; of trained networks the largest is some 3 to 10 times


@check(
    "warning",
    "Where a channel was constant in training, whatever comes is divided by √ε.",
    "Put a floor under running_var, or remove the channel.",
    "#a-dead-channel",
    "Cadene/pretrained-models.pytorch#99 pytorch/vision#648",
)
def dead_channels(patient: Patient) -> Iterator[Found]:
    """Channels that evaluation multiplies by far more than the others."""
    for norm in patient.tracking:
        mean, var = (norm.tensor(name) for name in norm.running)
        if var is None or mean is None or var.numel() < 3 or not updated(norm) or not _finite(norm):
            continue
        weight = norm.tensor(norm.weight)
        eps = float(getattr(norm.module, "eps", 1e-5))
        factor = 1 / (var.detach().double() + eps).sqrt()
        if weight is not None:
            factor = factor * weight.detach().double().abs()
        usual = factor.median()
        dead = (factor > FACTOR * usual) & (var < 10 * eps)
        if usual > 0 and bool(dead.any()):
            largest = float(factor[dead].max())
            measured = f"{int(dead.sum())} of {dead.numel()} channels: factor {largest:.3g}, "
            measured += f"of most {few(float(usual))}"
            yield Found(norm.name, measured, {"factor": largest, "usual": float(usual)})


@check(
    "warning",
    "In torch, momentum is the weight of the new batch; elsewhere that of the old ones.",
    "momentum = 1 - (that of Keras, TensorFlow or Flax); usual: 0.1 to 0.01.",
    "#momentum-and-epsilon-of-another-framework",
    "pytorch/vision#8250 r9y9/tacotron_pytorch#19 kazuto1011/deeplab-pytorch#79 "
    "Cadene/pretrained-models.pytorch#5",
)
def momentum(patient: Patient) -> Iterator[Found]:
    """Running statistics that are those of the last batch, or never move."""
    for norm in patient.tracking:
        if getattr(norm.module, "momentum", 0.1) is None:
            continue  # the mean of all batches
        moved = moved_by_a_batch(norm)
        if moved is None:
            continue
        # 0.5 forgets all but 3 % in five batches: that is no average any more.
        trains = patient.modes[norm.module]
        if moved >= 0.5 or (trains and abs(moved) < 1e-6):
            measured = f"one batch moves the running mean by {few(moved)} of the way"
            yield Found(norm.name, measured, {"momentum": moved})


@check(
    "warning",
    "Where a channel varies little, another ε is another output, in every layer.",
    "Copy ε with the weights.",
    "#momentum-and-epsilon-of-another-framework",
    "gzuidhof/nn-transfer#3 qqwweee/keras-yolo3#451 r9y9/tacotron_pytorch#19",
    "origin",
)
def epsilon_of_origin(patient: Patient) -> Iterator[Found]:
    """ε unlike that of the framework from which the weights come."""
    usual = ORIGINS[patient.origin or "torch"]["eps"]
    for norm in patient.norms:
        kind = "batch" if norm.kind == "switchable" else norm.kind
        if kind not in usual:
            continue
        calls = patient.trace.of(norm.name) if norm.own and patient.has("batch") else []
        eps = measured_eps(norm, calls[0] if calls else None)
        if eps is not None and not 0.5 < eps / usual[kind] < 2:
            measured = f"ε measured: {eps:.1g}; {patient.origin} has {usual[kind]:g}"
            yield Found(norm.name, measured, {"eps": eps, "usual": usual[kind]})
