"""Layer normalization as a module; see :mod:`normcourse.layer_norm` for the functions."""

from collections.abc import Sequence

import torch

from normcourse.autograd import with_backward
from normcourse.checks import as_shape, check_tensor
from normcourse.layer_norm import layer_norm, layer_norm_backward
from normcourse.nn.base import AffineNorm

__all__ = ["LayerNorm"]

_layer_norm = with_backward(layer_norm, layer_norm_backward, "x weight bias")


class LayerNorm(AffineNorm):
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
        weight, bias = elementwise_affine, elementwise_affine and bias
        self._learn(self.normalized_shape, device, dtype, weight=weight, bias=bias)
        self.reset_parameters()

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalize ``input``; the shape and dtype stay."""
        check_tensor(input)
        y = _layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)
        return y.contiguous()  # as torch: in the order of the axes, also after a transpose

    def extra_repr(self) -> str:
        """The constructor's arguments, as ``print(module)`` shows them."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )
