"""Group normalization as a module; see :mod:`normcourse.group_norm` for the functions."""

from typing import Any

import torch

from normcourse.autograd import with_backward
from normcourse.checks import check_integer, check_tensor
from normcourse.group_norm import group_norm, group_norm_backward

__all__ = ["GroupNorm"]

_group_norm = with_backward(group_norm, group_norm_backward, "x weight bias")


class GroupNorm(torch.nn.Module):
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

    weight: torch.nn.Parameter | None
    bias: torch.nn.Parameter | None

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
        check_integer("num_groups", num_groups)
        check_integer("num_channels", num_channels)
        if num_channels % num_groups:
            divisors = [g for g in range(1, num_channels + 1) if num_channels % g == 0]
            raise ValueError(
                f"num_groups={num_groups} does not divide num_channels={num_channels}; "
                f"these do: {divisors}."
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        like: dict[str, Any] = {"device": device, "dtype": dtype}
        for name, learned in (("weight", affine), ("bias", affine and bias)):
            p = torch.nn.Parameter(torch.empty(num_channels, **like)) if learned else None
            self.register_parameter(name, p)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start the weight at 1 and the bias at 0."""
        if self.weight is not None:
            torch.nn.init.ones_(self.weight)
        if self.bias is not None:
            torch.nn.init.zeros_(self.bias)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalize ``input`` (N, C, ...); the shape and dtype stay."""
        check_tensor(input)
        if self.affine and input.dim() > 1 and input.shape[1] != self.num_channels:
            raise ValueError(
                f"input has {input.shape[1]} channels on axis 1, shape {tuple(input.shape)}; this "
                f"GroupNorm was built with num_channels={self.num_channels}."
            )
        return _group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The constructor's arguments, as ``print(module)`` shows them."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )
