"""Root mean square normalization as a module; see :mod:`normcourse.rms_norm`."""

import torch

from normcourse.autograd import with_backward
from normcourse.nn.base import in_order, leaf
from normcourse.rms_norm import rms_norm, rms_norm_backward

__all__ = ["RMSNorm"]

_rms_norm = with_backward(rms_norm, rms_norm_backward, "x weight")


class RMSNorm(torch.nn.RMSNorm):
    r"""Root mean square normalization of (..., \*normalized_shape).

    .. math:: y = \gamma \frac{x}{\sqrt{\operatorname{mean}(x^2) + \varepsilon}}

    Args:
        normalized_shape (int or ints): the last axes of the input, which share a statistic.
        eps (float | None = None): added inside the root; None stands for the machine epsilon of
            the arithmetic.
        elementwise_affine (bool = True): learn a weight of that shape, starting at 1.
        device, dtype (= None): of the weight.

    Raises:
        TypeError: the input is not floating point.
        ValueError: the input does not end in ``normalized_shape``.

    Source: Zhang & Sennrich 2019, arXiv:1910.07467.
    """

    @leaf
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalize ``x``; the shape and dtype stay."""
        return in_order(_rms_norm(x, self.normalized_shape, self.weight, self.eps))
