"""Batch normalization over the batches of several processes, one statistic for all of them."""

from typing import Any

import torch
from torch import distributed
from torch.autograd.function import once_differentiable

from normcourse import core
from normcourse.core import narrow, per_channel, widen
from normcourse.nn.batch_norm import _BatchNorm

__all__ = ["SyncBatchNorm"]


class SyncBatchNorm(_BatchNorm):
    r"""Batch normalization of (N, C, ...), where N runs over all processes of a group.

    In training, processes exchange count, mean and variance of their part of the batch, and two
    sums per channel in the backward pass. Everywhere else it is :class:`BatchNorm2d`. Unlike
    torch's it also works on a CPU.

    Args:
        num_features, eps, momentum, affine, track_running_stats, device, dtype, bias: as in
            :class:`BatchNorm2d`.
        process_group: the processes that share a statistic; None for all.

    Raises:
        TypeError: the input is not floating point.
        ValueError: wrong rank or number of channels; one value per channel in training.

    Source: Zhang et al. 2018, arXiv:1803.08904; Peng et al. 2018, arXiv:1711.07240.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: torch.types.Device = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )
        self.process_group = process_group

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalize ``input`` (N, C, ...); the shape and dtype stay."""
        together = distributed.is_available() and distributed.is_initialized()
        if not (self.training and together and distributed.get_world_size(self.process_group) > 1):
            return super().forward(input)
        self._check(input)
        count, mean, var = _statistics_of_all(input, self.process_group)
        parameters = self.weight, self.bias
        y = _Normalize.apply(input, *parameters, count, mean, var, self.eps, self.process_group)
        if self.track_running_stats:
            with torch.no_grad():
                m = self._momentum()
                unbiased = var * count / (count - 1).clamp(min=1)
                new_mean = core.moving_average(self.running_mean, mean, m)
                self._store(new_mean, core.moving_average(self.running_var, unbiased, m))
                self.num_batches_tracked.add_(1)
        return y

    def _check_rank(self, input: torch.Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(
                f"input must have at least 2 axes, (N, C, ...), got shape {tuple(input.shape)}."
            )

    @classmethod
    def convert_sync_batchnorm(
        cls, module: torch.nn.Module, process_group: Any = None
    ) -> torch.nn.Module:
        """``module`` with each batch normalization, ours or torch's, replaced by this one.

        Parameters and buffers are taken over, not copied.
        """
        result: Any = module
        if isinstance(module, (_BatchNorm, torch.nn.modules.batchnorm._BatchNorm)):
            result = cls(
                module.num_features,
                module.eps,
                module.momentum,
                module.affine,
                module.track_running_stats,
                process_group,
                bias=module.bias is not None,
            )
            result.weight, result.bias = module.weight, module.bias
            result.running_mean, result.running_var = module.running_mean, module.running_var
            result.num_batches_tracked = module.num_batches_tracked
            result.train(module.training)
        for name, child in module.named_children():
            result.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return result


@torch.no_grad()
def _statistics_of_all(
    x: torch.Tensor, group: Any
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(count, mean, biased variance) per channel over all processes.

    Parts are merged by their deviations from one of the means, which cancels nothing (Chan et
    al. 1983). Counts may differ; a process without samples takes part with a count of 0.
    """
    wide = widen(x)
    if x.numel():
        mean, var = core.mean_and_variance(wide, core.all_but_channels(x))
        count = mean.new_tensor([x.numel() // x.shape[1]])
        mine = torch.cat([count, mean.reshape(-1), var.reshape(-1)])
    else:
        mine = wide.new_zeros(2 * x.shape[1] + 1)
    all_of_them = [torch.empty_like(mine) for _ in range(distributed.get_world_size(group))]
    distributed.all_gather(all_of_them, mine, group)
    counts, means, variances = torch.stack(all_of_them).split([1, x.shape[1], x.shape[1]], 1)
    n = counts.sum()
    share = counts / n
    reference = means[counts.argmax()]
    mean = reference + (share * (means - reference)).sum(0)
    return n, mean, (share * (variances + (means - mean) ** 2)).sum(0)


class _Normalize(torch.autograd.Function):
    """Normalize with the statistics of all processes; their sums come together in backward."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor | None,
        bias: torch.Tensor | None,
        count: torch.Tensor,
        mean: torch.Tensor,
        var: torch.Tensor,
        eps: float,
        group: Any,
    ) -> torch.Tensor:
        rstd = 1 / (per_channel(var, x) + eps) ** 0.5
        xhat = (widen(x) - per_channel(mean, x)) * rstd
        ctx.save_for_backward(x, weight, bias, count, mean, rstd)
        ctx.group = group
        return core.affine(xhat, per_channel(weight, x), per_channel(bias, x), x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight, bias, count, mean, rstd = ctx.saved_tensors
        axes = core.all_but_channels(x)
        xhat = (widen(x) - per_channel(mean, x)) * rstd
        weight, bias = per_channel(weight, x), per_channel(bias, x)
        g, dweight, dbias = core.affine_backward(dy, xhat, weight, bias, axes)
        sums = torch.stack([g.sum(axes), (g * xhat).sum(axes)])
        distributed.all_reduce(sums, group=ctx.group)
        along_one, along_xhat = (per_channel(s, x) for s in sums / count)
        dx = narrow((g - along_one - xhat * along_xhat) * rstd, x)
        return dx, dweight, dbias, None, None, None, None, None
