"""Switchable normalization as modules, built and used like ``torch.nn.BatchNorm2d``."""

from typing import Any

import torch

from normcourse.autograd import with_backward
from normcourse.checks import check_built_for, check_integer
from normcourse.nn.base import ChannelNorm, in_order, leaf
from normcourse.nn.batch_norm import track
from normcourse.switchable_norm import (
    switchable_norm,
    switchable_norm_backward,
    switchable_norm_inference,
    switchable_norm_inference_backward,
)

__all__ = ["SwitchableNorm1d", "SwitchableNorm2d", "SwitchableNorm3d"]

_WRT = "x mean_weight var_weight weight bias"
_of_the_batch = with_backward(switchable_norm, switchable_norm_backward, _WRT)
_inference = with_backward(switchable_norm_inference, switchable_norm_inference_backward, _WRT)


# Not a batch normalization to torch: what replaces those would lose the shares.
class _SwitchableNorm(ChannelNorm, torch.nn.modules.batchnorm._NormBase):
    r"""Switchable normalization: :func:`normcourse.switchable_norm` plus bookkeeping.

    In training the batch statistics are the batch's, and the running ones are updated; in
    evaluation they are the running ones, or the batch's where ``track_running_stats`` is False.
    The instance and layer statistics are always the input's own.

    ``mean_weight`` and ``var_weight`` hold three logits each, for instance, layer and batch; all
    start at 1, so that the shares start equal. They are learned even where ``affine`` is False.

    Args:
        num_features: C of an input (N, C, ...).
        eps: added to the mixed variance, inside the square root.
        momentum: weight of the **new** batch in the running statistics; None
            averages all batches. (The official code's momentum is the weight of the old ones.)
        affine: learn a weight per channel, starting at 1.
        track_running_stats: keep running statistics of the batch.
        device, dtype: of parameters and buffers.
        bias: with ``affine``, learn a bias per channel, starting at 0.

    Raises:
        ValueError: wrong rank, wrong number of channels; in training one value per channel, which
            has no unbiased variance to keep.
        TypeError: input is not floating point.

    Source: Luo et al. 2018, arXiv:1806.10779.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: torch.types.Device = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
    ) -> None:
        check_integer("num_features", num_features)
        like: dict[str, Any] = {"device": device, "dtype": dtype}
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, **like, bias=bias
        )
        self.mean_weight = torch.nn.Parameter(torch.ones(3, **like))
        self.var_weight = torch.nn.Parameter(torch.ones(3, **like))

    def reset_parameters(self) -> None:
        """Forget all batches; weight 1, bias 0, equal shares."""
        super().reset_parameters()
        if hasattr(self, "mean_weight"):  # not yet while the base class is built
            torch.nn.init.ones_(self.mean_weight)
            torch.nn.init.ones_(self.var_weight)

    @leaf
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalize ``input`` (N, C, ...); the shape and dtype stay."""
        self._check_input_dim(input)
        check_built_for(self, "num_features", input)
        learned = self.mean_weight, self.var_weight, self.weight, self.bias
        if not self.training and self.running_mean is not None:
            y = _inference(input, self.running_mean, self.running_var, *learned, self.eps)
            return in_order(y)
        if self.training and self.track_running_stats and input.numel() == self.num_features:
            raise ValueError(
                f"input has one value per channel, shape {tuple(input.shape)}: there is no "
                "unbiased variance to keep. Use a larger batch, eval(), or "
                "track_running_stats=False."
            )
        y = in_order(_of_the_batch(input, *learned, self.eps))
        track(self, input)
        return y


class SwitchableNorm1d(_SwitchableNorm):
    """Switchable normalization of (N, C) or (N, C, L)."""

    _layouts = "(N, C) or (N, C, L)"


class SwitchableNorm2d(_SwitchableNorm):
    """Switchable normalization of (N, C, H, W)."""

    _layouts = "(N, C, H, W)"


class SwitchableNorm3d(_SwitchableNorm):
    """Switchable normalization of (N, C, D, H, W)."""

    _layouts = "(N, C, D, H, W)"
