"""What several checks measure."""

import functools
from typing import Any

import torch

from normcourse.doctor.checks.record import Unchecked
from normcourse.doctor.patient import ModelError, Patient, samples, size_of, tensors_of
from normcourse.doctor.recognize import Norm, noise
from normcourse.doctor.trace import Call, Trace, first_tensor, map_tensors

__all__ = [
    "batch_dependence",
    "batch_is_second",
    "channel_statistics",
    "distance",
    "few",
    "measured_eps",
    "moved_by_a_batch",
    "parent_names",
    "percent",
    "plain",
    "updated",
    "young",
]


def few(x: float) -> str:
    """Two digits that count, and no exponent below a million."""
    short = f"{x:.2g}"
    return f"{float(short):.0f}" if "e+" in short and abs(x) < 1e6 else short


def percent(share: float) -> str:
    """A share as text, with digits where it is small."""
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


def batch_dependence(patient: Patient, training: bool) -> tuple[float, str | None]:
    """How far the first samples' output moves when the others leave.

    Returns:
        (the largest difference over the output's root mean square, the module where it begins, or
        None where that is between modules).

    Raises:
        Unchecked: the batch has fewer than two samples, the output has no axis of samples, or two
            runs with the same batch differ.
    """
    n = size_of(patient.batch)
    if n is None or n < 2:
        raise Unchecked("the batch has no two samples that can be separated")
    whole = min(n, 4)
    half = max(whole // 2, whole - 1 if training else 1)  # statistics of two samples, at least
    together, alone = (
        patient.run(samples(patient.batch, 0, stop), training=training, keep=_none)
        for stop in (whole, half)
    )
    outputs = [first_tensor(run.output) for run in (together, alone)]
    if outputs[0] is None or outputs[0].ndim == 0 or outputs[0].shape[0] != whole:
        raise Unchecked("the output has no axis of samples")
    apart = _apart(outputs[0], outputs[1], half)
    if apart is None:
        raise Unchecked("the output has no axis of samples")
    if apart <= 1e-3:  # so there is no beginning to look for
        return apart, None
    again, alone = (
        patient.run(samples(patient.batch, 0, stop), training=training, compare=half, keep=_none)
        for stop in (whole, half)
    )
    if _apart(outputs[0], first_tensor(again.output), half):
        raise Unchecked("two runs with the same batch differ: the model draws random numbers")
    return apart, _beginning(again, alone, half)


def _none(module: torch.nn.Module) -> bool:
    return False


def _second(tensor: torch.Tensor, stop: int) -> torch.Tensor:
    return tensor[:, :stop]


def _beginning(together: Trace, alone: Trace, half: int) -> str | None:
    """The first module whose input is the same, and whose output is not."""
    for one, other in zip(together.calls, alone.calls, strict=False):
        if one.ends[1] is None or (_apart(one.ends[1], other.ends[1], half) or 0) < 1e-5:
            continue
        came = _apart(one.ends[0], other.ends[0], half) if one.ends[0] is not None else 0
        return one.name if not came or came < 1e-5 else None
    return None


def batch_is_second(patient: Patient) -> bool:
    """Whether outputs along the second axis are independent: (L, N, D), as of a recurrent net."""
    tensors = tensors_of(patient.batch)
    if any(t.ndim < 2 for t in tensors) or len({t.shape[1] for t in tensors}) != 1:
        return False
    if tensors[0].shape[1] < 2:
        return False
    outputs = []
    for stop in (2, 1):
        part = map_tensors(functools.partial(_second, stop=stop), patient.batch)
        try:
            y = first_tensor(patient.run(part).output)
        except ModelError:
            return False
        if y is None or y.ndim < 2:
            return False
        outputs.append(y.transpose(0, 1))
    apart = _apart(outputs[0], outputs[1], 1)
    return apart is not None and apart < 1e-4


def _apart(a: Any, b: Any, n: int) -> float | None:
    """The largest difference over the root mean square of the first ``n`` samples."""
    if a is None or b is None or a[:n].shape != b[:n].shape:
        return None
    a, b = a[:n].detach().double(), b[:n].detach().double()
    size = a.pow(2).mean().sqrt().clamp_min(1e-30)
    return float((a - b).abs().max() / size)


def updated(norm: Norm) -> bool:
    """Whether its running statistics are no longer those of a fresh layer."""
    mean, var = (norm.tensor(name) for name in norm.running)
    if mean is None or var is None:
        return False
    return bool((mean != 0).any() or (var != 1).any())


def young(norm: Norm) -> bool:
    """Whether so few batches were seen that the start still counts for more than 5 %."""
    seen = getattr(norm.module, "num_batches_tracked", None)
    momentum = getattr(norm.module, "momentum", 0.1)
    if seen is None or momentum is None:
        return False
    seen = int(seen)
    return seen > 0 and (1 - momentum) ** seen > 0.05


def moved_by_a_batch(norm: Norm) -> float | None:
    """How far the running mean goes to the mean of one batch: the weight of the new batch."""
    probe = norm.small()
    if probe.x is None:
        return None
    x = noise(tuple(probe.x.shape), probe.x)
    one: dict[str, torch.Tensor] = {}
    other: dict[str, torch.Tensor] = {}
    try:
        probe(x, True, moved=one)
        probe(x + 8, True, moved=other)
    except Exception:
        return None
    name = norm.running[0]
    return float((other[name].double() - one[name].double()).mean() / 8)


def channel_statistics(call: Call, channel: int = 1) -> tuple[torch.Tensor, torch.Tensor, int]:
    """(mean, variance, samples) of what came in, for each channel."""
    assert call.x is not None
    x = call.x.double().movedim(channel, 0)
    x = x.reshape(x.shape[0], -1)
    return x.mean(1), x.var(1, correction=0), call.x.shape[0]


def distance(norm: Norm, call: Call, model_norm: Norm | None = None) -> tuple[float, float]:
    """How far a batch is from the running statistics.

    Returns:
        (the distance of the means in running standard deviations, the root mean square over the
        channels; the median ratio of the variances, batch over running).
    """
    source = norm if model_norm is None else model_norm
    mean, var, _ = channel_statistics(call, norm.channel)
    running_mean, running_var = (source.tensor(name) for name in source.running)
    assert running_mean is not None
    assert running_var is not None
    eps = float(getattr(norm.module, "eps", 1e-5))
    spread = running_var.detach().double().reshape(-1) + eps
    away = (mean - running_mean.detach().double().reshape(-1)) / spread.sqrt()
    alive = spread > 11 * eps  # of the others dead_channels speaks
    far = away[alive] if bool(alive.any()) else away
    return float(far.pow(2).mean().sqrt()), float(((var + eps) / spread).median())


def plain(norm: Norm) -> dict[str, torch.Tensor]:
    """Parameters with which the norm only normalizes."""
    replaced = {}
    for role, value in (("weight", 0.0 if norm.offset else 1.0), ("bias", 0.0)):
        name = getattr(norm, role)
        if name:
            replaced[name] = torch.full_like(norm.tensor(name), value)  # type: ignore[arg-type]
    return replaced


def measured_eps(norm: Norm, call: Call | None) -> float | None:
    """ε from the outside: the spread at which the output has half of its usual variance."""
    probe = norm.probe(call)
    if probe.x is None:
        return None
    x = noise(tuple(probe.x.shape), probe.x).double()
    x = x - x.mean()
    best = None
    for power in range(1, 17):
        small = (x * 10 ** (-power / 2) / 3).to(probe.x.dtype)
        try:
            y = probe(small, norm.batch_count, plain(norm)).double()
        except Exception:
            return None
        # v over v + ε, where v is the variance of what the numbers of one statistic are
        kept = y.pow(2).mean() if not norm.centred else y.var()
        reference = probe((x / 3 * 30).to(probe.x.dtype), norm.batch_count, plain(norm)).double()
        full = reference.pow(2).mean() if not norm.centred else reference.var()
        share = float(kept / full)
        if share < 0.9:
            v = _variance(small.double(), norm)
            best = v * (1 / share - 1) if share > 0 else None
            if share < 0.6:
                break
    return best


def _variance(x: torch.Tensor, norm: Norm) -> float:
    axes = norm.axes or tuple(a for a in range(x.ndim) if a != norm.channel % x.ndim)
    axes = tuple(a for a in axes if a < x.ndim)
    if not norm.centred:
        return float(x.pow(2).mean())
    return float(x.var(axes, correction=0).mean())


def parent_names(name: str) -> list[str]:
    """A qualified name and those of everything that holds it."""
    parts = name.split(".")
    return [".".join(parts[:k]) for k in range(len(parts), 0, -1)]
