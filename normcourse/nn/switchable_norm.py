"""Switchable normalization as modules, built and used like ``torch.nn.BatchNorm2d``."""

from typing import Any

import torch

from normcourse.autograd import with_backward
from normcourse.nn.batch_norm import _BatchNorm
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


class _SwitchableNorm(_BatchNorm):
    r"""Switchable normalization: :func:`normcourse.switchable_norm` plus bookkeeping.

    In training the batch statistics are the batch's, and the running ones are updated; in
    evaluation they are the running ones, or the batch's where ``track_running_stats`` is False.
    The instance and layer statistics are always the input's own.

    ``mean_weight`` and ``var_weight`` hold three logits each, for instance, layer and batch; all
    start at 1, so that the shares start equal. They are learned even where ``affine`` is False.

    Args:
        num_features: C of an input (N, C, ...).
        eps: added to the mixed variance, inside the square root.
        momentum: weight of the **new** batch in the running statistics; None averages all batches.
            (The official code's momentum is the weight of the old ones.)
        affine: learn a weight and bias per channel, starting at 1 and 0.
        track_running_stats: keep running statistics of the batch.
        device, dtype: of parameters and buffers.
        bias: False learns no bias.

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

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalize ``input`` (N, C, ...); the shape and dtype stay."""
        self._check(input)
        learned = self.mean_weight, self.var_weight, self.weight, self.bias
        if not self.training and self.running_mean is not None:
            return _inference(input, self.running_mean, self.running_var, *learned, self.eps)
        track = self.training and self.track_running_stats
        if track and input.numel() == self.num_features:
            raise ValueError(
                f"input has one value per channel, shape {tuple(input.shape)}: there is no "
                "unbiased variance to keep. Use a larger batch, eval(), or "
                "track_running_stats=False."
            )
        y = _of_the_batch(input, *learned, self.eps)
        if track:
            self._track(input)
        return y


class SwitchableNorm1d(_SwitchableNorm):
    """Switchable normalization of (N, C) or (N, C, L)."""

    _ranks, _layouts = (2, 3), "(N, C) or (N, C, L)"


class SwitchableNorm2d(_SwitchableNorm):
    """Switchable normalization of (N, C, H, W)."""

    _ranks, _layouts = (4,), "(N, C, H, W)"


class SwitchableNorm3d(_SwitchableNorm):
    """Switchable normalization of (N, C, D, H, W)."""

    _ranks, _layouts = (5,), "(N, C, D, H, W)"
