"""One forward pass, watched: which module was called with what, and where its input came from."""

import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

__all__ = ["Call", "OutOfTime", "Trace", "first_tensor", "map_tensors", "watch"]

KEPT = 2**21  # numbers of one input that are kept; of more, the first samples


class OutOfTime(BaseException):
    """The time limit has passed. No Exception, so that no model catches it."""


@dataclass
class Call:
    """One call of a module.

    ``source`` names the module whose very output came in, and ``readers`` those that received this
    one's: "" and nothing where a function or an operator stood between.
    """

    name: str
    module: torch.nn.Module
    shape: tuple[int, ...]
    dtype: torch.dtype | None
    source: str = ""
    readers: list[str] = field(default_factory=list)
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    x: torch.Tensor | None = None  # what came in, the first samples of it
    ends: tuple[torch.Tensor | None, torch.Tensor | None] = (None, None)  # in and out, two samples
    node_in: Any = None  # in the graph of gradients
    node_out: Any = None
    input: torch.Tensor | None = None  # with its graph
    out_dtype: torch.dtype | None = None


@dataclass
class Trace:
    """All calls in their order, and what the model returned; ``last`` made it, if a module did."""

    calls: list[Call] = field(default_factory=list)
    output: Any = None
    last: str = ""
    functional: dict[str, set[str]] = field(default_factory=dict)  # function -> who calls it

    def of(self, name: str) -> list[Call]:
        """The calls of one module."""
        return [call for call in self.calls if call.name == name]


def first_tensor(value: Any) -> torch.Tensor | None:
    """The first floating-point tensor in nested tuples, lists, dictionaries or objects."""
    if isinstance(value, torch.Tensor):
        return value if value.is_floating_point() else None
    if isinstance(value, dict):
        parts: Any = value.values()
    elif isinstance(value, list | tuple):
        parts = value
    else:
        parts = vars(value).values() if hasattr(value, "__dataclass_fields__") else ()
    return next((t for t in map(first_tensor, parts) if t is not None), None)


def map_tensors(change: Callable[[torch.Tensor], Any], value: Any) -> Any:
    """The same nested tuples, lists and dictionaries with every tensor changed."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: map_tensors(change, v) for key, v in value.items()}
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return type(value)(map_tensors(change, v) for v in value)
    return value


def version_of(tensor: torch.Tensor) -> int:
    """How often a tensor was written into; -1 where nobody counts."""
    return -1 if tensor.is_inference() else tensor._version


class _Origins:
    """Which module made a tensor. A tensor that was written into since has no origin."""

    def __init__(self) -> None:
        self.made: dict[int, tuple[Any, int, Call]] = {}

    def note(self, tensor: torch.Tensor, call: Call, entered: dict[int, int]) -> None:
        was = entered.get(id(tensor))
        # What hands its input through (Identity, a Dropout in evaluation) made nothing; nor did a
        # container, whose last child has made it already.
        if (was is not None and was == version_of(tensor)) or self.of(tensor) is not None:
            return
        self.made[id(tensor)] = weakref.ref(tensor), version_of(tensor), call

    def of(self, tensor: torch.Tensor) -> Call | None:
        reference, version, call = self.made.get(id(tensor), (None, 0, None))
        if reference is None or reference() is not tensor or version != version_of(tensor):
            return None
        return call


FUNCTIONS = {
    getattr(functional, name): f"F.{name}"
    for name in ("batch_norm", "group_norm", "instance_norm", "layer_norm", "rms_norm")
}


class _Functional(TorchFunctionMode):
    """Note which module calls a norm as a function, where no module need stand for it."""

    def __init__(self, called: dict[str, set[str]], stack: list[tuple[Call, Any]]) -> None:
        super().__init__()
        self.called, self.stack = called, stack

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        if function in FUNCTIONS and self.stack:
            self.called.setdefault(FUNCTIONS[function], set()).add(self.stack[-1][0].name)
        return function(*args, **(kwargs or {}))


@contextmanager
def watch(
    names: dict[torch.nn.Module, str],
    deadline: float,
    keep: Callable[[torch.nn.Module], bool],
    compare: int = 0,
    functions: bool = False,
) -> Iterator[Trace]:
    """Record the calls of the named modules; the hooks are off again afterwards.

    Args:
        names: module -> qualified name.
        deadline: a time of ``time.monotonic``.
        keep: of which modules the input is kept.
        compare: of so many samples input and output of every module without children are kept.
        functions: whether norms that are called as functions are noted.

    Raises:
        OutOfTime: at the first call after ``deadline``.
    """
    trace, origins, handles, stack = Trace(), _Origins(), [], []

    def before(module: torch.nn.Module, args: Any, kwargs: Any) -> None:
        if time.monotonic() > deadline:
            raise OutOfTime
        x = first_tensor((args, kwargs))
        shape, dtype = (tuple(x.shape), x.dtype) if x is not None else ((), None)
        call = Call(names[module], module, shape, dtype)
        entered = {}
        for tensor in (v for v in (*args, *kwargs.values()) if isinstance(v, torch.Tensor)):
            entered[id(tensor)] = version_of(tensor)
        if x is not None:
            source = origins.of(x)
            if source is not None:
                call.source = source.name
                if call.name not in source.readers and not any(module.children()):
                    source.readers.append(call.name)
            if keep(module) and x.numel():
                call.x = _start(x)
                call.args, call.kwargs = args, kwargs
                if x.requires_grad:
                    call.node_in, call.input = x.grad_fn, x
        trace.calls.append(call)
        stack.append((call, entered))

    def after(module: torch.nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        call, entered = stack.pop()
        while call.module is not module:  # one that raised, and the model caught it
            call, entered = stack.pop()
        made = first_tensor(output)
        if made is not None:
            call.out_dtype = made.dtype
            if compare and not any(module.children()):
                came = first_tensor((args, kwargs))
                call.ends = _few(came, compare), _few(made, compare)
            if call.x is not None:
                call.node_out = made.grad_fn
            if not any(module.children()) or origins.of(made) is None:
                origins.note(made, call, entered)
        if not stack:
            trace.output = output
            source = origins.of(made) if made is not None else None
            trace.last = source.name if source is not None else ""

    try:
        for module in names:
            if isinstance(module, torch.jit.ScriptModule):  # which takes no such hooks
                continue
            handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
            handles.append(module.register_forward_hook(after, with_kwargs=True))
        with _Functional(trace.functional, stack) if functions else nullcontext():
            yield trace
    finally:
        for handle in handles:
            handle.remove()


def _start(x: torch.Tensor) -> torch.Tensor:
    samples = max(1, KEPT // max(1, x[:1].numel())) if x.ndim else 1
    return (x[:samples] if x.ndim else x).detach().clone()


def _few(x: torch.Tensor | None, n: int) -> torch.Tensor | None:
    return None if x is None or x.ndim == 0 else x[:n].detach().clone()
