"""What an optimizer decays, and what it does not have."""

import math
from collections.abc import Iterator
from typing import Any

from normcourse.doctor.checks.measure import few
from normcourse.doctor.checks.record import Found, check
from normcourse.doctor.patient import Patient

STEPS = 10_000  # to half; what decays more slowly hardly moves in a usual training


def _decayed(patient: Patient, logits: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """The norms' parameters that are decayed, with their group."""
    groups = {
        id(p): group
        for optimizer in patient.optimizers
        for group in optimizer.param_groups
        for p in group["params"]
        if group.get("weight_decay", 0) > 0
    }
    for norm in patient.norms:
        own = [norm.weight, norm.bias] if not norm.offset else [norm.bias]  # γ - 1 goes to γ = 1
        for name in ["mean_weight", "var_weight"] if logits else own:
            parameter = getattr(norm.module, name, None) if name else None
            if parameter is not None and parameter.requires_grad and id(parameter) in groups:
                yield patient.qualified(norm, name), groups[id(parameter)]


def _steps(group: dict[str, Any]) -> float:
    """After so many steps without a gradient a parameter is half as large."""
    rate = float(group["lr"]) * float(group["weight_decay"])
    return math.log(2) / rate if rate > 0 else math.inf


def _said(patient: Patient, logits: bool) -> Iterator[Found]:
    found = list(_decayed(patient, logits))
    if not found:
        return
    name, group = min(found, key=lambda pair: _steps(pair[1]))
    steps = _steps(group)
    measured = f"{len(found)} parameters with weight_decay {float(group['weight_decay']):g}: "
    measured += f"half in {few(steps)} steps by decay alone, at lr {float(group['lr']):g}"
    values = {"parameters": len(found), "steps": steps}
    yield Found(name, measured, values, "warning" if steps < STEPS else "note")


@check(
    "warning",
    "Decay pulls γ and β to 0 and regularizes nothing: the next layer makes up for the scale.",
    "Parameters with one axis go into a group with weight_decay=0.",
    "#weight-decay-on-scale-and-shift",
    "huggingface/transformers#35927 huggingface/transformers#16908 huggingface/transformers#4360",
    "optimizer",
)
def decay_on_norm(patient: Patient) -> Iterator[Found]:
    """Weight decay on γ and β."""
    yield from _said(patient, logits=False)


@check(
    "warning",
    "Decay pulls the logits to 0, where instance, layer and batch statistics count the same.",
    "mean_weight and var_weight go into a group with weight_decay=0.",
    "adaptive/switchable_norm.html#when-to-use-it-when-not",
    "majumderb/rezero#14 huggingface/transformers#35927",
    "optimizer",
)
def decay_on_logits(patient: Patient) -> Iterator[Found]:
    """Weight decay on the logits of switchable normalization."""
    yield from _said(patient, logits=True)


@check(
    "warning",
    "What no optimizer has stays as it was initialized.",
    "Build the optimizer from model.parameters(), after the last layer was added or moved.",
    "#the-output-is-constant-or-a-parameter-does-not-move",
    "zjunlp/HVPNeT#5 pytorch/pytorch#14467 LaurentMazare/ocaml-torch#36",
    "optimizer",
)
def missing_parameters(patient: Patient) -> Iterator[Found]:
    """Trainable parameters that no optimizer has."""
    held = {id(p) for o in patient.optimizers for group in o.param_groups for p in group["params"]}
    trainable = [(n, p) for n, p in patient.model.named_parameters() if p.requires_grad]
    missing = [(name, p) for name, p in trainable if id(p) not in held]
    if missing:
        numbers = sum(p.numel() for _, p in missing)
        measured = f"{len(missing)} of {len(trainable)} trainable parameters, {numbers} numbers"
        none = len(missing) == len(trainable)  # an optimizer of another model, or of an old copy
        values = {"parameters": len(missing), "numbers": numbers}
        yield Found(missing[0][0], measured, values, "severe" if none else None)
