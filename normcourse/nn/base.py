"""What modules of several techniques have in common.

A module is torch's own with another forward. So converters, optimizers, averaging of weights and
whatever else asks ``isinstance`` treat it as torch's, and all but the arithmetic is torch's, too.
"""

import copy
import functools
import itertools
from collections.abc import Callable
from typing import Any

import torch

from normcourse.checks import check_layout

__all__ = ["ChannelNorm", "in_order", "leaf"]


class ChannelNorm:
    """A module for inputs (N, C, ...), which says what layouts it takes."""

    _layouts = "(N, C, ...)"

    def __init_subclass__(cls) -> None:
        """The classes for 1, 2 and 3 axes of positions have a first line of their own only."""
        super().__init_subclass__()
        shared = cls.__mro__[1].__doc__
        if cls.__doc__ and shared and "_layouts" in vars(cls):
            cls.__doc__ = f"{cls.__doc__}\n{shared.split(chr(10), 1)[1]}"

    def _check_input_dim(self, input: torch.Tensor) -> None:
        check_layout(self, input, self._layouts)


def in_order(y: torch.Tensor) -> torch.Tensor:
    """``y`` laid out in memory as torch's modules do it, so that ``view`` works on the result.

    The axes lie in their order, whatever the input's were; only channels-last stays.
    """
    channels_last = y.dim() > 3 and y.stride(1) == 1
    return y if channels_last else y.contiguous()


def leaf(forward: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """A forward into which torch.fx does not look: the module is one step, as torch's own are.

    TorchScript cannot look into it, and says so.
    """

    @functools.wraps(forward)
    def call(self: torch.nn.Module, *inputs: Any, **named: Any) -> Any:
        if isinstance(self, torch.jit.ScriptModule):
            raise RuntimeError(
                f"torch.jit.script cannot compile a normcourse.nn.{self.original_name}. Use "
                "torch.compile or torch.export, which have replaced it, or torch.jit.trace."
            )
        proxies = [a for a in (*inputs, *named.values()) if isinstance(a, torch.fx.Proxy)]
        if not proxies:
            return forward(self, *inputs, **named)
        tracer: Any = proxies[0].tracer
        path = tracer.path_of_module(self)
        if path and not self._forward_hooks and not self._forward_pre_hooks:
            return tracer.create_proxy("call_module", path, inputs, named)
        # It is itself what is traced, or its hooks are already steps of the graph.
        return _call_without_hooks(self, path, tracer, inputs, named)

    return torch.jit.ignore(call)


def _call_without_hooks(module, path, tracer, inputs, named):
    """A call of ``module`` as a step of a torch.fx graph, which holds its parameters and buffers.

    Like a module in the graph it looks at ``training`` when it runs.
    """
    alone = copy.deepcopy(module)
    alone._forward_hooks.clear()
    alone._forward_pre_hooks.clear()

    def normalize(state, training, *inputs, **named):
        return torch.func.functional_call(alone.train(training), state, inputs, named)

    def get(name):
        return tracer.create_proxy("get_attr", f"{path}.{name}" if path else name, (), {})

    tensors = itertools.chain(module.named_parameters(), module.named_buffers())
    state = {name: get(name) for name, _ in tensors}
    arguments = (state, get("training"), *inputs)
    return tracer.create_proxy("call_function", normalize, arguments, named)
