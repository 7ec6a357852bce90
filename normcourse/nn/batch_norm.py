"""Batch normalization as modules; see :mod:`normcourse.batch_norm` for the functions."""

from typing import Any

import torch

from normcourse.autograd import with_backward
from normcourse.batch_norm import (
    batch_norm,
    batch_norm_backward,
    batch_norm_inference,
    batch_norm_inference_backward,
    update_running_statistics,
)
from normcourse.checks import check_built_for, check_integer, check_tensor
from normcourse.nn.base import AffineNorm, in_order

__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d"]

_batch_norm = with_backward(batch_norm, batch_norm_backward, "x weight bias")
_batch_norm_inference = with_backward(
    batch_norm_inference, batch_norm_inference_backward, "x weight bias"
)


class ChannelNorm(AffineNorm):
    """What modules with a weight, a bias and running statistics per channel have in common."""

    _version = 2  # of the state_dict: since 2 it holds num_batches_tracked
    _ranks: tuple[int, ...] = ()
    _layouts = ""

    # These are None without track_running_stats.
    running_mean: torch.Tensor
    running_var: torch.Tensor
    num_batches_tracked: torch.Tensor

    def __init_subclass__(cls) -> None:
        """The classes for 1, 2 and 3 axes of positions have a first line of their own only."""
        super().__init_subclass__()
        shared = cls.__mro__[1].__doc__
        if cls.__doc__ and shared and "_layouts" in vars(cls):
            cls.__doc__ = f"{cls.__doc__}\n{shared.split(chr(10), 1)[1]}"

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
        super().__init__()
        check_integer("num_features", num_features)
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self._learn(num_features, device, dtype, weight=affine, bias=affine and bias)
        like: dict[str, Any] = {"device": device, "dtype": dtype}
        for name in ("running_mean", "running_var"):
            b = torch.empty(num_features, **like) if track_running_stats else None
            self.register_buffer(name, b)
        count = torch.tensor(0, dtype=torch.long, device=device) if track_running_stats else None
        self.register_buffer("num_batches_tracked", count)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget all batches: mean 0, variance 1, count 0."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Forget all batches, and start the weight at 1 and the bias at 0."""
        self.reset_running_stats()
        super().reset_parameters()

    def _store(self, mean: torch.Tensor, var: torch.Tensor) -> None:
        self.running_mean.copy_(mean)
        self.running_var.copy_(var)

    def _check(self, input: torch.Tensor) -> None:
        check_tensor(input)
        self._check_rank(input)
        self._check_channels(input)

    def _check_rank(self, input: torch.Tensor) -> None:
        if input.dim() not in self._ranks:
            hint = "For (N, L, C) sequences use LayerNorm." if input.dim() == 3 else ""
            raise ValueError(
                f"input has {input.dim()} axes, shape {tuple(input.shape)}; {type(self).__name__} "
                f"expects {self._layouts}. {hint}".strip()
            )

    def _check_channels(self, input: torch.Tensor) -> None:
        check_built_for(self, "num_features", input)

    def extra_repr(self) -> str:
        """The constructor's arguments, as ``print(module)`` shows them."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, *rest: Any
    ) -> None:
        key = prefix + "num_batches_tracked"
        old = (local_metadata.get("version") or 0) < 2
        if old and self.track_running_stats and key not in state_dict:
            state_dict[key] = self.num_batches_tracked.clone()
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)


class _BatchNorm(ChannelNorm):
    r"""Batch normalization as a module: :func:`normcourse.batch_norm` plus bookkeeping.

    .. math:: y = \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta

    In training it normalizes with the batch and updates the running statistics; in evaluation it
    uses the running statistics, or the batch where ``track_running_stats`` is False.

    Args:
        num_features: C of an input (N, C, ...).
        eps: added to the variance, inside the square root.
        momentum: weight of the **new** batch in the running statistics; None averages all batches.
        affine: learn a weight and bias per channel, starting at 1 and 0.
        track_running_stats: keep running statistics.
        device, dtype: of parameters and buffers.
        bias: False learns no bias (torch has this argument since 2.12).

    Raises:
        ValueError: wrong rank, wrong number of channels, one value per channel in training.
        TypeError: input is not floating point.

    Source: Ioffe & Szegedy 2015, arXiv:1502.03167.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalize ``input`` (N, C, ...); the shape and dtype stay."""
        self._check(input)
        if self.training or self.running_mean is None:
            y = in_order(_batch_norm(input, self.weight, self.bias, self.eps))
            if self.training and self.track_running_stats:
                self._track(input)
            return y
        statistics = self.running_mean, self.running_var
        y = _batch_norm_inference(input, *statistics, self.weight, self.bias, self.eps)
        return in_order(y)

    @torch.no_grad()
    def _track(self, input: torch.Tensor) -> None:
        if input.numel():
            running = self.running_mean, self.running_var
            self._store(*update_running_statistics(*running, input, self._momentum()))
        self.num_batches_tracked.add_(1)  # last: a batch that is refused does not count

    def _momentum(self):
        """The weight of one more batch in the running statistics."""
        if self.momentum is not None:
            return self.momentum
        # The average of all batches so far. No float(): the processor would wait for the GPU.
        precision = torch.promote_types(self.running_mean.dtype, torch.float32)
        return (self.num_batches_tracked + 1).to(precision).reciprocal()


class BatchNorm1d(_BatchNorm):
    """Batch normalization of (N, C) or (N, C, L)."""

    _ranks, _layouts = (2, 3), "(N, C) or (N, C, L)"


class BatchNorm2d(_BatchNorm):
    """Batch normalization of (N, C, H, W)."""

    _ranks, _layouts = (4,), "(N, C, H, W)"


class BatchNorm3d(_BatchNorm):
    """Batch normalization of (N, C, D, H, W)."""

    _ranks, _layouts = (5,), "(N, C, D, H, W)"
