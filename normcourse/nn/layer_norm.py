"""Layer normalization as a module; see :mod:`normcourse.layer_norm` for the functions."""

import torch

from normcourse.autograd import with_backward
from normcourse.layer_norm import layer_norm, layer_norm_backward
from normcourse.nn.base import leaf

__all__ = ["LayerNorm"]

_layer_norm = with_backward(layer_norm, layer_norm_backward, "x weight bias")


class LayerNorm(torch.nn.LayerNorm):
    r"""Layer normalization of (..., \*normalized_shape).

    .. math:: y = \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta

    The same in training and evaluation: there are no running statistics.

    Compiled it takes 1.1 to 1.5 times as long as the faster of torch's eager and compiled layer,
    1.8 times with rows as short as 256: a mean is corrected for its rounding, in one more pass.

    Args:
        normalized_shape (int or ints): the last axes of the input, which share a statistic.
        eps (float = 1e-05): added to the variance, inside the square root.
        elementwise_affine (bool = True): learn a weight of that shape, starting at 1.
        bias (bool = True): with it, learn a bias, starting at 0.
        device, dtype (= None): of the parameters.

    Raises:
        TypeError: the input is not floating point.
        ValueError: the input does not end in ``normalized_shape``.

    Source: Ba, Kiros & Hinton 2016, arXiv:1607.06450.
    """

    @leaf
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalize ``input``; the shape and dtype stay."""
        y = _layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)
        return y.contiguous()  # as torch: in the order of the axes, also after a transpose
