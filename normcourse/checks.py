"""Errors that teach: each names the argument, what it got and what would work."""

import sys
import warnings
from collections.abc import Sequence
from math import prod
from numbers import Integral, Real
from sys import float_info
from typing import Any

__all__ = [
    "as_shape",
    "check_array",
    "check_axis",
    "check_built_for",
    "check_channels",
    "check_count",
    "check_eps",
    "check_gradient",
    "check_groups",
    "check_integer",
    "check_layout",
    "check_momentum",
    "check_normalized_shape",
    "check_not_empty",
    "check_number",
    "check_rank",
    "check_shape",
    "check_tensor",
]


def _is_float(dtype: Any) -> bool:
    """Whether a dtype is real floating point; NumPy's kind first, for its name is slow to make."""
    return getattr(dtype, "kind", None) == "f" or "float" in str(dtype)


def check_array(name: str, x: Any, like: Any = None, of: str = "x") -> None:
    """Raise TypeError unless ``x`` is a floating-point array, of the library of ``like``.

    ``of`` is the name of ``like``.
    """
    kind = type(x).__name__
    if not hasattr(x, "dtype") or not hasattr(x, "shape"):
        raise TypeError(
            f"{name} must be an array or tensor, got {kind}. Try numpy.asarray({name})."
        )
    if kind == "MaskedArray":  # its sums leave numbers out, while we count all
        raise TypeError(
            f"{name} is a MaskedArray, and masked numbers would be counted. Fill them first: "
            f"{name}.filled(value)."
        )
    if not _is_float(x.dtype):
        raise TypeError(
            f"{name} must be real floating point, got dtype {x.dtype}. "
            f"Convert it first: {name}.astype('float32') in NumPy, {name}.float() in torch."
        )
    # A traced tensor (torch.compile, jax.jit) has another class than an eager one of its library.
    if like is not None and hasattr(x, "astype") != hasattr(like, "astype"):
        raise TypeError(
            f"{name} is a {type(x).__module__}.{kind} but {of} is a "
            f"{type(like).__module__}.{type(like).__name__}. Use one library for all arguments."
        )


def check_tensor(x: Any, name: str = "input") -> None:
    """Raise TypeError unless ``x`` is a torch tensor, of whatever dtype: what a module takes."""
    if not hasattr(x, "detach"):
        kind = f"{type(x).__module__}.{type(x).__name__}".removeprefix("builtins.")
        raise TypeError(f"{name} must be a torch.Tensor, got {kind}. Try torch.as_tensor({name}).")
    if x.is_nested and not hasattr(x, "offsets"):
        raise TypeError(
            f"{name} is a nested tensor without a shape. Make it with layout=torch.jagged, or "
            f"fill it up: torch.nested.to_padded_tensor({name}, 0.0)."
        )


def check_rank(x: Any, least: int, layout: str) -> None:
    """Raise ValueError unless ``x`` has at least ``least`` axes."""
    if x.ndim < least:
        axes = f"{least} axes" if least > 1 else "1 axis"
        raise ValueError(f"x must have at least {axes}, {layout}, got shape {tuple(x.shape)}.")


def check_layout(module: Any, input: Any, layouts: str) -> None:
    """Raise unless ``input`` is a tensor in one of the ``layouts``, as "(N, C) or (N, C, L)"."""
    check_tensor(input)
    ranks = [layout.count(",") + 1 for layout in layouts.split(" or ")]
    if input.ndim < 2 if "..." in layouts else input.ndim not in ranks:
        hint = " For (N, L, C) sequences use LayerNorm." if input.ndim == 3 else ""
        raise ValueError(
            f"input has {input.ndim} axes, shape {tuple(input.shape)}; {type(module).__name__} "
            f"expects {layouts}.{hint}"
        )


def check_shape(
    name: str,
    value: Any,
    shape: tuple[int, ...],
    x: Any,
    what: str,
    optional: bool = True,
    of: str = "x",
) -> None:
    """Raise unless ``value`` is an array like ``x`` with this shape, or None if ``optional``."""
    if value is None and optional:
        return
    check_array(name, value, x, of)
    if tuple(value.shape) != tuple(shape):
        raise ValueError(
            f"{name} must have shape {tuple(shape)}, {what} of {of} with shape "
            f"{tuple(x.shape)}; got {tuple(value.shape)}."
        )


def check_channels(name: str, value: Any, x: Any, optional: bool = True) -> None:
    """Raise unless ``value`` is one entry per channel of ``x``, or None if ``optional``."""
    check_shape(name, value, (x.shape[1],), x, "one entry per channel", optional)


def check_gradient(name: str, dy: Any, x: Any, of: str = "x") -> None:
    """Raise unless ``dy`` is an array of the library and shape of ``x``."""
    check_array(name, dy, x, of)
    if tuple(dy.shape) != tuple(x.shape):
        raise ValueError(
            f"{name} must have the shape of {of}, {tuple(x.shape)}; got {tuple(dy.shape)}."
        )


def check_number(name: str, value: Any, least: float | None = None) -> None:
    """Raise unless ``value`` is a finite number above 0, or at least ``least``."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}.")
    too_low = value <= 0 if least is None else value < least
    if too_low or not value <= float_info.max:  # NaN is not, either
        bound = "above 0" if least is None else f"at least {least}"
        raise ValueError(f"{name} must be {bound} and finite, got {value}.")


def check_eps(eps: Any, name: str = "eps") -> None:
    """Raise for an eps under which a square root could fail."""
    if not isinstance(eps, Real) or isinstance(eps, bool):
        raise TypeError(f"{name} must be a number, got {type(eps).__name__}.")
    if eps < 0 or not eps <= float_info.max:
        raise ValueError(
            f"{name} must be zero or positive and finite, got {eps}. Usual values: 1e-8 to 1e-3."
        )


def check_momentum(momentum: Any, x: Any) -> None:
    """Raise unless ``momentum``, the weight of the new batch, is a number from 0 to 1."""
    if not isinstance(momentum, Real) and getattr(momentum, "shape", None) == ():
        check_array("momentum", momentum, like=x)
        return  # an array's value may not be known yet
    if not isinstance(momentum, Real) or isinstance(momentum, bool):
        raise TypeError(f"momentum must be a number, got {type(momentum).__name__}.")
    if momentum < 0 or not momentum <= 1:
        raise ValueError(
            f"momentum is the weight of the new batch, from 0 to 1; got {momentum}. Usual: 0.1."
        )


def check_integer(name: str, value: Any, least: int = 1) -> None:
    """Raise unless ``value`` is an integer of at least ``least``."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, got {value!r}.")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}.")


def check_count(
    x: Any, axis: tuple[int, ...], what: str, instead: str, allowed: bool = False
) -> int:
    """How many numbers along ``axis`` share a statistic; ValueError if it is one, or a warning."""
    n = prod([x.shape[a] for a in axis])
    if n == 1:
        message = (
            f"x has one value per {what} (shape {tuple(x.shape)}): minus its own mean it is "
            f"always zero. {instead}"
        )
        if not allowed:
            raise ValueError(message)
        torch = sys.modules.get("torch")
        if torch is None or not torch.compiler.is_compiling():  # which cannot warn
            warnings.warn(message, stacklevel=2)
    return n


def check_not_empty(x: Any) -> None:
    """Raise ValueError if ``x`` holds no numbers: they have no mean."""
    if 0 in x.shape:
        raise ValueError(f"x is empty, shape {tuple(x.shape)}: it has no statistics.")


def check_axis(axis: Any, x: Any) -> None:
    """Raise unless ``axis`` names one or more different axes of ``x``."""
    axes = axis if isinstance(axis, tuple) else (axis,)
    if not all(isinstance(a, Integral) and not isinstance(a, bool) for a in axes):
        raise TypeError(f"axis must be an int or a tuple of ints, got {axis!r}.")
    check_rank(x, 1, "the one along which numbers share a statistic")
    if not axes or not all(-x.ndim <= a < x.ndim for a in axes):
        raise ValueError(
            f"axis must name axes of x, {-x.ndim} to {x.ndim - 1} for shape {tuple(x.shape)}; "
            f"got {axis!r}."
        )
    if len({a % x.ndim for a in axes}) < len(axes):
        raise ValueError(f"axis names an axis twice: {axis!r}.")


def as_shape(normalized_shape: Any, least: int = 1) -> tuple[int, ...]:
    """One or several lengths as a tuple; raise unless they are ``least`` positive integers."""
    if isinstance(normalized_shape, Sequence) and not isinstance(normalized_shape, (str, bytes)):
        shape = tuple(normalized_shape)
    else:
        shape = (normalized_shape,)
    for length in shape:
        check_integer("normalized_shape", length)
    if len(shape) < least:
        raise ValueError(f"normalized_shape must name at least {least} length, got ().")
    return shape


def check_normalized_shape(
    normalized_shape: Any, x: Any, **parameters: Any
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Raise unless ``x`` ends in ``normalized_shape`` and each parameter has it or is None.

    Returns the axes that share a statistic, and those before them, which share a parameter.
    """
    check_rank(x, 1, "(..., *normalized_shape)")
    shape = as_shape(normalized_shape, least=0)
    if not shape or tuple(x.shape[-len(shape) :]) != shape:
        raise ValueError(
            f"normalized_shape must be the last axes of x with shape {tuple(x.shape)}, "
            f"for example ({x.shape[-1]},); got {shape}."
        )
    for name, parameter in parameters.items():
        check_shape(name, parameter, shape, x, "the last axes")
    first = x.ndim - len(shape)
    return tuple(range(first, x.ndim)), tuple(range(first))


def check_groups(num_groups: Any, channels: int, x: Any = None) -> None:
    """Raise unless ``num_groups`` divides the number of channels, those of ``x`` if given."""
    check_integer("num_groups", num_groups)
    if channels % num_groups:
        what = f"num_channels={channels}"
        if x is not None:
            what = f"the {channels} channels of x with shape {tuple(x.shape)}"
        divisors = [g for g in range(1, channels + 1) if channels % g == 0]
        raise ValueError(f"num_groups={num_groups} does not divide {what}; these do: {divisors}.")


def check_built_for(module: Any, argument: str, input: Any, axis: int = 1) -> None:
    """Raise unless ``input`` has as many channels as ``argument`` of the module's constructor."""
    if input.shape[axis] != getattr(module, argument):
        raise ValueError(
            f"input has {input.shape[axis]} channels on axis {axis}, shape {tuple(input.shape)}; "
            f"this {type(module).__name__} was built with {argument}={getattr(module, argument)}."
        )
