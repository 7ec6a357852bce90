"""Group normalization as a module; see :mod:`normcourse.group_norm` for the functions."""

import torch

from normcourse.autograd import with_backward
from normcourse.checks import check_built_for, check_groups, check_integer, check_tensor
from normcourse.group_norm import group_norm, group_norm_backward
from normcourse.nn.base import AffineNorm, in_order

__all__ = ["GroupNorm"]

_group_norm = with_backward(group_norm, group_norm_backward, "x weight bias")


class GroupNorm(AffineNorm):
    r"""Group normalization of (N, C, ...).

    .. math:: y = \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta

    The same in training and evaluation: there are no running statistics.

    Args:
        num_groups: G, a divisor of ``num_channels``.
        num_channels: C of an input (N, C, ...).
        eps: added to the variance, inside the square root.
        affine: learn a weight per channel, starting at 1.
        device, dtype: of the parameters.
        bias: with ``affine``, learn a bias per channel, starting at 0.

    Raises:
        TypeError: the input is not floating point.
        ValueError: G does not divide C; wrong rank or number of channels; one value per group.

    Source: Wu & He 2018, arXiv:1803.08494.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: torch.types.Device = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        check_integer("num_channels", num_channels)
        check_groups(num_groups, num_channels)
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self._learn(num_channels, device, dtype, weight=affine, bias=affine and bias)
        self.reset_parameters()

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalize ``input`` (N, C, ...); the shape and dtype stay."""
        check_tensor(input)
        if self.affine and input.dim() > 1:
            check_built_for(self, "num_channels", input)
        return in_order(_group_norm(input, self.num_groups, self.weight, self.bias, self.eps))

    def extra_repr(self) -> str:
        """The constructor's arguments, as ``print(module)`` shows them."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )
