"""Training and evaluation mode, and what is frozen."""

from collections.abc import Iterator
from typing import Any

import torch

from normcourse.doctor.checks.measure import (
    batch_dependence,
    batch_is_second,
    few,
    moved_by_a_batch,
    percent,
    updated,
)
from normcourse.doctor.checks.record import Found, Unchecked, check
from normcourse.doctor.patient import Patient, size_of
from normcourse.doctor.recognize import Norm, noise


@check(
    "warning",
    "In training mode a sample's output depends on which others are in its batch.",
    "Call model.eval() where predictions are made.",
    "#a-forgotten-eval",
    "fxia22/pointnet.pytorch#19 milesial/Pytorch-UNet#31 yunjey/pytorch-tutorial#62",
    "batch",
)
def forgotten_eval(patient: Patient) -> Iterator[Found]:
    """Handed over in training mode, with running statistics that are there to be used."""
    ready = [n for n in patient.tracking if patient.modes[n.module] and updated(n)]
    if patient.optimizers or not ready:  # with an optimizer it is being trained
        return
    apart, _ = batch_dependence(patient, training=True)
    if apart > 1e-3:  # float32 alone: below 1e-5
        measured = f"a sample's output changes by {percent(apart)} with its company"
        count = f"norms in training mode: {len(ready)}"
        yield Found(ready[0].name, f"{measured}; {count}", {"change": apart})


@check(
    "warning",
    "The same sample gets another result in another batch, and none that can be repeated.",
    "Compute statistics inside a sample, or keep running statistics and use them in eval().",
    "#no-running-statistics",
    "xuexingyu24/License_Plate_Detection_Pytorch#22 keras-team/keras#3085",
    "batch",
)
def evaluation_depends_on_batch(patient: Patient) -> Iterator[Found]:
    """In evaluation mode a sample's output depends on the others."""
    half = next(iter(patient.model.parameters()), torch.empty(0)).dtype.itemsize < 4
    apart, where = batch_dependence(patient, training=False)
    if apart <= (0.05 if half else 1e-3):
        return
    own = {n.name: n for n in patient.batch_norms}
    if where in own and not own[where].own and not own[where].tracks:
        return  # no_running_statistics says it
    values = {"change": apart}
    measured = f"a sample's output changes by {percent(apart)} with its company, in eval()"
    module = None if where is None else patient.model.get_submodule(where)
    if where is not None and (where in own or not _torchs(module)):
        yield Found(where, measured, values)
    elif not batch_is_second(patient):  # positions of a sequence do depend on one another
        why = "If the first axis is the batch, a function between the layers mixes samples."
        yield Found(where or "", measured, values, "note", why)


def _torchs(module: Any) -> bool:
    return type(module).__module__.startswith("torch.nn")


@check(
    "warning",
    "requires_grad stops gradients; running statistics have none and move with every batch.",
    "Call eval() on the frozen part after every train(), best in an override of train().",
    "#frozen-in-its-parameters-only",
    "pytorch/pytorch#86590 jfzhang95/pytorch-deeplab-xception#140",
)
def frozen_by_requires_grad(patient: Patient) -> Iterator[Found]:
    """γ and β are frozen, and the running statistics still move."""
    for norm in patient.tracking:
        if patient.modes[norm.module] and _frozen(norm):
            moved = moved_by_a_batch(norm)
            if moved is not None and moved > 0:
                measured = f"a batch that is one deviation away moves the mean by {few(moved)}"
                yield Found(norm.name, measured, {"moved": moved})


@check(
    "warning",
    "train() is called once an epoch and sets every module to training, frozen or not.",
    "Override train() in the frozen part so that it stays in evaluation mode.",
    "#a-freeze-that-training-mode-undoes",
    "pgniewko/gt-pyg#112 poppinace/indexnet_matting#35",
)
def freezing_undone_by_train(patient: Patient) -> Iterator[Found]:
    """Norms were put into evaluation mode, and train() takes them out of it."""
    held = [n for n in patient.tracking if not patient.modes[n.module]]
    model_trains = patient.modes[patient.model]
    # In a model that is in evaluation mode as a whole, only frozen parameters tell the intention.
    held = [n for n in held if model_trains or (_frozen(n) and patient.parameters)]
    if not held:
        return
    for module, mode in patient.modes.items():
        module.training = mode
    try:
        patient.model.train()
        undone = [n for n in held if n.module.training]
    finally:
        for module, mode in patient.modes.items():
            module.training = mode
    if undone:
        moved = moved_by_a_batch(undone[0])
        measured = f"train() sets {len(undone)} of {len(held)} held norms to training"
        values: dict[str, float] = {"undone": len(undone)}
        if moved is not None:
            measured += f"; a batch one deviation away then moves the mean by {few(moved)}"
            values["moved"] = moved
        yield Found(undone[0].name, measured, values)


def _frozen(norm: Norm) -> bool:
    own = list(norm.module.parameters(recurse=False))
    return bool(own) and not any(p.requires_grad for p in own)


@check(
    "warning",
    "track_running_stats=False means the batch's statistics in both modes.",
    "Keep running statistics and call eval(), or take a norm inside the sample.",
    "#no-running-statistics",
    "pytorch/pytorch#156051 pytorch/pytorch#30294",
)
def no_running_statistics(patient: Patient) -> Iterator[Found]:
    """A batch norm without running statistics: evaluation uses the batch, also one of 1."""
    for norm in patient.batch_norms:
        if norm.tracks or norm.own:
            continue
        probe = norm.probe()
        if probe.x is None:
            raise Unchecked(f"{norm.name} takes an input that is not known")
        x = noise(tuple(probe.x.shape), probe.x)
        try:
            alone, company = probe(x[:1]), probe(x)[:1]
        except ValueError:
            values = {"numbers": 1.0}
            said = "a single sample raises an error in eval(): 1 number in a statistic"
        else:
            change = float((alone - company).abs().max() / company.abs().max())
            values = {"change": change}
            said = f"a sample alone changes by {percent(change)} in eval()"
        severity = "severe" if size_of(patient.batch) == 1 else None
        yield Found(norm.name, said, values, severity)
