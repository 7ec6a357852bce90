"""Layer normalization as a module; see :mod:`normcourse.layer_norm` for the functions."""

from collections.abc import Sequence
from typing import Any

import torch

from normcourse.autograd import with_backward
from normcourse.checks import check_integer, check_tensor
from normcourse.layer_norm import layer_norm, layer_norm_backward

__all__ = ["LayerNorm"]

_layer_norm = with_backward(layer_norm, layer_norm_backward, "x weight bias")


class LayerNorm(torch.nn.Module):
    r"""Layer normalization of (..., \*normalized_shape).

    .. math:: y = \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta

    The same in training and evaluation: there are no running statistics.

    Args:
        normalized_shape: int or ints, the last axes of the input, which share a statistic.
        eps: added to the variance, inside the square root.
        elementwise_affine: learn a weight of shape ``normalized_shape``, starting at 1.
        bias: with it, learn a bias of that shape, starting at 0.
        device, dtype: of the parameters.

    Raises:
        TypeError: the input is not floating point.
        ValueError: the input does not end in ``normalized_shape``.

    Source: Ba, Kiros & Hinton 2016, arXiv:1607.06450.
    """

    weight: torch.nn.Parameter | None
    bias: torch.nn.Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: torch.types.Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = as_shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        like: dict[str, Any] = {"device": device, "dtype": dtype}
        for name, learned in (
            ("weight", elementwise_affine),
            ("bias", elementwise_affine and bias),
        ):
            p = torch.nn.Parameter(torch.empty(self.normalized_shape, **like)) if learned else None
            self.register_parameter(name, p)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start the weight at 1 and the bias at 0."""
        if self.weight is not None:
            torch.nn.init.ones_(self.weight)
        if self.bias is not None:
            torch.nn.init.zeros_(self.bias)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalize ``input``; the shape and dtype stay."""
        check_tensor(input)
        return _layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The constructor's arguments, as ``print(module)`` shows them."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


def as_shape(normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    """One or several lengths as a tuple; each must be a positive integer."""
    shape: tuple[Any, ...] = (normalized_shape,)
    if isinstance(normalized_shape, Sequence) and not isinstance(normalized_shape, str):
        shape = tuple(normalized_shape)
    for length in shape:
        check_integer("normalized_shape", length)
    if not shape:
        raise ValueError("normalized_shape must name at least one length, got ().")
    return shape
