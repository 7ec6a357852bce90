"""Modules with the names, arguments, buffers and ``state_dict`` keys of ``torch.nn``.

Replace ``torch.nn.BatchNorm2d`` by ``normcourse.nn.BatchNorm2d``: the function stays the same,
and its source can be read on one page.
"""

from normcourse.nn import utils
from normcourse.nn.batch_norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from normcourse.nn.divisive_norm import GDN, DivisiveNorm, LocalResponseNorm
from normcourse.nn.group_norm import GroupNorm
from normcourse.nn.instance_norm import InstanceNorm1d, InstanceNorm2d, InstanceNorm3d
from normcourse.nn.layer_norm import LayerNorm
from normcourse.nn.rms_norm import RMSNorm
from normcourse.nn.switchable_norm import SwitchableNorm1d, SwitchableNorm2d, SwitchableNorm3d
from normcourse.nn.sync_batch_norm import SyncBatchNorm

__all__ = [
    "GDN",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "DivisiveNorm",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "LocalResponseNorm",
    "RMSNorm",
    "SwitchableNorm1d",
    "SwitchableNorm2d",
    "SwitchableNorm3d",
    "SyncBatchNorm",
    "utils",
]
