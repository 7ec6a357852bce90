"""Batch normalization as modules; see :mod:`normcourse.batch_norm` for the functions."""

import torch

from normcourse.autograd import with_backward
from normcourse.batch_norm import (
    batch_norm,
    batch_norm_backward,
    batch_norm_inference,
    batch_norm_inference_backward,
    update_running_statistics,
)
from normcourse.checks import check_built_for
from normcourse.nn.base import ChannelNorm, in_order, leaf

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
]

_batch_norm = with_backward(batch_norm, batch_norm_backward, "x weight bias")
_batch_norm_inference = with_backward(
    batch_norm_inference, batch_norm_inference_backward, "x weight bias"
)


class _BatchNorm(ChannelNorm, torch.nn.modules.batchnorm._BatchNorm):
    r"""Batch normalization as a module: :func:`normcourse.batch_norm` plus bookkeeping.

    .. math:: y = \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta

    In training it normalizes with the batch and updates the running statistics; in evaluation it
    uses the running statistics, or the batch where ``track_running_stats`` is False.

    It is a ``torch.nn`` module of its name to all that ask ``isinstance``. What looks a class up by
    its exact type has to be told: ``torch.ao.quantization.fuse_modules`` in its argument
    ``fuse_custom_config_dict``, as ``{"additional_fuser_method_mapping": {(torch.nn.Conv2d,
    normcourse.nn.BatchNorm2d): fuse_conv_bn}}``; the validator of Opacus, too.

    Args:
        num_features (int): C of an input (N, C, ...).
        eps (float = 1e-05): added to the variance, inside the square root.
        momentum (float | None = 0.1): weight of the **new** batch in the running statistics; None
            averages all batches.
        affine (bool = True): learn a weight per channel, starting at 1.
        track_running_stats (bool = True): keep running statistics.
        device, dtype (= None): of parameters and buffers.
        bias (bool = True, by name): with ``affine``, learn a bias per channel, starting at 0.

    Raises:
        ValueError: wrong rank, wrong number of channels, one value per channel in training.
        TypeError: input is not floating point.

    Source: Ioffe & Szegedy 2015, arXiv:1502.03167.
    """

    @leaf
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalize ``input`` (N, C, ...); the shape and dtype stay."""
        self._check_input_dim(input)
        check_built_for(self, "num_features", input)
        if not self.training and self.running_mean is not None:
            statistics = self.running_mean, self.running_var
            y = _batch_norm_inference(input, *statistics, self.weight, self.bias, self.eps)
            return in_order(y)
        y = in_order(_batch_norm(input, self.weight, self.bias, self.eps))
        track(self, input)
        return y


@torch.no_grad()
def track(module, input):
    """In training, put one more batch into the running statistics; an empty one only counts."""
    if not module.training or not module.track_running_stats or module.running_mean is None:
        return
    if input.numel():
        running = module.running_mean, module.running_var
        store(module, *update_running_statistics(*running, input, weight_of_new(module)))
    count(module)  # last: a batch that is refused does not count


def weight_of_new(module):
    """The weight of one more batch in the running statistics: the momentum, or 1 / count."""
    if module.momentum is not None:
        return module.momentum
    # No float(): the processor would wait for the GPU.
    precision = torch.promote_types(module.running_mean.dtype, torch.float32)
    return (module.num_batches_tracked + 1).to(precision).reciprocal()


def store(module, mean, var):
    """Change the running statistics in place, for others may hold them, too."""
    module.running_mean.copy_(mean)
    module.running_var.copy_(var)


def count(module):
    """Count one more batch."""
    if module.num_batches_tracked is not None:
        module.num_batches_tracked.add_(1)


class BatchNorm1d(_BatchNorm, torch.nn.BatchNorm1d):
    """Batch normalization of (N, C) or (N, C, L)."""

    _layouts = "(N, C) or (N, C, L)"


class BatchNorm2d(_BatchNorm, torch.nn.BatchNorm2d):
    """Batch normalization of (N, C, H, W)."""

    _layouts = "(N, C, H, W)"


class BatchNorm3d(_BatchNorm, torch.nn.BatchNorm3d):
    """Batch normalization of (N, C, D, H, W)."""

    _layouts = "(N, C, D, H, W)"


class _LazyBatchNorm(_BatchNorm):
    r"""Batch normalization as a module, built without the number of channels.

    It learns ``num_features`` from its first input, and then is a :class:`BatchNorm1d`,
    :class:`BatchNorm2d` or :class:`BatchNorm3d`.

    Args:
        eps (float = 1e-05): added to the variance, inside the square root.
        momentum (float | None = 0.1): weight of the **new** batch in the running statistics.
        affine (bool = True): learn a weight per channel, starting at 1.
        track_running_stats (bool = True): keep running statistics.
        device, dtype (= None): of parameters and buffers.
        bias (bool = True, by name): with ``affine``, learn a bias per channel, starting at 0.

    Raises:
        ValueError: wrong rank, one value per channel in training.
        TypeError: input is not floating point.

    Source: Ioffe & Szegedy 2015, arXiv:1502.03167.
    """


class LazyBatchNorm1d(_LazyBatchNorm, torch.nn.LazyBatchNorm1d):
    """Batch normalization of (N, C) or (N, C, L), for any C."""

    cls_to_become = BatchNorm1d
    _layouts = BatchNorm1d._layouts


class LazyBatchNorm2d(_LazyBatchNorm, torch.nn.LazyBatchNorm2d):
    """Batch normalization of (N, C, H, W), for any C."""

    cls_to_become = BatchNorm2d
    _layouts = BatchNorm2d._layouts


class LazyBatchNorm3d(_LazyBatchNorm, torch.nn.LazyBatchNorm3d):
    """Batch normalization of (N, C, D, H, W), for any C."""

    cls_to_become = BatchNorm3d
    _layouts = BatchNorm3d._layouts
