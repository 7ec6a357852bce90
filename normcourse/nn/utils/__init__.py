"""What ``torch.nn.utils`` holds for normalization: parametrizations, and a measure of what they do.

``normcourse.nn.utils.parametrizations.weight_norm`` is drop-in for torch's function of this name,
and ``spectral_norm`` as well. ``operator_norm`` measures the norm of a convolution as an operator.
"""

from normcourse.nn.utils import operator_norm, parametrizations

__all__ = ["operator_norm", "parametrizations"]
