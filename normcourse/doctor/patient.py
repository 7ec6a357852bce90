"""The model under examination, what was given with it, and the runs that the checks share."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import nn

from normcourse.doctor.checks.record import Unchecked
from normcourse.doctor.preserve import same
from normcourse.doctor.recognize import Norm, candidate, recognize
from normcourse.doctor.trace import Call, OutOfTime, Trace, first_tensor, map_tensors, watch

__all__ = ["ModelError", "Patient", "samples", "size_of", "slopes", "tensors_of"]

SAMPLES = 32  # of a batch that are run


class ModelError(Unchecked):
    """The model raised an error."""


@dataclass
class Patient:
    """A model with everything that was given. What checks need is computed once, when asked for."""

    model: nn.Module
    batch: Any = None
    optimizers: tuple[torch.optim.Optimizer, ...] = ()
    target_or_loss: Any = None
    data: Any = None
    scaler: Any = None
    train_table: Any = None
    test_table: Any = None
    micro_batches: int | None = None
    checkpoint: dict[str, Any] | None = None
    averaged: Any = None
    ranks: tuple[Any, ...] = ()
    origin: str | None = None
    deadline: float = float("inf")
    modes: dict[nn.Module, bool] = field(default_factory=dict)  # as it was handed over

    def __post_init__(self) -> None:
        self.names = {m: name for name, m in self.model.named_modules()}
        self.modes = {m: m.training for m in self.names}

    def has(self, name: str) -> bool:
        """Whether this was given."""
        if name == "tables":
            return self.train_table is not None
        value = getattr(self, {"optimizer": "optimizers"}.get(name, name))
        given = ("optimizer", "ranks")  # which may be several, and none
        return len(value) > 0 if name in given else value is not None

    def tick(self) -> None:
        """Raise OutOfTime after the deadline."""
        if time.monotonic() > self.deadline:
            raise OutOfTime

    # --- what it is ---

    @cached_property
    def by_name(self) -> dict[str, nn.Module]:
        """The modules by their names; one that is held twice has both."""
        return dict(self.model.named_modules(remove_duplicate=False))

    @cached_property
    def norms(self) -> list[Norm]:
        """The norms of the model; those that were run come first, in their order."""
        calls: dict[str, Call] = {}
        if self.batch is not None:
            with contextlib.suppress(ModelError):
                for call in self.trace.calls:
                    calls.setdefault(call.name, call)
        order = dict.fromkeys([*calls, *self.names.values()])
        modules = {name: module for module, name in self.names.items()}
        found = []
        known: dict[Any, Norm] = {}
        for name in order:
            if candidate(modules[name]):
                self.tick()
                with torch.random.fork_rng(devices=[]):
                    norm = recognize(name, modules[name], calls.get(name), known)
                if norm is not None:
                    found.append(norm)
        return found

    @property
    def batch_norms(self) -> list[Norm]:
        """The norms that use the batch's statistics in training."""
        return [norm for norm in self.norms if norm.batch_count]

    @property
    def tracking(self) -> list[Norm]:
        """The batch norms with running statistics."""
        return [norm for norm in self.batch_norms if norm.tracks]

    def qualified(self, norm: Norm, name: str) -> str:
        """The name of a norm's parameter or buffer in the whole model."""
        return f"{norm.name}.{name}" if norm.name else name

    @property
    def parameters(self) -> list[torch.Tensor]:
        """All parameters that may be trained."""
        return [p for p in self.model.parameters() if p.requires_grad and p.is_floating_point()]

    # --- how it runs ---

    @cached_property
    def some(self) -> Any:
        """The first samples of the batch."""
        return samples(self.batch, 0, SAMPLES)

    @cached_property
    def trace(self) -> Trace:
        """A run in evaluation mode, with the inputs of whatever may be a norm."""
        try:
            return self.run(self.some)
        except ModelError:
            if (size_of(self.batch) or 0) <= SAMPLES:
                raise
            self.some = self.batch  # it takes no other number of rows: the nodes of a graph
            return self.run(self.some)

    @cached_property
    def training(self) -> Trace:
        """A run with the norms in training mode, and all else in evaluation mode."""
        return self.run(self.some, training=True)

    @cached_property
    def functional(self) -> dict[str, list[str]]:
        """Norms that are called as functions, and by which modules that are no norms."""
        norms = [norm.name for norm in self.norms]

        def inside(name: str) -> bool:
            return any(n in ("", name) or name.startswith(f"{n}.") for n in norms)

        called = self.run(self.some, functions=True).functional
        outside = {f: sorted(n for n in names if not inside(n)) for f, names in called.items()}
        return {f: names for f, names in sorted(outside.items()) if names}

    def run(
        self,
        batch: Any,
        training: bool = False,
        grad: bool = False,
        compare: int = 0,
        model: nn.Module | None = None,
        keep: Callable[[nn.Module], bool] = candidate,
        functions: bool = False,
    ) -> Trace:
        """Call the model with a copy of a batch; its buffers and modes are put back.

        Raises:
            ModelError: the model raised an error.
            OutOfTime: the time was up.
        """
        if batch is None:
            raise Unchecked("no batch was given")
        own = self.model if model is None else model
        names = self.names if model is None else {m: n for n, m in own.named_modules()}
        in_training = {norm.module for norm in self.batch_norms} if training else set()
        with buffers_kept(own):
            for module in names:
                module.training = module in in_training
            with (
                watch(names, self.deadline, keep, compare, functions) as trace,
                torch.set_grad_enabled(grad),
            ):
                self.call(own, batch)
        return trace

    def call(self, model: nn.Module, batch: Any) -> Any:
        """The model's output for a copy of the batch.

        Raises:
            ModelError: the model raised an error.
        """
        copy = map_tensors(lambda t: t.detach().clone(), batch)
        try:
            if isinstance(copy, dict):
                return model(**copy)
            if isinstance(copy, tuple | list):
                return model(*copy)
            return model(copy)
        except Exception as error:
            said = str(error).strip().split("\n")[0][:200]
            raise ModelError(f"the model raised {type(error).__name__}: {said}") from error

    def loss(self, output: Any, part: slice = slice(None)) -> torch.Tensor:
        """The given loss, or a fixed random projection of the output, as a mean over samples.

        Raises:
            Unchecked: the output has no number to differentiate.
        """
        given = self.target_or_loss
        if callable(given):
            return given(output)
        y = first_tensor(output)
        if y is None or not y.requires_grad:
            raise Unchecked("the output has no gradient")
        if y.ndim == 0:  # the model returns its loss
            return y
        if isinstance(given, torch.Tensor):
            target = given[part].to(y.device)
            if target.is_floating_point():
                return nn.functional.mse_loss(y, target)
            return nn.functional.cross_entropy(y, target)
        some = torch.Generator().manual_seed(0)
        weights = torch.randn(y.shape[1:] or (1,), generator=some).to(y)
        return (y * weights).sum() / max(1, y.shape[0])


@contextlib.contextmanager
def buffers_kept(model: nn.Module) -> Iterator[None]:
    """Put back modes and buffers after a run."""
    modes = {m: m.training for m in model.modules()}
    ours = [m for m in modes if not isinstance(m, torch.jit.ScriptModule)]
    held = [(m._buffers, dict(m._buffers)) for m in ours]
    values = [(b, b.detach().clone()) for b in model.buffers() if b is not None and not b.is_meta]
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        for buffers, contents in held:
            buffers.clear()
            buffers.update(contents)
        with torch.no_grad():
            for buffer, value in values:
                # Into an expanded one nobody can write, and nobody has.
                if buffer.shape == value.shape and not same(buffer, value):
                    buffer.copy_(value)


def slopes(loss: torch.Tensor, inputs: list[Any]) -> tuple[torch.Tensor | None, ...]:
    """The gradients of a loss, None for what it does not depend on.

    Raises:
        Unchecked: they cannot be had, as from a checkpoint that only takes backward().
    """
    try:
        return torch.autograd.grad(loss, inputs, allow_unused=True)
    except RuntimeError as error:
        raise Unchecked(f"backward raised {str(error)[:100]}") from error


def tensors_of(batch: Any) -> list[torch.Tensor]:
    """All tensors of a batch."""
    found: list[torch.Tensor] = []
    map_tensors(found.append, batch)
    return found


def size_of(batch: Any) -> int | None:
    """The number of samples: the length that all tensors of the batch have in common, or None."""
    sizes = {t.shape[0] if t.ndim else 0 for t in tensors_of(batch)}
    return sizes.pop() if len(sizes) == 1 and sizes != {0} else None


def samples(batch: Any, start: int, stop: int) -> Any:
    """Some samples of a batch; the whole batch where its tensors differ in length."""
    if size_of(batch) is None:
        return batch
    return map_tensors(lambda t: t[start:stop], batch)
