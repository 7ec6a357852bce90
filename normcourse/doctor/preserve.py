"""A model under observation, and everything back as it was, whatever happens."""

import random
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch.autograd.grad_mode import _unsafe_preserve_version_counter

__all__ = ["preserved", "same"]

CONTAINERS = (dict, list, set, deque)
LOOKED_INTO = 1000  # entries; what is longer, as a vocabulary, holds no containers or tensors


@contextmanager
def preserved(*models: torch.nn.Module) -> Iterator[None]:
    """Put back modes, parameters, buffers, gradients, hooks, attributes and random states.

    Values are put back bit by bit, into the same tensors, with the same version. The gradients are
    hidden meanwhile: what somebody adds to them is dropped.

    Args:
        models: they may share modules.
    """
    modules = list(dict.fromkeys(m for model in models for m in model.modules()))
    tensors = list({id(t): t for module in modules for t in _tensors(module)}.values())
    with ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        # Compiled code would take the hooks in, and be compiled anew for each module. (torch 2.6)
        if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        for tensor in tensors:
            if not tensor.is_inference():
                stack.enter_context(_unsafe_preserve_version_counter(tensor))
        stack.callback(_restore_tensors, [_remember(tensor) for tensor in tensors])
        for module in modules:
            if isinstance(module, torch.jit.ScriptModule):  # its attributes are not Python's
                stack.callback(setattr, module, "training", module.training)
                continue
            stack.callback(_restore_attributes, vars(module), dict(vars(module)))
            for held in _held(vars(module).values()):
                if isinstance(held, CONTAINERS):
                    stack.callback(_restore_container, held, held.copy())
                elif isinstance(held, torch.Generator):
                    stack.callback(held.set_state, held.get_state())
                elif isinstance(held, np.random.Generator):
                    bits = held.bit_generator
                    stack.callback(setattr, bits, "state", bits.state)
        stack.callback(_restore_random, _random_states())
        for tensor in tensors:
            if tensor.is_leaf and tensor.grad is not None:
                tensor.grad = None
        yield


def _tensors(module: torch.nn.Module) -> Iterator[torch.Tensor]:
    """Parameters, buffers and other attributes of a module, without its children's."""
    yield from module.parameters(recurse=False)
    yield from module.buffers(recurse=False)
    yield from (value for value in _held(vars(module).values()) if isinstance(value, torch.Tensor))


def _held(values: Iterable[Any]) -> Iterator[Any]:
    """Attributes, containers among them with what is in them: a cache may be a list of lists."""
    left, seen = list(values), set()
    while left:
        value = left.pop()
        yield value
        if isinstance(value, (*CONTAINERS, tuple)) and id(value) not in seen:
            seen.add(id(value))
            if len(value) <= LOOKED_INTO:
                left += value.values() if isinstance(value, dict) else value


def _remember(tensor: torch.Tensor) -> tuple[Any, ...]:
    grad = tensor.grad if tensor.is_leaf else None
    return tensor, tensor.detach().clone(), grad, tensor.requires_grad


def _restore_tensors(remembered: list[tuple[Any, ...]]) -> None:
    for tensor, value, grad, requires_grad in remembered:
        if not same(tensor, value):
            with torch.no_grad():
                if tensor.shape != value.shape or tensor.dtype != value.dtype:
                    tensor.data = torch.empty_like(value)
                tensor.detach().copy_(value)
        if tensor.is_leaf:
            if tensor.requires_grad != requires_grad:
                tensor.requires_grad_(requires_grad)
            tensor.grad = grad


def same(tensor: torch.Tensor, value: torch.Tensor) -> bool:
    """Equal bit by bit, so that NaN is equal to NaN, and 0 is not -0."""
    if tensor.shape != value.shape or tensor.dtype != value.dtype:
        return False
    if not tensor.is_floating_point():
        return torch.equal(tensor.detach(), value)
    size = {2: torch.int16, 4: torch.int32, 8: torch.int64}.get(tensor.element_size())
    if size is None or tensor.layout != torch.strided:
        return False
    return torch.equal(tensor.detach().view(size), value.view(size))


def _restore_attributes(attributes: dict[str, Any], remembered: dict[str, Any]) -> None:
    for name in [name for name in attributes if name not in remembered]:
        del attributes[name]
    attributes.update(remembered)


def _restore_container(container: Any, contents: Any) -> None:
    """The same container with the same contents."""
    if isinstance(container, list):
        container[:] = contents
    elif not _unchanged(container, contents):
        container.clear()
        (container.extend if isinstance(container, deque) else container.update)(contents)


def _unchanged(container: Any, contents: Any) -> bool:
    if isinstance(container, set):
        return bool(container == contents)
    if isinstance(container, deque):  # whose contents may be tensors
        return [*map(id, container)] == [*map(id, contents)]
    same_keys = list(container) == list(contents)
    return same_keys and all(container[key] is contents[key] for key in contents)


def _random_states() -> dict[str, Any]:
    states = {
        "python": random.getstate(),
        "numpy": np.random.get_state(),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states["cuda"] = torch.cuda.get_rng_state_all()
    if sys.platform == "darwin" and torch.backends.mps.is_available():
        states["mps"] = torch.mps.get_rng_state()
    return states


def _restore_random(states: dict[str, Any]) -> None:
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    torch.set_rng_state(states["torch"])
    if "cuda" in states:
        torch.cuda.set_rng_state_all(states["cuda"])
    if "mps" in states:
        torch.mps.set_rng_state(states["mps"])
