"""Modules of ``torch.nn`` with another forward, whose source can be read on one page.

``normcourse.nn.BatchNorm2d`` is a ``torch.nn.BatchNorm2d``: so for each name that torch has, too.
"""

from normcourse.nn import utils
from normcourse.nn.batch_norm import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    LazyBatchNorm1d,
    LazyBatchNorm2d,
    LazyBatchNorm3d,
)
from normcourse.nn.divisive_norm import GDN, CrossMapLRN2d, DivisiveNorm, LocalResponseNorm
from normcourse.nn.group_norm import GroupNorm
from normcourse.nn.instance_norm import (
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
    LazyInstanceNorm1d,
    LazyInstanceNorm2d,
    LazyInstanceNorm3d,
)
from normcourse.nn.layer_norm import LayerNorm
from normcourse.nn.rms_norm import RMSNorm
from normcourse.nn.switchable_norm import SwitchableNorm1d, SwitchableNorm2d, SwitchableNorm3d
from normcourse.nn.sync_batch_norm import SyncBatchNorm

__all__ = [
    "GDN",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "CrossMapLRN2d",
    "DivisiveNorm",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
    "LocalResponseNorm",
    "RMSNorm",
    "SwitchableNorm1d",
    "SwitchableNorm2d",
    "SwitchableNorm3d",
    "SyncBatchNorm",
    "utils",
]
