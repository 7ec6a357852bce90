"""What stands before and behind a norm."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from normcourse.doctor.checks.measure import few, percent
from normcourse.doctor.checks.record import Found, check
from normcourse.doctor.patient import Patient, buffers_kept, size_of, slopes, tensors_of
from normcourse.doctor.recognize import Norm, noise
from normcourse.doctor.trace import Call

CONVOLUTIONS = nn.modules.conv._ConvNd
WEIGHTED = (nn.Linear, CONVOLUTIONS)


def _module(patient: Patient, name: str) -> nn.Module | None:
    """The module of that name, if a module's output is meant at all."""
    return patient.by_name.get(name) if name else None


def _placed(patient: Patient) -> Iterator[tuple[Norm, Call]]:
    """Each norm with its first call."""
    for norm in patient.norms:
        calls = patient.trace.of(norm.name)
        if calls and calls[0].x is not None:
            yield norm, calls[0]


@check(
    "note",
    "The norm subtracts it again: its gradient is 0, and it costs memory and time.",
    "bias=False in the layer before a batch or instance norm.",
    "#a-bias-in-front-of-a-mean",
    "milesial/Pytorch-UNet#325 4uiiurz1/pytorch-nested-unet#39 xuebinqin/U-2-Net#323",
    "batch",
)
def bias_before_norm(patient: Patient) -> Iterator[Found]:
    """A bias that the next layer's mean takes away."""
    found = []
    for norm, call in _placed(patient):
        before = _module(patient, call.source)
        per_channel = norm.kind in ("batch", "instance") or (
            norm.kind == "group" and norm.count > 1 and norm.groups == call.shape[1]
        )
        bias = getattr(before, "bias", None)
        if not per_channel or not isinstance(before, WEIGHTED) or bias is None:
            continue
        if norm.kind == "instance" and norm.tracks:
            continue
        found.append((norm, call, bias))
    if found:
        norm, call, _ = found[0]
        probe = norm.probe(call)
        x = noise((max(4, call.shape[0]), *call.shape[1:]), probe.x)[:8]  # type: ignore[arg-type]
        change = float((probe(x + 1, True) - probe(x, True)).abs().max())
        numbers = sum(b.numel() for _, _, b in found)
        measured = f"1 more in the bias moves the norm's output by {change:.0e}; "
        measured += f"layers of this kind: {len(found)}, with {numbers} parameters"
        yield Found(found[0][1].source, measured, {"change": change, "layers": len(found)})


def feature_axis(module: nn.Module | None, ndim: int) -> int | None:
    """The axis of the features in what a layer returns or takes."""
    if isinstance(module, CONVOLUTIONS):
        return ndim - len(module.kernel_size) - 1
    return ndim - 1 if isinstance(module, nn.Linear | nn.Embedding) else None


@check(
    "warning",
    "Positions, or pixels, share a statistic that only features should share: a causal model "
    "looks ahead, an image model forgets brightness and contrast row by row.",
    "Normalize over the features: the last axis for (N, L, D), axis 1 for (N, C, H, W).",
    "#layer-norm-over-the-time-axis",
    "Qualcomm-AI-research/geometric-algebra-transformer#8 "
    "jadore801120/attention-is-all-you-need-pytorch#17 tensorflow/addons#2142",
    "batch",
)
def wrong_axes(patient: Patient) -> Iterator[Found]:
    """A norm over other axes than the layers around it have their features on."""
    for norm, call in _placed(patient):
        ndim = len(call.shape)
        if ndim < 3 or norm.kind in ("instance", "group", "switchable"):
            continue
        around = [call.source, *call.readers]
        axes = {feature_axis(_module(patient, name), ndim) for name in around} - {None}
        if len(axes) != 1:
            continue
        features = axes.pop()
        assert features is not None
        if norm.batch_count:
            wrong = norm.channel % ndim != features
        else:
            over = {a % ndim for a in norm.axes}
            # All axes of an image together are a layer norm, too (Wu & He 2018).
            wrong = features not in over or (ndim == 3 and features == ndim - 1 and 1 in over)
            wrong = wrong and not (norm.own and _on_purpose(patient, norm, call, features))
        if wrong:
            moved = _leak(norm, call, features)
            shown = ", ".join(str(a) for a in norm.axes)
            measured = f"statistics over axes ({shown}) of {call.shape}, features on axis "
            measured += f"{features}; another position moves the output by {few(moved)}"
            yield Found(norm.name, measured, {"moved": moved})


def _on_purpose(patient: Patient, norm: Norm, call: Call, features: int) -> bool:
    """Whether it is an instance norm: of a convolution's channels, or of the model's own input."""
    over, ndim = {a % len(call.shape) for a in norm.axes}, len(call.shape)
    if features in over:
        return False
    weight = norm.tensor(norm.weight)
    for_channels = weight is None or weight.numel() == call.shape[features]
    over_positions = features == 1 and over == set(range(2, ndim)) and for_channels
    if over_positions and (norm.centred or ndim > 3):  # one without a mean: filter response norm
        return True
    x = call.x
    return x is not None and any(
        t.shape[1:] == x.shape[1:] and torch.equal(t[: len(x)], x) for t in tensors_of(patient.some)
    )


def _leak(norm: Norm, call: Call, features: int) -> float:
    """How far outputs move when the input changes at one other position only."""
    probe = norm.probe(call)
    x = noise((max(2, min(4, call.shape[0])), *call.shape[1:]), probe.x)  # type: ignore[arg-type]
    over = [a % x.ndim for a in norm.axes]
    others = [a for a in range(1, x.ndim) if a != features]
    position = next((a for a in others if a in over), others[0])
    other = x.clone()
    last = [slice(None)] * x.ndim
    last[position] = slice(x.shape[position] - 1, None)
    other[tuple(last)] += 9
    rest = [slice(None)] * x.ndim
    rest[position] = slice(0, x.shape[position] - 1)
    training = norm.batch_count
    return float((probe(other, training) - probe(x, training))[tuple(rest)].abs().max())


@check(
    "warning",
    "The last layer decides about sizes, and the norm takes them away: confident logits and "
    "targets with another spread cannot be reached.",
    "Leave the norm behind the last layer out.",
    "#the-output-is-constant-or-a-parameter-does-not-move",
    "fastai/fastai2#107 Lab41/attalos#89 yaoing/DAN#14",
    "batch",
)
def norm_after_output(patient: Patient) -> Iterator[Found]:
    """A norm directly behind the layer that makes the output."""
    for norm, call in _placed(patient):
        before = _module(patient, call.source)
        if norm.name != patient.trace.last or not isinstance(before, WEIGHTED):
            continue
        probe = norm.probe(call)
        x = noise((max(4, call.shape[0]), *call.shape[1:]), probe.x)[:8]  # type: ignore[arg-type]
        y = probe(x, True)
        change = float((probe(10 * x, True) - y).abs().max() / y.abs().max())
        if change < 0.1:
            measured = f"10 times the weights of {call.source} change the output by "
            measured += percent(change)
            yield Found(norm.name, measured, {"change": change})


@check(
    "warning",
    "Its calls see different data, and one pair of running statistics cannot be near to all.",
    "Statistics for each place where it is called, or a norm inside the sample.",
    "#one-norm-for-all-time-steps",
    "jihunchoi/recurrent-batch-normalization-pytorch#1 Element-Research/rnn#252",
    "batch",
)
def batch_norm_in_a_loop(patient: Patient) -> Iterator[Found]:
    """One batch norm that is called several times, on data that differ."""
    several = [norm for norm in patient.tracking if len(patient.trace.of(norm.name)) > 1]
    for norm in several:
        calls = [c for c in patient.training.of(norm.name) if c.x is not None]
        means, variances = [], []
        for call in calls:
            x = call.x.double().movedim(norm.channel, 0)  # type: ignore[union-attr]
            x = x.reshape(x.shape[0], -1)
            means.append(x.mean(1))
            variances.append(x.var(1, correction=0))
        mean, inside = torch.stack(means), torch.stack(variances).mean(0)
        between = (mean - mean.mean(0)).abs().amax(0) / (inside + 1e-5).sqrt()
        away = float(between.pow(2).mean().sqrt())
        # Means of n samples of the same data differ by some 2/sqrt(n).
        if away > 0.5 + 2 / calls[0].shape[0] ** 0.5:
            measured = f"called {len(calls)} times; means up to {few(away)} deviations apart"
            yield Found(norm.name, measured, {"calls": len(calls), "deviations": away})


@check(
    "warning",
    "No parameter can shift what follows: its mean is 0 for each batch, whatever is learned.",
    "affine=True in the norm, or bias=True in the layer behind it.",
    "activations/batch_norm.html#when-to-use-it-when-not",
    "allenai/hidden-networks#6 lukasruff/Deep-SVDD-PyTorch#31 ducha-aiki/caffenet-benchmark#3",
    "batch",
)
def no_shift(patient: Patient) -> Iterator[Found]:
    """A norm without β in front of a layer without a bias."""
    norms = {norm.name for norm in patient.norms}
    for norm, call in _placed(patient):
        if norm.bias or not norm.centred or norm.kind not in ("batch", "instance"):
            continue
        if len(call.readers) != 1:
            continue
        after: Any = _module(patient, call.readers[0])
        if not isinstance(after, WEIGHTED) or after.bias is not None:
            continue
        further = [r for c in patient.trace.of(call.readers[0]) for r in c.readers]
        if norms & set(further):
            continue
        probe = norm.probe(call)
        x = noise((max(8, call.shape[0]), *call.shape[1:]), probe.x)[:16]  # type: ignore[arg-type]
        with torch.no_grad():
            y = after(probe(x, True)).double()
        axes = [a for a in range(y.ndim) if a != feature_axis(after, y.ndim)]
        share = float((y.mean(axes).abs() / y.std(axes).clamp_min(1e-30)).max())
        if share < 0.1:  # padding of a convolution leaves a little
            measured = f"the mean behind {call.readers[0]} is {share:.1g} deviations"
            yield Found(norm.name, measured, {"mean": share})


PASSED = ("Dropout", "ToCopy", "View", "Mul", "Alias", "Transpose", "Clone", "Permute", "Unsafe")
DEPTH = 12  # norms: six layers of two
GROWTH = 1.3  # of the gradient, last over median; measured: Pre-LN below 1, Post-LN 1.5 to 2


@check(
    "warning",
    "Behind the sum, a norm makes the gradient of the last layers large at first: without a "
    "warm-up the first steps go astray.",
    "A warm-up of the learning rate, or the norm inside the branch (Pre-LN).",
    "activations/layer_norm.html#in-the-wild-before-or-after-the-sum",
    "LiyuanLucasLiu/Transformer-Clinic#16 LiyuanLucasLiu/Transformer-Clinic#9 "
    "shubham-goel/4D-Humans#65",
    "batch optimizer",
)
def post_norm_without_warm_up(patient: Patient) -> Iterator[Found]:
    """A deep Post-LN network at its first step, at the full learning rate."""
    if any(o.state for o in patient.optimizers) or not patient.parameters or not patient.norms:
        return
    groups = [group for o in patient.optimizers for group in o.param_groups]
    # A scheduler with a warm-up has lowered the rate by now.
    if any(float(g["lr"]) < 0.5 * float(g.get("initial_lr", g["lr"])) for g in groups):
        return
    norms = {norm.name for norm in patient.norms if norm.kind in ("layer", "rms")}
    in_training = {norm.module for norm in patient.batch_norms}
    with buffers_kept(patient.model):
        for module in patient.names:  # also for checkpoints, which run again in backward
            module.training = module in in_training
        yield from _growth(patient, norms)


def _growth(patient: Patient, norms: set[str]) -> Iterator[Found]:
    run = patient.run(patient.some, training=True, grad=True)
    calls = [c for c in run.calls if c.name in norms and c.node_in is not None]
    behind = {id(c.node_out) for c in calls}
    post = [c for c in calls if _sums(c.node_in, behind)]
    if len(post) < DEPTH:
        return
    loss = patient.loss(run.output, slice(size_of(patient.some)))
    inputs: list[Any] = [c.input for c in post]
    sizes = [float(s.norm()) for s in slopes(loss, inputs) if s is not None]
    if len(sizes) < 2 or sizes[0] == 0:
        return
    growth = sizes[-1] / sorted(sizes)[len(sizes) // 2]
    if growth > GROWTH:
        measured = (
            f"{len(post)} norms behind a sum; the gradient at the last is {few(growth)} times"
        )
        measured += f" the median; the first is {few(sizes[0] / sizes[-1])} of the last"
        yield Found(post[-1].name, measured, {"norms": len(post), "growth": growth})


def _sums(node: Any, outputs: set[int], added: bool = False, steps: int = 4) -> bool:
    """Whether a node is a sum, one part of which came out of another norm."""
    if node is None or steps == 0:
        return False
    if added and id(node) in outputs:
        return True
    name = type(node).__name__
    is_sum = name.startswith("AddBackward")
    if not (is_sum and not added) and not name.startswith(PASSED):
        return False
    return any(_sums(n, outputs, added or is_sum, steps - 1) for n, _ in node.next_functions)


@check(
    "note",
    "Folding the norm into the convolution changes its other calls, too.",
    "A copy of the convolution for each call, then fold.",
    "#folding-a-convolution-that-is-used-twice",
    "Tencent/TNN#808 pytorch/pytorch#104593",
    "batch",
)
def shared_convolution(patient: Patient) -> Iterator[Found]:
    """A convolution that is called several times, and not always by the same batch norm."""
    norms = {norm.name: norm for norm in patient.tracking}
    for name, module in patient.model.named_modules():
        calls = patient.trace.of(name) if isinstance(module, WEIGHTED) else []
        if len(calls) < 2:
            continue
        behind = [next((r for r in call.readers if r in norms), None) for call in calls]
        if len(set(behind)) < 2:
            continue
        norm = norms[next(b for b in behind if b is not None)]
        var, weight = norm.tensor(norm.running[1]), norm.tensor(norm.weight)
        assert var is not None
        factor = (var.double() + float(getattr(norm.module, "eps", 1e-5))).rsqrt()
        factor = factor if weight is None else factor * weight.double()
        change = float((factor.detach() - 1).abs().max())
        measured = f"{len(calls)} calls, {sum(b is not None for b in behind)} of them in front of "
        measured += f"a batch norm; folding changes the weights by up to {percent(change)}"
        yield Found(name, measured, {"calls": len(calls), "change": change})
