"""Root mean square normalization as a module; see :mod:`normcourse.rms_norm`."""

from collections.abc import Sequence

import torch

from normcourse.autograd import with_backward
from normcourse.checks import as_shape, check_tensor
from normcourse.nn.base import AffineNorm, in_order
from normcourse.rms_norm import rms_norm, rms_norm_backward

__all__ = ["RMSNorm"]

_rms_norm = with_backward(rms_norm, rms_norm_backward, "x weight")


class RMSNorm(AffineNorm):
    r"""Root mean square normalization of (..., \*normalized_shape).

    .. math:: y = \gamma \frac{x}{\sqrt{\operatorname{mean}(x^2) + \varepsilon}}

    Args:
        normalized_shape: int or ints, the last axes of the input, which share a statistic.
        eps: added inside the root; None stands for the machine epsilon of the arithmetic.
        elementwise_affine: learn a weight of shape ``normalized_shape``, starting at 1.
        device, dtype: of the weight.

    Raises:
        TypeError: the input is not floating point.
        ValueError: the input does not end in ``normalized_shape``.

    Source: Zhang & Sennrich 2019, arXiv:1910.07467.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: torch.types.Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = as_shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self._learn(self.normalized_shape, device, dtype, weight=elementwise_affine)
        self.reset_parameters()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalize ``x``; the shape and dtype stay."""
        check_tensor(x, "x")
        return in_order(_rms_norm(x, self.normalized_shape, self.weight, self.eps))

    def extra_repr(self) -> str:
        """The constructor's arguments, as ``print(module)`` shows them."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )
