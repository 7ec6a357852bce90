"""Group normalization as a module; see :mod:`normcourse.group_norm` for the functions."""

import torch

from normcourse.autograd import with_backward
from normcourse.checks import check_built_for, check_tensor
from normcourse.group_norm import group_norm, group_norm_backward
from normcourse.nn.base import in_order, leaf

__all__ = ["GroupNorm"]

_group_norm = with_backward(group_norm, group_norm_backward, "x weight bias")


class GroupNorm(torch.nn.GroupNorm):
    r"""Group normalization of (N, C, ...).

    .. math:: y = \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta

    The same in training and evaluation: there are no running statistics.

    Compiled it takes 1.2 to 1.3 times as long as torch's eager kernel, which reads a group while it
    is in the cache; against torch's compiled one it takes 0.6 to 1.0.

    Args:
        num_groups (int): G, a divisor of ``num_channels``.
        num_channels (int): C of an input (N, C, ...).
        eps (float = 1e-05): added to the variance, inside the square root.
        affine (bool = True): learn a weight per channel, starting at 1.
        device, dtype (= None): of the parameters.
        bias (bool = True, by name): with ``affine``, learn a bias per channel, starting at 0.

    Raises:
        TypeError: the input is not floating point.
        ValueError: G does not divide C; wrong rank or number of channels.

    Source: Wu & He 2018, arXiv:1803.08494.
    """

    @leaf
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalize ``input`` (N, C, ...); the shape and dtype stay."""
        check_tensor(input)
        if self.affine and input.dim() > 1:
            check_built_for(self, "num_channels", input)
        return in_order(_group_norm(input, self.num_groups, self.weight, self.bias, self.eps))
