"""Instance normalization as modules; see :mod:`normcourse.instance_norm` for the functions."""

import warnings

import torch

from normcourse.autograd import with_backward
from normcourse.checks import check_built_for
from normcourse.instance_norm import (
    instance_norm,
    instance_norm_backward,
    update_running_instance_statistics,
)
from normcourse.nn.batch_norm import ChannelNorm, _batch_norm_inference

__all__ = ["InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"]

_instance_norm = with_backward(instance_norm, instance_norm_backward, "x weight bias")


class _InstanceNorm(ChannelNorm):
    r"""Instance normalization as a module: each channel of each sample on its own.

    .. math:: y = \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta

    By default the same in training and evaluation. With ``track_running_stats`` evaluation uses
    running statistics, averaged over samples.

    Args:
        num_features: C of an input (N, C, ...) or (C, ...).
        eps: added to the variance, inside the square root.
        momentum: weight of the **new** batch in the running statistics; None, as in torch, is 0.
        affine: learn a weight and bias per channel, starting at 1 and 0.
        track_running_stats: keep running statistics.
        device, dtype: of parameters and buffers.
        bias: False learns no bias.

    Raises:
        TypeError: the input is not floating point.
        ValueError: wrong rank or number of channels; a single position.

    Source: Ulyanov, Vedaldi & Lempitsky 2016, arXiv:1607.08022.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: torch.types.Device = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalize ``input`` (N, C, ...), or one sample (C, ...); the shape and dtype stay."""
        self._check(input)
        one_sample = input.dim() == min(self._ranks)
        y = self._normalize(input[None])[0] if one_sample else self._normalize(input)
        return y.contiguous()  # as torch, also after a transpose

    def _normalize(self, input: torch.Tensor) -> torch.Tensor:
        if not self.training and self.track_running_stats:
            # With given statistics, instance and batch normalization are the same map.
            statistics = self.running_mean, self.running_var
            return _batch_norm_inference(input, *statistics, self.weight, self.bias, self.eps)
        y = _instance_norm(input, self.weight, self.bias, self.eps)
        if self.track_running_stats and input.numel():
            self._track(input)
        return y

    @torch.no_grad()
    def _track(self, input: torch.Tensor) -> None:
        momentum = 0.0 if self.momentum is None else self.momentum
        mean, var = update_running_instance_statistics(
            self.running_mean, self.running_var, input, momentum
        )
        self._store(mean, var)

    def _check_channels(self, input: torch.Tensor) -> None:
        axis = input.dim() - min(self._ranks)
        if self.affine or self.track_running_stats:
            check_built_for(self, "num_features", input, axis)
        elif input.shape[axis] != self.num_features:
            warnings.warn(
                f"input has {input.shape[axis]} channels, num_features={self.num_features} is not "
                "used because affine=False.",
                stacklevel=4,
            )


class InstanceNorm1d(_InstanceNorm):
    """Instance normalization of (N, C, L) or (C, L)."""

    _ranks, _layouts = (2, 3), "(N, C, L) or (C, L)"


class InstanceNorm2d(_InstanceNorm):
    """Instance normalization of (N, C, H, W) or (C, H, W)."""

    _ranks, _layouts = (3, 4), "(N, C, H, W) or (C, H, W)"


class InstanceNorm3d(_InstanceNorm):
    """Instance normalization of (N, C, D, H, W) or (C, D, H, W)."""

    _ranks, _layouts = (4, 5), "(N, C, D, H, W) or (C, D, H, W)"
