"""Running statistics after one batch in training mode: whether two norms move them alike."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from normcourse.doctor.pairs import Pair, as_tensor
from normcourse.doctor.patient import Patient
from normcourse.doctor.recognize import Norm, Probe
from normcourse.doctor.trace import OutOfTime

__all__ = ["Moved", "moved_apart"]

NEAR = 1e-3  # of the weight of a batch, and of a variance


@dataclass(frozen=True)
class Moved:
    """A difference in how running statistics move; ``share`` is in running deviations."""

    name: str
    where: str
    measured: str
    values: dict[str, float]
    share: float


@dataclass(frozen=True)
class Step:
    """Running statistics before and after a batch, float64."""

    before: tuple[torch.Tensor, torch.Tensor]
    after: tuple[torch.Tensor, torch.Tensor]


def moved_apart(
    model: nn.Module,
    batch: Any,
    pairs: list[Pair],
    recorded: Mapping[str, tuple[Any, Any]],
    deadline: float,
) -> Iterator[Moved]:
    """For each pair of norms that start from the same statistics, how they move differently.

    Both get the first one's recorded input; with ``recorded`` statistics, the first model is run
    with its norms in training mode, as the other was.

    Raises:
        OutOfTime: the time was up.
    """
    training = Patient(model, batch, deadline=deadline)
    seen = set()
    for pair in pairs:
        norm = pair.one.norm
        if norm is None or not (norm.tracks and norm.batch_count) or norm.name in seen:
            continue
        training.tick()
        seen.add(norm.name)
        if pair.other is None and not {pair.name, norm.name} & set(recorded):
            continue
        x = pair.one.x
        if pair.other is None:
            calls = training.run(batch, training=True, compare=2**40).of(norm.name)
            came = calls[0].ends[0] if len(calls) == 1 else None
            if came is None:
                continue
            x = came
        own = _step(norm, Probe(pair.one.module, pair.one.call), x)
        theirs = _other(pair, x, own, recorded)
        if own is not None and theirs is not None:
            yield from _differences(norm, x, own, theirs)


def _other(
    pair: Pair, x: torch.Tensor, own: Step | None, recorded: Mapping[str, tuple[Any, Any]]
) -> Step | None:
    if own is None:
        return None
    if pair.other is None:
        mean, var = recorded.get(pair.name, recorded.get(pair.one.name, (None, None)))
        return Step(own.before, (_vector(as_tensor(mean)), _vector(as_tensor(var))))
    norm = pair.other.norm
    if norm is None or not norm.tracks:
        return None
    if x.ndim == len(pair.axes):
        x = x.permute(tuple(pair.axes.index(a) for a in range(x.ndim)))
    return _step(norm, Probe(pair.other.module, pair.other.call), x.to(pair.other.x.dtype))


def _step(norm: Norm, probe: Probe, x: torch.Tensor) -> Step | None:
    moved: dict[str, torch.Tensor] = {}
    before = [norm.tensor(name) for name in norm.running]
    try:
        probe(x, True, moved=moved)
        after = [moved[name] for name in norm.running]
    except OutOfTime:
        raise
    except Exception:  # one number in a statistic
        return None
    (m0, v0), (m1, v1) = before, after
    if m0 is None or v0 is None:
        return None
    return Step((_vector(m0), _vector(v0)), (_vector(m1), _vector(v1)))


def _vector(t: torch.Tensor) -> torch.Tensor:
    return t.detach().double().flatten()


def _differences(norm: Norm, x: torch.Tensor, own: Step, theirs: Step) -> Iterator[Moved]:
    """Momentum, what is stored, or neither."""
    if own.before[0].shape != theirs.after[0].shape:
        return
    spread = (own.before[1].abs() + 1e-5).sqrt()
    same_start = ((own.before[0] - theirs.before[0]).abs() < NEAR * spread).all()
    if not same_start or not torch.allclose(own.before[1], theirs.before[1], rtol=NEAR):
        return  # which the outputs have shown
    z = x.detach().double().movedim(norm.channel, 0)
    z = z.reshape(z.shape[0], -1)
    n = z.shape[1]
    mean, biased = z.mean(1), z.var(1, correction=0)
    share = float(((own.after[0] - theirs.after[0]).abs() / spread).max())
    m_own, m_theirs = (_weight(s.before[0], s.after[0], mean) for s in (own, theirs))
    stored = []
    for step, m in ((own, m_own), (theirs, m_theirs)):
        taken = (step.after[1] - (1 - m) * step.before[1]) / m if abs(m) > NEAR else biased
        stored.append(_which(taken, biased, n, m))
    if abs(m_own - m_theirs) > NEAR:
        measured = f"one batch moves the running mean by {m_theirs:.3g} of the way, not by "
        measured += f"{m_own:.3g}"
        if abs(m_own + m_theirs - 1) < NEAR:
            measured += ": it is the weight of the old statistics"
        left = theirs.before[0] + m_theirs * (mean - theirs.before[0]) - theirs.after[0]
        if float((left.abs() / spread).max()) < NEAR:
            values = {"momentum": m_theirs, "own": m_own, "share": share}
            yield Moved("momentum", norm.name, measured, values, share)
        else:
            said = "the running means after a batch differ, and no weight of it explains them"
            yield Moved("not_explained", norm.name, said, {"share": share}, share)
            return
    names = ("another variance", "the biased variance", "the unbiased variance")
    if stored[0] != stored[1] and n < 1 / NEAR and abs(m_theirs) > NEAR:
        measured = f"{names[stored[1]]} of {n} numbers goes into the running one, not "
        measured += names[stored[0]]
        ratio = float((theirs.after[1] / own.after[1]).median())
        name = "stored_variance" if stored[1] else "not_explained"
        yield Moved(name, norm.name, measured, {"numbers": n, "ratio": ratio}, share)


def _weight(before: torch.Tensor, after: torch.Tensor, mean: torch.Tensor) -> float:
    """How far the running mean went to that of the batch."""
    way = mean - before
    return float(((after - before) * way).sum() / way.pow(2).sum().clamp_min(1e-30))


def _which(taken: torch.Tensor, biased: torch.Tensor, n: int, m: float) -> int:
    """1 for the biased variance, 2 for the unbiased, 0 for neither."""
    near = max(1e-5 / max(abs(m), 1e-5), 1e-5)
    for k, var in ((1, biased), (2, biased * n / max(n - 1, 1))):
        if float(((taken - var).abs() / var.clamp_min(1e-30)).median()) < near:
            return k
    return 0
