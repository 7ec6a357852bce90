"""The examination: run every check under observation, and leave everything as it was."""

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from normcourse.doctor.checks import CHECKS
from normcourse.doctor.checks.record import ORIGINS, Check, Found, Unchecked, inspect
from normcourse.doctor.patient import ModelError, Patient
from normcourse.doctor.preserve import preserved
from normcourse.doctor.report import NAMED, SEVERITIES, Finding, NotChecked, Report
from normcourse.doctor.trace import OutOfTime, map_tensors

__all__ = ["as_tensors", "examine", "teller"]

QUIET = 2.0  # seconds before progress is told


def examine(
    model: nn.Module,
    batch: Any = None,
    optimizer: torch.optim.Optimizer | Iterable[torch.optim.Optimizer] | None = None,
    *,
    target_or_loss: Any = None,
    data: Iterable[Any] | None = None,
    scaler: Any = None,
    train_table: Any = None,
    test_table: Any = None,
    micro_batches: int | None = None,
    checkpoint: Mapping[str, Any] | None = None,
    averaged: nn.Module | None = None,
    ranks: Iterable[nn.Module | Mapping[str, Any]] | None = None,
    origin: str | None = None,
    checks: Iterable[str] | None = None,
    time_limit: float = 60,
    progress: Callable[[str], None] | bool | None = None,
) -> Report:
    """Look for mistakes in normalization, each with a measurement.

    The model, the batch, the optimizer and the random states are as before afterwards, also where
    the model raises or the time is up. What a check needs and was not given is told in the report.

    Args:
        model: any module; norms are recognized by what they compute.
        batch: what the model is called with: a tensor, a tuple of arguments or a dictionary of
            named ones. Of more than 32 samples, the first are run.
        optimizer: one or several, for what is decayed and what is trained at all.
        target_or_loss: targets of the batch, or a function from the output to the loss, for the
            checks that differentiate; without it, a fixed random projection of the output.
        data: batches, for sizes and statistics; a DataLoader or a list. Of a pair (input, target)
            the input is used. No iterator, which would be used up.
        scaler: a fitted scaler of scikit-learn or of this course.
        train_table, test_table: arrays (rows, features) as they were before scaling.
        micro_batches: in how many parts a batch goes through the model before a step is taken.
        checkpoint: a state dict that is to be loaded into the model.
        averaged: a copy with averaged weights (EMA, SWA, mean teacher).
        ranks: models or state dicts of the other devices.
        origin: where the model or its weights come from: keras, tensorflow, flax, torch, llama
            or gemma.
        checks: names of the checks to make; None for all. ``normcourse.doctor.CHECKS`` has them.
        time_limit: in seconds. It ends at the next call of a module.
        progress: a function that is told what is going on, True to print it, False for silence;
            None prints it after two seconds where a terminal is watching.

    Returns:
        A report; its first finding is the most severe.

    Raises:
        TypeError: the model is no module, or an argument is of the wrong type.
        ValueError: an origin or a check that is not known, or a number out of range.
    """
    chosen = _chosen(checks)
    optimizers = _checked(model, optimizer, origin, micro_batches, time_limit, data, checkpoint)
    train_table, test_table = _table("train_table", train_table), _table("test_table", test_table)
    told = teller(progress)
    started = time.monotonic()
    unwrapped: Any = model
    for wrapper in ("_orig_mod", "module"):  # torch.compile; DataParallel and its distributed kin
        wrapped = type(unwrapped).__name__ in WRAPPERS
        unwrapped = getattr(unwrapped, wrapper, unwrapped) if wrapped else unwrapped
    others = tuple(ranks or ())
    watched = [m for m in (unwrapped, averaged, *others) if isinstance(m, nn.Module)]
    found: list[Finding] = []
    sound: list[str] = []
    skipped: list[NotChecked] = []
    error, out = "", False
    with preserved(*watched):
        if batch is None and data is not None and not hasattr(data, "__next__"):
            batch = _input(next(iter(data), None))  # a DataLoader asks for a random number
        batch = as_tensors(batch, unwrapped)
        patient = Patient(
            unwrapped,
            batch,
            optimizers,
            target_or_loss,
            data,
            scaler,
            train_table,
            test_table,
            micro_batches,
            None if checkpoint is None else dict(checkpoint),
            averaged,
            others,
            origin,
            started + time_limit,
        )
        for k, checked in enumerate(chosen):
            told(f"{checked.name} ({k + 1} of {len(chosen)})")
            if out or time.monotonic() > patient.deadline:
                skipped.append(NotChecked(checked.name, f"the {time_limit:g} seconds were over"))
                continue
            try:
                results = inspect(checked, patient)
            except Unchecked as reason:
                skipped.append(NotChecked(checked.name, str(reason)))
                if isinstance(reason, ModelError) and "trace" not in vars(patient):
                    error = error or str(reason).removeprefix("the model raised ")
            except OutOfTime:
                out = True
                skipped.append(NotChecked(checked.name, f"the {time_limit:g} seconds were over"))
            except Exception as failure:
                said = f"the check itself failed: {type(failure).__name__}: {failure}"
                skipped.append(NotChecked(checked.name, said))
            else:
                found += [_finding(checked, result) for result in results]
                if not results:
                    sound.append(checked.name)
        if batch is not None and not (out or error):
            skipped += _functional(patient)
    told("")
    found.sort(key=lambda finding: -SEVERITIES.index(finding.severity))
    return Report(
        type(unwrapped).__name__,
        tuple(found),
        tuple(sound),
        tuple(skipped),
        time.monotonic() - started,
        error,
    )


WRAPPERS = ("OptimizedModule", "DataParallel", "DistributedDataParallel")


def _finding(checked: Check, result: Found) -> Finding:
    return Finding(
        checked.name,
        result.severity or checked.severity,
        result.where,
        result.measured,
        result.values,
        result.why or checked.why,
        result.change or checked.change,
        checked.page,
        checked.threads,
    )


def _functional(patient: Patient) -> list[NotChecked]:
    """The norms that no check sees: they are functions, not modules."""
    try:
        called = patient.functional
    except (Exception, OutOfTime):  # a watched function is no reason to lose a report
        return []
    return [
        NotChecked("norms that are no modules", f"{function} is called in {_some(names)}")
        for function, names in called.items()
    ]


def _some(names: list[str], n: int = NAMED) -> str:
    named = ", ".join(name or "the model" for name in names[:n])
    return named if len(names) <= n else f"{named} and {len(names) - n} more"


def _chosen(names: Iterable[str] | None) -> list[Check]:
    if names is None:
        return list(CHECKS.values())
    if isinstance(names, str):
        names = (names,)
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        raise ValueError(f"checks has {unknown[0]!r}, which is none of {', '.join(CHECKS)}.")
    return [CHECKS[name] for name in names]


def _checked(
    model: Any,
    optimizer: Any,
    origin: Any,
    micro_batches: Any,
    time_limit: Any,
    data: Any,
    checkpoint: Any,
) -> tuple[torch.optim.Optimizer, ...]:
    """Raise for what cannot be; return the optimizers."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}.")
    if isinstance(model, torch.jit.ScriptModule):
        raise TypeError("model is a ScriptModule, which cannot be watched: give the original.")
    for name, held in [*model.named_parameters(), *model.named_buffers()]:
        if torch.nn.parameter.is_lazy(held):
            raise ValueError(f"model has no values for {name} yet: call it once, then ask again.")
        if held.is_meta:
            raise ValueError(f"model has no values for {name}, which is on the meta device.")
    if origin is not None and origin not in ORIGINS:
        raise ValueError(f"origin must be one of {', '.join(ORIGINS)}, got {origin!r}.")
    if micro_batches is not None and (not isinstance(micro_batches, int) or micro_batches < 2):
        raise ValueError(
            f"micro_batches is in how many parts a batch is split, at least 2; got {micro_batches}."
        )
    if not time_limit > 0:
        raise ValueError(f"time_limit must be above 0 seconds, got {time_limit}.")
    if checkpoint is not None and not isinstance(checkpoint, Mapping):
        raise TypeError(f"checkpoint must be a state dict, got {type(checkpoint).__name__}.")
    if data is not None and not hasattr(data, "__iter__"):
        raise TypeError(f"data must be an iterable of batches, got {type(data).__name__}.")
    if optimizer is None:
        return ()
    several = (optimizer,) if hasattr(optimizer, "param_groups") else tuple(optimizer)
    for one in several:
        if not hasattr(one, "param_groups"):
            raise TypeError(
                f"optimizer must be a torch.optim.Optimizer or several, got {type(one).__name__}."
            )
    return several


def as_tensors(batch: Any, model: nn.Module) -> Any:
    """Arrays as tensors, in the model's dtype where they are floating point, on its device.

    Another mapping, as tokenizers return, is a dictionary of named arguments, too.
    """
    held = [*model.parameters(), *model.buffers()]
    like = next((t for t in held if t.is_floating_point()), None)
    return _converted(dict(batch) if isinstance(batch, Mapping) else batch, like)


def _converted(batch: Any, like: torch.Tensor | None) -> Any:
    if isinstance(batch, np.ndarray):
        made = torch.as_tensor(batch)
        batch = made.to(like.dtype) if like is not None and made.is_floating_point() else made
    elif isinstance(batch, dict):
        return {key: _converted(value, like) for key, value in batch.items()}
    elif type(batch) in (list, tuple):
        return type(batch)(_converted(value, like) for value in batch)
    return batch if like is None else map_tensors(lambda t: t.to(like.device), batch)


def _input(batch: Any) -> Any:
    """The input of a pair (input, target)."""
    return batch[0] if type(batch) in (list, tuple) and batch else batch


def _table(name: str, table: Any) -> Any:
    """As an array (rows, features) of float64."""
    if table is None:
        return None
    array = np.asarray(table, dtype=np.float64)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"{name} must be a table (rows, features), got shape {array.shape}.")
    return array


def teller(progress: Any) -> Callable[[str], None]:
    if callable(progress):
        return lambda text: progress(text) if text else None
    if progress is False or (progress is None and not sys.stderr.isatty()):
        return lambda text: None
    start = time.monotonic()

    def tell(text: str) -> None:
        if progress or time.monotonic() > start + QUIET:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()

    return tell
