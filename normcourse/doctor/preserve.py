"""A model under observation, and everything back as it was, whatever happens."""

import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch.autograd.grad_mode import _unsafe_preserve_version_counter

__all__ = ["preserved"]


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
        for tensor in tensors:
            if not tensor.is_inference():
                stack.enter_context(_unsafe_preserve_version_counter(tensor))
        stack.callback(_restore_tensors, [_remember(tensor) for tensor in tensors])
        for module in modules:
            if isinstance(module, torch.jit.ScriptModule):  # its attributes are not Python's
                stack.callback(setattr, module, "training", module.training)
                continue
            stack.callback(_restore_attributes, module, _shallow(vars(module)))
        stack.callback(_restore_random, _random_states())
        for tensor in tensors:
            if tensor.is_leaf and tensor.grad is not None:
                tensor.grad = None
        yield


def _tensors(module: torch.nn.Module) -> Iterator[torch.Tensor]:
    """Parameters, buffers and plain attributes of a module, without its children's."""
    yield from module.parameters(recurse=False)
    yield from module.buffers(recurse=False)
    yield from (value for value in vars(module).values() if isinstance(value, torch.Tensor))


def _remember(tensor: torch.Tensor) -> tuple[Any, ...]:
    grad = tensor.grad if tensor.is_leaf else None
    return tensor, tensor.detach().clone(), grad, tensor.requires_grad


def _restore_tensors(remembered: list[tuple[Any, ...]]) -> None:
    for tensor, value, grad, requires_grad in remembered:
        if not _same(tensor, value):
            with torch.no_grad():
                if tensor.shape != value.shape or tensor.dtype != value.dtype:
                    tensor.data = torch.empty_like(value)
                tensor.detach().copy_(value)
        if tensor.is_leaf:
            if tensor.requires_grad != requires_grad:
                tensor.requires_grad_(requires_grad)
            tensor.grad = grad


def _same(tensor: torch.Tensor, value: torch.Tensor) -> bool:
    """Equal bit by bit, so that NaN is equal to NaN, and 0 is not -0."""
    if tensor.shape != value.shape or tensor.dtype != value.dtype:
        return False
    if not tensor.is_floating_point():
        return torch.equal(tensor.detach(), value)
    size = {2: torch.int16, 4: torch.int32, 8: torch.int64}.get(tensor.element_size())
    if size is None:
        return False
    return torch.equal(tensor.detach().view(size), value.view(size))


def _shallow(attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes, with copies of the containers: they name the same children and tensors."""
    containers = (dict, list, set)
    return {k: v.copy() if isinstance(v, containers) else v for k, v in attributes.items()} | {
        "\0held": {k: v for k, v in attributes.items() if isinstance(v, containers)}
    }


def _restore_attributes(module: torch.nn.Module, remembered: dict[str, Any]) -> None:
    """The same containers with the same contents."""
    held = remembered.pop("\0held")
    for name, container in held.items():
        contents = remembered[name]
        if isinstance(container, list):
            container[:] = contents
        elif not _unchanged(container, contents):
            container.clear()
            container.update(contents)
        remembered[name] = container
    attributes = vars(module)
    for name in [name for name in attributes if name not in remembered]:
        del attributes[name]
    attributes.update(remembered)


def _unchanged(container: Any, contents: Any) -> bool:
    if isinstance(container, set):
        return bool(container == contents)
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
