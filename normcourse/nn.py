"""Modules with the names, arguments, buffers and ``state_dict`` keys of ``torch.nn``.

Replace ``torch.nn.BatchNorm2d`` by ``normcourse.nn.BatchNorm2d``: the function stays the same,
and its source can be read on one page.
"""

import torch

from normcourse.batch_norm import batch_norm, batch_norm_inference, update_running_statistics

__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d"]


class _BatchNorm(torch.nn.Module):
    r"""Batch normalization as a module: :func:`normcourse.batch_norm` plus bookkeeping.

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

    _version = 2  # of the state_dict: since 2 it holds num_batches_tracked
    _ranks = ()
    _layouts = ""

    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=True,
        track_running_stats=True,
        device=None,
        dtype=None,
        *,
        bias=True,
    ):
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        like = {"device": device, "dtype": dtype}
        for name, learned in (("weight", affine), ("bias", affine and bias)):
            p = torch.nn.Parameter(torch.empty(num_features, **like)) if learned else None
            self.register_parameter(name, p)
        for name in ("running_mean", "running_var"):
            b = torch.empty(num_features, **like) if track_running_stats else None
            self.register_buffer(name, b)
        count = torch.tensor(0, dtype=torch.long, device=device) if track_running_stats else None
        self.register_buffer("num_batches_tracked", count)
        self.reset_parameters()

    def reset_running_stats(self):
        """Forget all batches: mean 0, variance 1, count 0."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self):
        """Forget all batches, and start the weight at 1 and the bias at 0."""
        self.reset_running_stats()
        if self.weight is not None:
            torch.nn.init.ones_(self.weight)
        if self.bias is not None:
            torch.nn.init.zeros_(self.bias)

    def forward(self, input):
        """Normalize ``input`` (N, C, ...); the shape and dtype stay."""
        self._check(input)
        if self.training and self.running_mean is not None:
            self._track(input)
        if self.training or self.running_mean is None:
            return batch_norm(input, self.weight, self.bias, self.eps)
        statistics = self.running_mean, self.running_var
        return batch_norm_inference(input, *statistics, self.weight, self.bias, self.eps)

    @torch.no_grad()
    def _track(self, input):
        self.num_batches_tracked.add_(1)
        momentum = self.momentum
        if momentum is None:  # the average of all batches so far
            momentum = 1.0 / float(self.num_batches_tracked)
        mean, var = update_running_statistics(self.running_mean, self.running_var, input, momentum)
        self.running_mean.copy_(mean)
        self.running_var.copy_(var)

    def _check(self, input):
        name = type(self).__name__
        if input.dim() not in self._ranks:
            hint = "For (N, L, C) sequences use LayerNorm." if input.dim() == 3 else ""
            raise ValueError(
                f"input has {input.dim()} axes, shape {tuple(input.shape)}; {name} expects "
                f"{self._layouts}. {hint}".strip()
            )
        if input.shape[1] != self.num_features:
            raise ValueError(
                f"input has {input.shape[1]} channels on axis 1, shape {tuple(input.shape)}; this "
                f"{name} was built with num_features={self.num_features}."
            )

    def extra_repr(self):
        """The constructor's arguments, as ``print(module)`` shows them."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *rest):
        key = prefix + "num_batches_tracked"
        old = (local_metadata.get("version") or 0) < 2
        if old and self.track_running_stats and key not in state_dict:
            state_dict[key] = self.num_batches_tracked.clone()
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)


class BatchNorm1d(_BatchNorm):
    """Batch normalization of (N, C) or (N, C, L)."""

    _ranks, _layouts = (2, 3), "(N, C) or (N, C, L)"


class BatchNorm2d(_BatchNorm):
    """Batch normalization of (N, C, H, W)."""

    _ranks, _layouts = (4,), "(N, C, H, W)"


class BatchNorm3d(_BatchNorm):
    """Batch normalization of (N, C, D, H, W)."""

    _ranks, _layouts = (5,), "(N, C, D, H, W)"


for _module in (BatchNorm1d, BatchNorm2d, BatchNorm3d):
    _module.__doc__ += "\n" + _BatchNorm.__doc__.split("\n", 1)[1]
