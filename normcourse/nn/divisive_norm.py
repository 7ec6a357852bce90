"""Divisive normalization as modules: LocalResponseNorm as in ``torch.nn``, DivisiveNorm and GDN.

Pools may have no negative weight, and a semi-saturation must stay positive, or a denominator
could reach zero. So the modules learn another number, raw, and use value = minimum + raw^2:
whatever an optimizer does to raw, the value stays in range. A raw of exactly 0 would have no
gradient; values that start at their minimum start at raw = 2^-18, where training can leave it
(the offset of Ballé et al.).
"""

from typing import Any, ClassVar

import torch

from normcourse import checks
from normcourse.autograd import with_backward
from normcourse.divisive_norm import (
    divisive_norm,
    divisive_norm_backward,
    local_response_norm,
    local_response_norm_backward,
    signed_divisive_norm,
    signed_divisive_norm_backward,
)
from normcourse.nn.base import leaf

__all__ = ["GDN", "CrossMapLRN2d", "DivisiveNorm", "LocalResponseNorm"]


def _local_response_norm_backward(*arguments):
    return (local_response_norm_backward(*arguments),)


_canonical = with_backward(divisive_norm, divisive_norm_backward, "x weight sigma gain")
_signed = with_backward(signed_divisive_norm, signed_divisive_norm_backward, "x weight bias")
_lrn = with_backward(local_response_norm, _local_response_norm_backward, "x")


def _raw(value, minimum):
    return torch.nn.Parameter((value - minimum).clamp(min=2.0**-36).sqrt())


def _value(raw, minimum=0.0):
    return minimum + raw * raw


class LocalResponseNorm(torch.nn.LocalResponseNorm):
    r"""Local response normalization: :func:`normcourse.local_response_norm`, nothing learned.

    Args:
        size (int): how many neighbouring channels are a pool.
        alpha (float = 0.0001): divided by ``size``.
        beta (float = 0.75): the power.
        k (float = 1.0): added to the pool, above 0.

    Raises:
        ValueError: fewer than 3 axes, or an argument out of range, when it is called.
        TypeError: input is not floating point.

    Source: Krizhevsky, Sutskever & Hinton 2012, section 3.3.
    """

    @leaf
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalize ``input`` (N, C, L) or longer; the shape and dtype stay."""
        return _lrn(input, self.size, self.alpha, self.beta, self.k)


class CrossMapLRN2d(torch.nn.CrossMapLRN2d):
    r"""Local response normalization of images by its older name.

    It computes the same as :class:`LocalResponseNorm`. torch's does not: its running sum never
    loses the first channel, and for an even size it lacks a neighbour (torch 2.13).

    Args:
        size (int): how many neighbouring channels are a pool.
        alpha (float = 0.0001): divided by ``size``.
        beta (float = 0.75): the power.
        k (float = 1): added to the pool, above 0.

    Raises:
        ValueError: the input has not 4 axes, or an argument is out of range, when it is called.
        TypeError: input is not floating point.

    Source: Krizhevsky, Sutskever & Hinton 2012, section 3.3.
    """

    @leaf
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalize ``input`` (N, C, H, W); the shape and dtype stay."""
        checks.check_layout(self, input, "(N, C, H, W)")
        return _lrn(input, self.size, self.alpha, self.beta, self.k)


class _Pooled(torch.nn.Module):
    def __init__(self, num_channels: int) -> None:
        checks.check_integer("num_channels", num_channels)
        super().__init__()
        self.num_channels = num_channels

    def _check(self, input):
        checks.check_layout(self, input, "(N, C, ...)")
        checks.check_built_for(self, "num_channels", input)


class DivisiveNorm(_Pooled):
    r"""Divisive normalization over channels, with a learned pool and semi-saturation.

    .. math:: y_i = \frac{x_i}{\sqrt{\sigma_i^2 + \sum_j w_{ij} x_j^2}} \qquad \text{or} \qquad
              y_i = \gamma_i \frac{D_i^n}{\sigma_i^n + \sum_j w_{ij} D_j^n},\; D = \max(x, 0)

    A pool starts as the mean over all channels, w = 1 / C. The properties ``weight`` (C, C) and
    ``sigma`` (C,) are in use; ``raw_weight`` and ``raw_sigma``, from which they are made, are
    learned and saved: weight = raw_weight^2 and sigma = 1e-6 + raw_sigma^2.

    Args:
        num_channels: C of an input (N, C, ...).
        canonical: False for the signed form (left), True for the form of neuroscience (right),
            which also learns a ``gain`` (C,), starting at 1.
        exponent: n of the canonical form, at least 1; the signed form is quadratic.
        sigma: where every sigma starts, above 1e-6, in the units of the input.
        device, dtype: of the parameters.

    Raises:
        ValueError: fewer than 2 axes, wrong number of channels, or an argument out of range.
        TypeError: input is not floating point.

    Source: Ren et al. 2016, arXiv:1611.04520; Carandini & Heeger 2012, Nat. Rev. Neurosci. 13.
    """

    minimum = 1e-6  # of sigma
    __jit_unused_properties__: ClassVar = ["weight", "sigma"]

    def __init__(
        self,
        num_channels: int,
        canonical: bool = False,
        exponent: float = 2.0,
        sigma: float = 1.0,
        device: torch.types.Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(num_channels)
        if not canonical and exponent != 2:
            raise ValueError(
                f"exponent={exponent} needs canonical=True; the signed form has squares."
            )
        checks.check_number("exponent", exponent, 1)
        checks.check_number("sigma", sigma)
        if not self.minimum < sigma:
            raise ValueError(f"sigma must be above {self.minimum} and finite, got {sigma}.")
        self.canonical = canonical
        self.exponent = exponent
        like: dict[str, Any] = {"device": device, "dtype": dtype}
        pool = torch.full((num_channels, num_channels), 1 / num_channels, **like)
        self.raw_weight = _raw(pool, 0.0)
        self.raw_sigma = _raw(torch.full((num_channels,), sigma, **like), self.minimum)
        gain = torch.nn.Parameter(torch.ones(num_channels, **like)) if canonical else None
        self.register_parameter("gain", gain)

    @property
    def weight(self) -> torch.Tensor:
        """The pools, (C, C), never negative."""
        return _value(self.raw_weight)

    @property
    def sigma(self) -> torch.Tensor:
        """The semi-saturations, (C,), always positive."""
        return _value(self.raw_sigma, self.minimum)

    @leaf
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalize ``input`` (N, C, ...); the shape and dtype stay."""
        self._check(input)
        if self.canonical:
            return _canonical(input, self.weight, self.sigma, self.gain, self.exponent)
        return _signed(input, self.weight, self.sigma**2, 0.5)

    def extra_repr(self) -> str:
        """The constructor's arguments, as ``print(module)`` shows them."""
        exponent = f", exponent={self.exponent}" if self.canonical else ""
        return f"{self.num_channels}, canonical={self.canonical}{exponent}"


class GDN(_Pooled):
    r"""Generalized divisive normalization, the nonlinearity of learned image compression.

    .. math:: y_i = \frac{x_i}{\sqrt{\beta_i + \sum_j \gamma_{ij} x_j^2}}

    The properties ``beta`` (C,) and ``gamma`` (C, C) are in use; ``raw_beta`` and ``raw_gamma``,
    from which they are made, are learned and saved: gamma = raw_gamma^2 and
    beta = beta_min + raw_beta^2. (Ballé et al. clip at the bound instead, with a gradient of its
    own.)

    Args:
        num_channels: C of an input (N, C, ...).
        beta_min: what beta stays above.
        gamma_init: gamma starts as this times the identity, beta at 1.
        device, dtype: of the parameters.

    Raises:
        ValueError: fewer than 2 axes, wrong number of channels, or an argument out of range.
        TypeError: input is not floating point.

    Source: Ballé, Laparra & Simoncelli 2015, arXiv:1511.06281.
    """

    __jit_unused_properties__: ClassVar = ["beta", "gamma"]

    def __init__(
        self,
        num_channels: int,
        beta_min: float = 1e-6,
        gamma_init: float = 0.1,
        device: torch.types.Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(num_channels)
        checks.check_number("beta_min", beta_min, 0)
        if not 0 < beta_min < 1:
            raise ValueError(
                f"beta_min must be between 0 and 1, where beta starts; got {beta_min}."
            )
        checks.check_number("gamma_init", gamma_init, 0)
        self.beta_min = beta_min
        self.gamma_init = gamma_init
        like: dict[str, Any] = {"device": device, "dtype": dtype}
        self.raw_beta = _raw(torch.ones(num_channels, **like), beta_min)
        self.raw_gamma = _raw(gamma_init * torch.eye(num_channels, **like), 0.0)

    @property
    def beta(self) -> torch.Tensor:
        """What is added to each pool, (C,), at least ``beta_min``."""
        return _value(self.raw_beta, self.beta_min)

    @property
    def gamma(self) -> torch.Tensor:
        """The pools, (C, C), never negative."""
        return _value(self.raw_gamma)

    @leaf
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalize ``input`` (N, C, ...); the shape and dtype stay."""
        self._check(input)
        return _signed(input, self.gamma, self.beta, 0.5)

    def extra_repr(self) -> str:
        """The constructor's arguments, as ``print(module)`` shows them."""
        return f"{self.num_channels}, beta_min={self.beta_min}, gamma_init={self.gamma_init}"
