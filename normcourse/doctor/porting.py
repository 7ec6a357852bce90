"""Two models that should be the same: where their outputs part, and what explains it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from normcourse.doctor.checks.measure import few, percent
from normcourse.doctor.conventions import EXPLANATIONS, Outputs
from normcourse.doctor.examine import as_tensors, teller
from normcourse.doctor.explain import Cause, causes, settings_of, vectors
from normcourse.doctor.pairs import (
    Pair,
    aligned,
    as_tensor,
    observe,
    output_of,
    paired,
    paired_with_arrays,
)
from normcourse.doctor.patient import ModelError
from normcourse.doctor.preserve import preserved
from normcourse.doctor.recognize import Probe
from normcourse.doctor.replay import HALF, UNEQUAL, apart, unequal, unit
from normcourse.doctor.report import Finding, NotChecked, Report
from normcourse.doctor.statistics_moved import moved_apart
from normcourse.doctor.trace import OutOfTime

__all__ = ["compare"]

PORTED = "practice/pitfalls.html#a-ported-or-converted-model-is-off"
ROUNDINGS = 8  # times what half a rounding of the input does to the output
SEVERE = 0.01  # of the output's root mean square


def compare(
    model_a: nn.Module,
    model_b: nn.Module | Mapping[str, Any],
    batch: Any,
    *,
    batch_b: Any = None,
    statistics: Mapping[str, tuple[Any, Any]] | None = None,
    time_limit: float = 60,
    progress: Callable[[str], None] | bool | None = None,
) -> Report:
    """Where the outputs of two models part first, and which convention of a norm explains it.

    A model that is in training mode is run in evaluation mode; of one in evaluation mode, each
    module is run as it is. Both are as before afterwards, also where one raises. Explanations are
    tried on the recorded input of the first model's norm, and are told only where they remove the
    difference down to rounding.

    Args:
        model_a: the model whose outputs are right.
        model_b: the other one; or outputs that were recorded in another framework, name -> array,
            in their order and in a layout of their own. Names are those of ``model_a``, or such
            that a norm's sounds like one (``bn1``, ``layer_norm``); "output" is the model's.
        batch: what the models are called with, as for ``normcourse.doctor``.
        batch_b: for ``model_b``, where it takes another layout.
        statistics: with recorded outputs: name -> (running mean, running variance) after this batch
            went through once in training mode, for momentum.
        time_limit: in seconds. It ends at the next call of a module.
        progress: as for ``normcourse.doctor``.

    Returns:
        A report; ``outputs_part`` is the place, and what follows are explanations.

    Raises:
        TypeError: ``model_a`` is no module, or ``model_b`` neither a module nor a dictionary.
        ValueError: ``time_limit`` is not above 0.
    """
    if not isinstance(model_a, nn.Module):
        raise TypeError(f"model_a must be a torch.nn.Module, got {type(model_a).__name__}.")
    if not isinstance(model_b, nn.Module | Mapping):
        raise TypeError(
            "model_b must be a torch.nn.Module or a dictionary of outputs, got "
            f"{type(model_b).__name__}."
        )
    if not time_limit > 0:
        raise ValueError(f"time_limit must be above 0 seconds, got {time_limit}.")
    started = time.monotonic()
    work = Comparison(started + time_limit, teller(progress), statistics or {})
    error = ""
    models = [m for m in (model_a, model_b) if isinstance(m, nn.Module)]
    with preserved(*models):
        for model in models:
            if model.training:
                model.eval()
        try:
            batch_b = batch if batch_b is None else batch_b
            work.run(model_a, model_b, batch, batch_b)
        except ModelError as reason:
            error = str(reason).removeprefix("the model raised ")
            work.skipped.append(NotChecked("outputs", str(reason)))
        except OutOfTime:
            work.skipped.append(NotChecked("the rest", f"the {time_limit:g} seconds were over"))
    work.told("")
    found = {finding.check for finding in work.findings}
    sound = () if error or work.skipped else tuple(n for n in EXPLANATIONS if n not in found)
    other = type(model_b).__name__ if isinstance(model_b, nn.Module) else "recorded outputs"
    return Report(
        f"{type(model_a).__name__} and {other}",
        tuple(work.findings),
        sound,
        tuple(work.skipped),
        time.monotonic() - started,
        error,
    )


@dataclass
class Comparison:
    """The findings so far."""

    deadline: float
    told: Callable[[str], None]
    statistics: Mapping[str, tuple[Any, Any]]

    def __post_init__(self) -> None:
        self.findings: list[Finding] = []
        self.skipped: list[NotChecked] = []
        self.parted = False

    def tick(self) -> None:
        if time.monotonic() > self.deadline:
            raise OutOfTime

    def run(self, a: nn.Module, b: Any, batch: Any, batch_b: Any) -> None:
        self.told("the first model")
        ones, trace = observe(a, as_tensors(batch, a), self.deadline)
        live = isinstance(b, nn.Module)
        if live:
            self.told("the second model")
            others, trace_b = observe(b, as_tensors(batch_b, b), self.deadline)
            pairs = paired(ones, others)
            output = output_of(trace_b)
        else:
            inner = {name: value for name, value in b.items() if name not in ("", "output")}
            pairs = paired_with_arrays(ones, inner)
            output = next((as_tensor(b[k]) for k in ("", "output") if k in b), None)
        self._unpaired([s.name for s in ones if s.norm is not None], pairs)
        self._first_parting(pairs)
        for k, pair in enumerate(pairs):
            if pair.one.norm is not None:
                self.told(f"{pair.one.name} ({k + 1} of {len(pairs)})")
                self._explain(pair, live)
        self._end(output_of(trace), output)
        if live or self.statistics:
            self._momentum(a, batch, pairs, live)

    def _unpaired(self, norms: list[str], pairs: list[Pair]) -> None:
        have = {pair.one.name for pair in pairs}
        for name in dict.fromkeys(norms):
            if name not in have:
                self.skipped.append(NotChecked(name, "the other has no output that fits"))
        if not pairs:
            self.skipped.append(NotChecked("all modules", "none could be paired"))

    # --- where ---

    def _first_parting(self, pairs: list[Pair]) -> None:
        """The first module whose output does not agree, and whether its input does."""
        came = 0.0  # roundings by which what came before is apart
        for pair in pairs:
            self.tick()
            inside = came
            if pair.x is not None:
                inside = apart(pair.one.x, pair.x) / unit(pair.one.x)
            pair.away = apart(pair.one.y, pair.y)
            limit = _limit(pair, min(inside, max(came, 1.0)))
            if _same(pair.one.y, pair.y, limit, pair.one.norm is not None and inside == 0):
                came = max(came, pair.away / unit(pair.one.y))
                continue
            agreed = inside <= max(64.0, 4 * came)
            self._part(pair, inside, agreed)
            self.parted = True
            return

    def _part(self, pair: Pair, inside: float, agreed: bool) -> None:
        y, name = pair.one.y, pair.one.name
        share = pair.away / max(float(y.double().pow(2).mean().sqrt()), 1e-30)
        where = name if pair.name == name else f"{name} ({pair.name} in the other)"
        roundings = pair.away / unit(y)
        measured = f"its output is {few(roundings)} roundings away, {percent(share)} of its size; "
        measured += f"its input {'agrees to' if agreed else 'differs already by'} {few(inside)}"
        change = "See the explanation below."
        if not agreed:
            measured += ", and no module before differs"
            change = "Look at what stands between this module and the one before it."
        elif pair.one.norm is None:
            measured += _weights_apart(pair)
            change = "Compare this module's weights and arguments: it is no norm."
        values = {"roundings": roundings, "share": share, "input": inside}
        self._find("outputs_part", share, where, measured, values, change, PORTED)

    def _end(self, y: torch.Tensor | None, other: torch.Tensor | None) -> None:
        """The outputs of the models, if nothing before has parted."""
        if self.parted or y is None or other is None or y.numel() == 0:
            return
        axes = aligned(y, other)
        if axes is None:
            self.skipped.append(NotChecked("output", "the outputs have other shapes"))
            return
        away = apart(y, other.permute(axes) if axes else other.reshape(y.shape))
        roundings = away / unit(y)
        if roundings > 1000:
            size = float(y.double().pow(2).mean().sqrt())
            measured = (
                f"{few(roundings)} roundings away, {percent(away / max(size, 1e-30))} of its "
            )
            measured += "size; no compared module differs"
            values = {"roundings": roundings}
            change = "Look behind the last compared module."
            self._find("outputs_part", away / size, "output", measured, values, change, PORTED)

    # --- why ---

    def _explain(self, pair: Pair, live: bool) -> None:
        """Replay the other's norm from the first one's input, and try explanations."""
        one = pair.one
        assert one.norm is not None
        x, y = one.x, pair.y
        if live:
            made = self._replayed(pair)
            y = pair.y if made is None else made
        elif self.parted and not self.findings[0].where.startswith(one.name):
            return  # what comes after the first follows from it
        if apart(one.y, y) == 0:
            return
        limit = _limit(replace(pair, y=y), 0.0 if live else 1.0)
        if _same(one.y, y, limit, live):
            return
        base = settings_of(one.norm, x, one.y, limit, one.module.training)
        if base is None:
            self.skipped.append(NotChecked(one.name, "no formula replays this norm"))
            return
        theirs = pair.other.norm if pair.other is not None else None
        held = {} if theirs is None else vectors(theirs)
        away = apart(one.y, y)
        outputs = Outputs(x, y, limit, held, away)
        found = causes(base, outputs, self.tick)
        share = away / max(float(one.y.double().pow(2).mean().sqrt()), 1e-30)
        for cause in found:
            self._tell(cause, one.name, away / unit(one.y), share, unit(one.y))
        if not found:
            measured = f"{few(away / unit(one.y))} roundings from the same input; none of "
            measured += f"{len(EXPLANATIONS) - 2} explanations and no pair of them removes it"
            values = {"roundings": away / unit(one.y), "share": share}
            change = "Compare this norm's code line by line: it is a difference of its own."
            self._find("not_explained", share, one.name, measured, values, change, PORTED)

    def _replayed(self, pair: Pair) -> torch.Tensor | None:
        """What the other's norm makes of the first one's input; None where it takes no such."""
        other = pair.other
        if other is None or not pair.axes:
            return None
        back = tuple(pair.axes.index(a) for a in range(len(pair.axes)))
        x = pair.one.x.permute(back) if pair.one.x.ndim == len(back) else pair.one.x
        try:
            y = Probe(other.module, other.call)(x.to(other.x.dtype), other.module.training)
        except Exception:
            return None
        return y.permute(pair.axes) if y.ndim == len(pair.axes) else None

    def _tell(self, cause: Cause, where: str, before: float, share: float, one: float) -> None:
        about = [EXPLANATIONS[name] for name in cause.names]
        measured = f"{cause.said}: with that {few(before)} roundings become {few(cause.left / one)}"
        values = {"roundings": before, "left": cause.left / one, "share": share}
        for explained in about:
            self._find(
                explained.name, share, where, measured, values, explained.change, explained.page
            )

    def _momentum(self, a: nn.Module, batch: Any, pairs: list[Pair], live: bool) -> None:
        """Running statistics after the batch in training mode."""
        for found in moved_apart(a, as_tensors(batch, a), pairs, self.statistics, self.deadline):
            explained = EXPLANATIONS.get(found.name)
            change = explained.change if explained else "Compare what updates the statistics."
            page = explained.page if explained else PORTED
            share = min(found.share, SEVERE)  # outputs are the same as yet: a warning
            self._find(found.name, share, found.where, found.measured, found.values, change, page)

    def _find(
        self,
        check: str,
        share: float,
        where: str,
        measured: str,
        values: Mapping[str, float],
        change: str,
        page: str,
    ) -> None:
        severity = "severe" if share > SEVERE else "warning"
        known = EXPLANATIONS.get(check)
        why = known.about if known else "From here on the two compute different things."
        finding = Finding(check, severity, where, measured, values, why, change, page)
        self.findings.append(finding)


def _limit(pair: Pair, inside: float) -> float:
    """The largest difference that rounding may make: in the output, ``inside`` in the input."""
    one = pair.one
    x = one.x
    least = unit(one.y)
    if apart(one.y, pair.y) == 0:  # whatever the limit is
        return ROUNDINGS * least
    if x.is_floating_point() and x.dtype not in HALF:
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0)).to(x)
        try:
            probe = Probe(one.module, one.call)
            moved = probe(x + (0.5 + inside) * unit(x) * noise, one.module.training)
            least = max(least, apart(moved, one.y))
        except Exception:  # it takes no such input
            least *= 8 + inside
    else:
        least *= 1 + inside
    return ROUNDINGS * least


def _same(y: torch.Tensor, other: torch.Tensor, limit: float, exact: bool) -> bool:
    """Whether two outputs agree; in half precision, from equal inputs, nearly number by number."""
    if y.dtype in HALF and exact:
        return unequal(y, other) <= UNEQUAL
    return apart(y, other) <= limit


def _weights_apart(pair: Pair) -> str:
    """How far the parameters of two modules are apart, in words."""
    if pair.other is None:
        return ""
    theirs = dict(pair.other.module.named_parameters())
    for name, own in pair.one.module.named_parameters():
        if name in theirs and theirs[name].shape == own.shape:
            away = apart(own, theirs[name])
            if away > 0:
                return f"; its {name} differs by up to {few(away)}"
    return "; its parameters are the same"
