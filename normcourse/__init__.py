"""Normalization techniques from scratch: readable, tested, equal to the frameworks' own.

Functions work on NumPy arrays, PyTorch tensors and JAX arrays. Two doors are imported separately:
``normcourse.nn`` (needs torch) holds modules that are drop-in for ``torch.nn``, and
``normcourse.preprocessing`` (needs scikit-learn) the scalers as estimators. ``normcourse.carry``
carries a trained layer from one framework into another. ``normcourse.doctor(model)`` (needs torch)
examines a model of one's own.
"""

from typing import TYPE_CHECKING, Any

from normcourse.batch_norm import (
    batch_norm,
    batch_norm_backward,
    batch_norm_inference,
    batch_norm_inference_backward,
    update_running_statistics,
)
from normcourse.core import mean_and_variance, standardize, standardize_backward
from normcourse.divisive_norm import (
    divisive_norm,
    divisive_norm_backward,
    local_response_norm,
    local_response_norm_backward,
    signed_divisive_norm,
    signed_divisive_norm_backward,
)
from normcourse.group_norm import group_norm, group_norm_backward
from normcourse.instance_norm import (
    instance_norm,
    instance_norm_backward,
    update_running_instance_statistics,
)
from normcourse.layer_norm import layer_norm, layer_norm_backward
from normcourse.rescaling import (
    merge_statistics,
    min_max_inverse,
    min_max_scale,
    min_max_statistics,
    standard_inverse,
    standard_scale,
    standard_statistics,
)
from normcourse.rms_norm import rms_norm, rms_norm_backward
from normcourse.spectral_norm import (
    as_matrix,
    power_iteration,
    spectral_norm,
    spectral_norm_backward,
)
from normcourse.switchable_norm import (
    switchable_norm,
    switchable_norm_backward,
    switchable_norm_inference,
    switchable_norm_inference_backward,
)
from normcourse.weight_norm import (
    norm_except_dim,
    weight_norm,
    weight_norm_backward,
)

if TYPE_CHECKING:
    from normcourse.doctor import Doctor

    doctor: Doctor

__version__ = "0.1.0"

__all__ = [
    "as_matrix",
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_inference",
    "batch_norm_inference_backward",
    "divisive_norm",
    "divisive_norm_backward",
    "group_norm",
    "group_norm_backward",
    "instance_norm",
    "instance_norm_backward",
    "layer_norm",
    "layer_norm_backward",
    "local_response_norm",
    "local_response_norm_backward",
    "mean_and_variance",
    "merge_statistics",
    "min_max_inverse",
    "min_max_scale",
    "min_max_statistics",
    "norm_except_dim",
    "power_iteration",
    "rms_norm",
    "rms_norm_backward",
    "signed_divisive_norm",
    "signed_divisive_norm_backward",
    "spectral_norm",
    "spectral_norm_backward",
    "standard_inverse",
    "standard_scale",
    "standard_statistics",
    "standardize",
    "standardize_backward",
    "switchable_norm",
    "switchable_norm_backward",
    "switchable_norm_inference",
    "switchable_norm_inference_backward",
    "update_running_instance_statistics",
    "update_running_statistics",
    "weight_norm",
    "weight_norm_backward",
]


def __getattr__(name: str) -> Any:
    """Import the doctor, and torch with it, when it is asked for."""
    if name == "doctor":
        import importlib

        return importlib.import_module("normcourse.doctor")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
