"""Batch normalization over the batches of several processes, one statistic for all of them."""

from typing import Any

import torch
from torch import distributed
from torch.autograd.function import once_differentiable

from normcourse import core
from normcourse.checks import check_built_for
from normcourse.core import narrow, per_channel, widen
from normcourse.nn.base import in_order, leaf
from normcourse.nn.batch_norm import _BatchNorm, count, store, weight_of_new

__all__ = ["SyncBatchNorm"]


class SyncBatchNorm(_BatchNorm, torch.nn.SyncBatchNorm):
    r"""Batch normalization of (N, C, ...), where N runs over all processes of a group.

    In training, processes exchange count, mean and variance of their part of the batch, and two
    sums per channel in the backward pass. Everywhere else it is :class:`BatchNorm2d`. Unlike
    torch's it also works on a CPU.

    Args:
        num_features (int): C of an input (N, C, ...).
        eps (float = 1e-05): added to the variance, inside the square root.
        momentum (float | None = 0.1): weight of the **new** batch in the running statistics; None
            averages all batches.
        affine (bool = True): learn a weight per channel, starting at 1.
        track_running_stats (bool = True): keep running statistics.
        process_group (= None): the processes that share a statistic; None for all.
        device, dtype (= None): of parameters and buffers.
        bias (bool = True, by name): with ``affine``, learn a bias per channel, starting at 0.

    Raises:
        TypeError: the input is not floating point.
        ValueError: wrong rank or number of channels; one value per channel in training.

    Source: Zhang et al. 2018, arXiv:1803.08904; Peng et al. 2018, arXiv:1711.07240.
    """

    @leaf
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalize ``input`` (N, C, ...); the shape and dtype stay."""
        together = distributed.is_available() and distributed.is_initialized()
        if not (self.training and together and distributed.get_world_size(self.process_group) > 1):
            return super().forward(input)
        self._check_input_dim(input)
        check_built_for(self, "num_features", input)
        n, mean, var = _statistics_of_all(input, self.process_group)
        parameters = self.weight, self.bias
        y = _Normalize.apply(input, *parameters, n, mean, var, self.eps, self.process_group)
        if self.track_running_stats and self.running_mean is not None:
            self._track(n, mean, var)
        return in_order(y)

    @torch.no_grad()
    def _track(self, n: torch.Tensor, mean: torch.Tensor, var: torch.Tensor) -> None:
        m = weight_of_new(self) * (n > 0)  # an empty batch changes nothing
        unbiased = var * n / (n - 1).clamp(min=1)
        new_mean = core.moving_average(self.running_mean, mean, m)
        store(self, new_mean, core.moving_average(self.running_var, unbiased, m))
        count(self)

    @classmethod
    def convert_sync_batchnorm(
        cls, module: torch.nn.Module, process_group: Any = None
    ) -> torch.nn.Module:
        """``module`` with each batch normalization, ours or torch's, replaced by this one.

        Parameters and buffers are taken over, not copied. A class with a forward of its own is
        left alone: it may do more than normalize. (torch's method of this name replaces it, too.)

        Raises:
            ValueError: a lazy module has not seen an input.
        """
        result: Any = module
        if type(module).forward in _FORWARDS:
            result = cls._like(module, process_group)
        for name, child in module.named_children():
            result.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return result

    @classmethod
    def _like(cls, module: Any, process_group: Any) -> "SyncBatchNorm":
        if getattr(module, "cls_to_become", None):
            raise ValueError(
                f"{type(module).__name__} has no channels before its first input: call the "
                "network once, and convert it then."
            )
        names = ("num_features", "eps", "momentum", "affine", "track_running_stats")
        settings: Any = {name: getattr(module, name) for name in names}
        result = cls(**settings, process_group=process_group, bias=module.bias is not None)
        result.weight, result.bias = module.weight, module.bias
        for name, buffer in module.named_buffers(recurse=False):
            setattr(result, name, buffer)
        if hasattr(module, "qconfig"):
            result.qconfig = module.qconfig
        return result.train(module.training)


_FORWARDS = [
    kind.forward
    for kind in (_BatchNorm, SyncBatchNorm, torch.nn.BatchNorm1d, torch.nn.SyncBatchNorm)
]


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
    share = counts / n.clamp(min=1)
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
        along_one, along_xhat = (per_channel(s, x) for s in sums / count.clamp(min=1))
        dx = narrow(core.project(g, xhat, rstd, along_one, along_xhat), x)
        return dx, dweight, dbias, None, None, None, None, None
