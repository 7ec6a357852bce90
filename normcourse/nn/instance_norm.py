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
from normcourse.nn.base import ChannelNorm, leaf
from normcourse.nn.batch_norm import _batch_norm_inference, store

__all__ = [
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
]

_instance_norm = with_backward(instance_norm, instance_norm_backward, "x weight bias")


class _InstanceNorm(ChannelNorm, torch.nn.modules.instancenorm._InstanceNorm):
    r"""Instance normalization as a module: each channel of each sample on its own.

    .. math:: y = \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta

    By default the same in training and evaluation. With ``track_running_stats`` evaluation uses
    running statistics, averaged over samples.

    Args:
        num_features (int): C of an input (N, C, ...) or (C, ...).
        eps (float = 1e-05): added to the variance, inside the square root.
        momentum (float | None = 0.1): weight of the **new** batch in the running statistics; None,
            as in torch, is 0.
        affine (bool = False): learn a weight per channel, starting at 1.
        track_running_stats (bool = False): keep running statistics.
        device, dtype (= None): of parameters and buffers.
        bias (bool = True, by name): with ``affine``, learn a bias per channel, starting at 0.

    Raises:
        TypeError: the input is not floating point.
        ValueError: wrong rank or number of channels; a single position.

    Source: Ulyanov, Vedaldi & Lempitsky 2016, arXiv:1607.08022.
    """

    @leaf
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalize ``input`` (N, C, ...), or one sample (C, ...); the shape and dtype stay."""
        self._check_input_dim(input)
        channel_axis = input.dim() - self._get_no_batch_dim()
        self._check_channels(input, channel_axis)
        y = self._normalize(input) if channel_axis else self._normalize(input[None])[0]
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
        running = self.running_mean, self.running_var
        store(self, *update_running_instance_statistics(*running, input, momentum))

    def _check_channels(self, input: torch.Tensor, axis: int) -> None:
        if self.affine or self.track_running_stats:
            check_built_for(self, "num_features", input, axis)
        elif input.shape[axis] != self.num_features and not torch.compiler.is_compiling():
            warnings.warn(
                f"input has {input.shape[axis]} channels, num_features={self.num_features} is not "
                "used because affine=False.",
                stacklevel=4,
            )


class InstanceNorm1d(_InstanceNorm, torch.nn.InstanceNorm1d):
    """Instance normalization of (N, C, L) or (C, L)."""

    _layouts = "(N, C, L) or (C, L)"


class InstanceNorm2d(_InstanceNorm, torch.nn.InstanceNorm2d):
    """Instance normalization of (N, C, H, W) or (C, H, W)."""

    _layouts = "(N, C, H, W) or (C, H, W)"


class InstanceNorm3d(_InstanceNorm, torch.nn.InstanceNorm3d):
    """Instance normalization of (N, C, D, H, W) or (C, D, H, W)."""

    _layouts = "(N, C, D, H, W) or (C, D, H, W)"


class _LazyInstanceNorm(_InstanceNorm):
    """Instance normalization as a module, built without the number of channels.

    It learns ``num_features`` from its first input, and then is an :class:`InstanceNorm1d`,
    :class:`InstanceNorm2d` or :class:`InstanceNorm3d`.

    Args:
        eps (float = 1e-05): added to the variance, inside the square root.
        momentum (float | None = 0.1): weight of the **new** batch in the running statistics.
        affine (bool = True): learn a weight per channel, starting at 1.
        track_running_stats (bool = True): keep running statistics, by default, as in torch.
        device, dtype (= None): of parameters and buffers.
        bias (bool = True, by name): with ``affine``, learn a bias per channel, starting at 0.

    Raises:
        TypeError: the input is not floating point.
        ValueError: wrong rank; a single position.

    Source: Ulyanov, Vedaldi & Lempitsky 2016, arXiv:1607.08022.
    """


class LazyInstanceNorm1d(_LazyInstanceNorm, torch.nn.LazyInstanceNorm1d):
    """Instance normalization of (N, C, L) or (C, L), for any C."""

    cls_to_become = InstanceNorm1d
    _layouts = InstanceNorm1d._layouts


class LazyInstanceNorm2d(_LazyInstanceNorm, torch.nn.LazyInstanceNorm2d):
    """Instance normalization of (N, C, H, W) or (C, H, W), for any C."""

    cls_to_become = InstanceNorm2d
    _layouts = InstanceNorm2d._layouts


class LazyInstanceNorm3d(_LazyInstanceNorm, torch.nn.LazyInstanceNorm3d):
    """Instance normalization of (N, C, D, H, W) or (C, D, H, W), for any C."""

    cls_to_become = InstanceNorm3d
    _layouts = InstanceNorm3d._layouts
