"""Normalization techniques from scratch: readable, tested, equal to the frameworks' own.

Functions work on NumPy arrays, PyTorch tensors and JAX arrays. ``normcourse.nn`` (imported
separately, needs torch) holds modules that are drop-in for ``torch.nn``.
"""

from normcourse.batch_norm import (
    batch_norm,
    batch_norm_backward,
    batch_norm_inference,
    batch_norm_inference_backward,
    update_running_statistics,
)
from normcourse.core import mean_and_variance, standardize, standardize_backward
from normcourse.rescaling import MinMaxScaler, StandardScaler, merge_statistics

__version__ = "0.1.0"

__all__ = [
    "MinMaxScaler",
    "StandardScaler",
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_inference",
    "batch_norm_inference_backward",
    "mean_and_variance",
    "merge_statistics",
    "standardize",
    "standardize_backward",
    "update_running_statistics",
]
