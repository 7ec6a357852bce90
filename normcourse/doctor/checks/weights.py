"""Normalized weights, and what of a checkpoint arrives in the model."""

import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils.spectral_norm import SpectralNorm

from normcourse.doctor.checks.measure import few
from normcourse.doctor.checks.record import Found, Unchecked, check
from normcourse.doctor.patient import Patient
from normcourse.doctor.preserve import preserved

LARGEST = 2048  # rows or columns for a decomposition


@check(
    "warning",
    "The layer is divided by an estimate: it is steeper than it seems by this factor.",
    "More power iterations, a few forward passes in train() mode, or loading u and v, too.",
    "weights/spectral_norm.html#the-forward-pass-power-iteration",
    "pytorch/pytorch#51800 pytorch/pytorch#59564",
)
def spectral_norm_estimate(patient: Patient) -> Iterator[Found]:
    """A spectral norm whose estimate is far from the largest singular value."""
    for name, weight, u, v, training in _spectral(patient.model):
        patient.tick()
        if min(weight.shape) > LARGEST or weight.is_meta:
            continue
        matrix, u, v = (t.detach().double() for t in (weight, u, v))
        estimate = float((u @ matrix @ v).abs())
        true = float(torch.linalg.matrix_norm(matrix, 2))
        factor = true / max(estimate, 1e-30)
        if factor < 1.1:  # one step of an update moves it less
            continue
        severity = None
        if training:  # what twenty more forward passes put right is only young
            for _ in range(20):
                v = nn.functional.normalize(matrix.T @ u, dim=0)
                u = nn.functional.normalize(matrix @ v, dim=0)
            severity = "note" if true / float(u @ matrix @ v) < 1.1 else None
        measured = (
            f"largest singular value {true:.3g}, estimate {estimate:.3g}: {few(factor)} times"
        )
        yield Found(name, measured, {"factor": factor}, severity)


def _spectral(model: nn.Module) -> Iterator[tuple[str, Any, Any, Any, bool]]:
    """(name, weight as a matrix, u, v, training) of every weight under spectral norm."""
    for prefix, module in model.named_modules():
        if parametrize.is_parametrized(module):
            for key, held in module.parametrizations.items():
                for norm in held:
                    if isinstance(norm, parametrizations._SpectralNorm) and hasattr(norm, "_u"):
                        matrix = norm._reshape_weight_to_matrix(held.original.detach())
                        name = f"{prefix}.{key}" if prefix else key
                        yield name, matrix, norm._u, norm._v, norm.training
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm):
                weight = getattr(module, f"{hook.name}_orig").detach()
                u, v = (getattr(module, f"{hook.name}_{letter}") for letter in "uv")
                matrix = hook.reshape_weight_to_matrix(weight)
                name = f"{prefix}.{hook.name}" if prefix else hook.name
                yield name, matrix, u, v, module.training


WEIGHT_NORM = re.compile(r"(parametrizations\.\w+\.original[01]|_[gv])$")
BUFFERS = re.compile(r"(running_mean|running_var)$")


def _missing(patient: Patient) -> tuple[list[str], list[str], int]:
    """(keys of the model that were not loaded, keys that found no place, all of the model)."""
    assert patient.checkpoint is not None
    with preserved(patient.model):
        try:
            told = patient.model.load_state_dict(patient.checkpoint, strict=False)
        except RuntimeError as error:
            reason = str(error).strip().split("\n")
            raise Unchecked(f"the checkpoint does not fit: {reason[-1].strip()[:150]}") from error
        total = len(patient.model.state_dict())
    return list(told.missing_keys), list(told.unexpected_keys), total


@check(
    "severe",
    "With strict=False the biases are loaded, and the weights stay random.",
    "Rename weight_g and weight_v to parametrizations.weight.original0 and 1, or back; load "
    "strictly.",
    "#weight-norm-under-its-old-names",
    "huggingface/transformers#33275 huggingface/transformers#35123 huggingface/transformers#32194",
    "checkpoint",
)
def weight_norm_old_keys(patient: Patient) -> Iterator[Found]:
    """Weights under weight norm that the checkpoint has under other names."""
    missing, unexpected, total = _missing(patient)
    lost = [key for key in missing if WEIGHT_NORM.search(key)]
    other = [key for key in unexpected if WEIGHT_NORM.search(key)]
    if lost and other:
        measured = f"{len(lost)} of {total} tensors are not loaded; {len(other)} of the checkpoint "
        measured += f"find no place, as {other[0]}"
        yield Found(lost[0], measured, {"missing": len(lost), "unexpected": len(other)})


@check(
    "severe",
    "The running statistics stay as they are in this model, and the weights belong to others.",
    "Save model.state_dict(), which has the buffers, not parameters() or those that are trained.",
    "#an-adapter-file-without-the-buffers",
    "fadel/pytorch_ema#13 boschresearch/OASIS#21",
    "checkpoint",
)
def checkpoint_without_buffers(patient: Patient) -> Iterator[Found]:
    """A checkpoint with a batch norm's weights, and without its running statistics."""
    missing, _, total = _missing(patient)
    assert patient.checkpoint is not None
    lost = []
    for norm in patient.tracking:
        buffers = [patient.qualified(norm, name) for name in norm.running]
        has_weight = patient.qualified(norm, norm.weight or "weight") in patient.checkpoint
        if has_weight and set(buffers) & set(missing):
            lost += buffers
    if lost:
        measured = f"{len(lost)} of {total} tensors are not loaded: running statistics"
        yield Found(lost[0], measured, {"missing": len(lost)})
