"""Whatever speed needs, in one place: autograd runs the backward that the chapters derive.

PyTorch could differentiate each forward by itself. It would keep every intermediate array until
the backward pass, and walk back through mean, square and root one by one. :func:`with_backward`
replaces that by the closed form. It keeps the inputs only, and the backward computes the
statistics again. Under ``torch.compile`` forward and backward are one graph, in which equal
expressions are computed once: there the statistics are kept, and nothing is done twice.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch

from normcourse.checks import check_tensor

__all__ = ["with_backward", "without_autocast"]


def without_autocast(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` in the precision of its arguments, whatever autocast makes of other code.

    Autocast rounds matrix products and convolutions to half precision: pools, and estimates that
    are refined step by step, would be wrong in the third digit.
    """

    @functools.wraps(function)
    def run(first: torch.Tensor, *rest: Any) -> Any:
        device = first.device.type
        if device == "meta" or not torch.is_autocast_enabled(device):
            return function(first, *rest)
        with torch.autocast(device, enabled=False):
            return function(first, *rest)

    return run


def with_backward(
    forward: Callable[..., torch.Tensor],
    backward: Callable[..., tuple[torch.Tensor | None, ...]],
    wrt: str,
) -> Callable[..., torch.Tensor]:
    """``forward`` on tensors, differentiated by ``backward`` instead of by autograd.

    Args:
        forward: function of tensors, None and settings, all given by position.
        backward: ``backward(dy, *arguments)`` returns the gradients for ``wrt``.
        wrt: names of the arguments with a gradient, in the order ``backward`` returns them.

    Returns:
        A function of the arguments of ``forward``, all of them, by position. It can be
        differentiated twice and in forward mode, compiled, exported, and used under
        ``torch.func.vmap``.
    """
    names = list(inspect.signature(forward).parameters)
    places = [names.index(name) for name in wrt.split()]
    forward, backward = without_autocast(forward), without_autocast(backward)

    @functools.wraps(forward)  # the compiler counts its parameters
    def forward_alone(*arguments: Any) -> torch.Tensor:
        # Where the last step is a reshape, the result is a view, and a view that a function like
        # this returns must not be changed in place. This one does not count as a view.
        y = forward(*arguments)
        return torch.ops.aten._unsafe_view(y, y.shape)

    class WithBackward(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
            tensors = [isinstance(a, torch.Tensor) for a in inputs]
            ctx.tensors = tensors
            ctx.settings = [None if t else a for a, t in zip(inputs, tensors, strict=True)]
            ctx.save_for_backward(*(a for a, t in zip(inputs, tensors, strict=True) if t))

        @staticmethod
        def backward(ctx: Any, dy: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
            saved = iter(ctx.saved_tensors)
            pairs = zip(ctx.settings, ctx.tensors, strict=True)
            arguments = [next(saved) if t else setting for setting, t in pairs]
            gradients: list[torch.Tensor | None] = [None] * len(arguments)
            for place, gradient in zip(places, backward(dy, *arguments), strict=True):
                gradients[place] = gradient
            return tuple(gradients)

    WithBackward.__name__ = WithBackward.__qualname__ = f"{forward.__name__}_with_backward"
    WithBackward.forward = staticmethod(forward_alone)  # type: ignore[method-assign]

    @functools.wraps(forward)
    def apply(*arguments: Any) -> torch.Tensor:
        check_tensor(arguments[0], names[0])
        # Tensors without a gradient are buffers, such as running statistics. The next batch changes
        # them in place, while this graph may still be differentiated: it gets copies.
        arguments = tuple(
            a.clone() if isinstance(a, torch.Tensor) and place not in places else a
            for place, a in enumerate(arguments)
        )
        # In forward mode the chapters' forward is differentiated step by step: a directional
        # derivative keeps no arrays, so there is nothing for the closed form to save. And
        # torch.jit.trace can write down these steps, but no function with a backward of its own.
        if torch.autograd.forward_ad._current_level >= 0 or torch.jit.is_tracing():  # type: ignore[attr-defined]
            return forward(*arguments)
        return WithBackward.apply(*arguments)

    return apply
