"""Carry a trained normalization layer between torch, Keras 3, Flax (nnx) and Equinox.

``write(read(torch_layer), keras_layer)``: ``read`` says what a layer is in words that belong to no
framework, ``write`` says it to a layer of any of them. None is imported here: a layer is known by
the module of its class.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Description", "read", "write"]

Numbers = np.ndarray[Any, np.dtype[np.float64]]

# What each calls gamma, beta, epsilon, the running mean and the running variance.
NAMES = {
    "torch": ("weight", "bias", "eps", "running_mean", "running_var"),
    "keras": ("gamma", "beta", "epsilon", "moving_mean", "moving_variance"),
    "flax.nnx": ("scale", "bias", "epsilon", "mean", "var"),
    "equinox": ("weight", "bias", "eps", "", ""),  # its statistics are in a State
}
KINDS = {
    "batch": ("BatchNorm", "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "BatchNormalization"),
    "layer": ("LayerNorm", "LayerNormalization"),
    "group": ("GroupNorm", "GroupNormalization"),
    "instance": ("InstanceNorm", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"),
    "rms": ("RMSNorm", "RMSNormalization"),
}
# With another value of the attribute a layer is one that the other frameworks do not have.
NEEDED = [
    ("torch", "batch", "track_running_stats", True),
    ("torch", "instance", "track_running_stats", False),
    ("keras", "batch", "renorm", False),
    ("keras", "layer", "rms_scaling", False),
    ("flax.nnx", "layer", "reduction_axes", -1),
    ("flax.nnx", "layer", "feature_axes", -1),
    ("flax.nnx", "rms", "reduction_axes", -1),
    ("flax.nnx", "rms", "feature_axes", -1),
    ("flax.nnx", "group", "reduction_axes", None),
    ("equinox", "batch", "mode", "batch"),
]


@dataclass(frozen=True)
class Description:
    """A normalization layer, said in no framework's words.

    Args:
        kind: batch, layer, group or rms. Instance norm is group norm with a group per channel.
        eps: added inside the root.
        gamma, beta: (C,), or the shape that layer norm normalizes; None for 1 and 0.
        groups: of group norm.
        momentum: of batch norm: the weight of the **new** batch.
        mean, var: (C,), of batch norm: the running statistics, as inference uses them.
        unbiased: of batch norm: whether ``var`` takes in a batch's variance times n / (n - 1).
        channels_first: how the axes are ordered, where ``gamma`` has several.
    """

    kind: str
    eps: float
    gamma: Numbers | None
    beta: Numbers | None
    groups: int | None = None
    momentum: float | None = None
    mean: Numbers | None = None
    var: Numbers | None = None
    unbiased: bool | None = None
    channels_first: bool = True


def read(layer: Any, state: Any = None) -> Description:
    """Describe a layer of torch, Keras 3, Flax (nnx) or Equinox.

    Args:
        layer: a batch, layer, instance, group or RMS norm.
        state: for Equinox' batch norm, the State of its network.

    Returns:
        A :class:`Description` whose arrays are copies in float64.

    Raises:
        TypeError: ``layer`` is no such layer.
        ValueError: it is not built, or the other frameworks do not have it.
    """
    framework, kind = _recognize(layer)
    values = [getattr(layer, name, None) for name in _names(framework, kind)]
    gamma, beta, eps, mean, var = values
    if eps is None:  # torch's RMSNorm: the machine epsilon of its arithmetic
        double = gamma is not None and gamma.dtype.itemsize == 8
        eps = 2.0**-52 if double else 2.0**-23
    about: dict[str, Any] = {"kind": kind, "eps": float(eps)}
    if kind in ("group", "instance"):
        about |= {"kind": "group", "groups": _groups(layer, kind)}
    if kind == "batch":
        if layer.momentum is None:
            raise ValueError("momentum must be a number: only torch has None.")
        new = layer.momentum if framework == "torch" else 1 - layer.momentum
        about |= {"momentum": new, "unbiased": framework == "torch"}
        if framework == "equinox":
            mean, var = _debiased(layer, state)
    arrays = {"gamma": gamma, "beta": beta, "mean": mean, "var": var}
    about |= {name: _numpy(value) for name, value in arrays.items()}
    return Description(**about, channels_first=framework in ("torch", "equinox"))


def write(description: Description, layer: Any, state: Any = None) -> Any:
    """Give a layer of any framework what the description says; its layout stays its own.

    The running variance is written as it is, so that inference is the same; where the frameworks
    differ in ``unbiased``, each further batch brings in a variance that differs by 1 / n.

    Args:
        description: from :func:`read`.
        layer: receives it: built, of the same kind, with as many channels and groups.
        state: for Equinox' batch norm, the State of its network; it is used up.

    Returns:
        The layer, changed in place. Of Equinox a new layer, since none can be changed, or
        (new layer, new state).

    Raises:
        TypeError: ``layer`` is no normalization layer.
        ValueError: it cannot compute what the description says; then nothing was changed.
    """
    framework, kind = _recognize(layer)
    groups = _groups(layer, kind) if kind in ("group", "instance") else None
    own = f"{'group' if groups else kind} norm" + (f" with {groups} groups" if groups else "")
    said = f"{description.kind} norm"
    said += f" with {description.groups} groups" if description.groups else ""
    if own != said:
        raise ValueError(f"layer is {own}; the description is of {said}.")
    several = description.gamma is not None and description.gamma.ndim > 1
    if several and description.channels_first != (framework in ("torch", "equinox")):
        raise ValueError(
            f"gamma spans several axes and {framework} orders them differently: transpose gamma "
            "and beta, and set channels_first (dataclasses.replace)."
        )
    gamma, beta, eps, mean, var = _names(framework, kind)
    arrays = {
        gamma: _fitting(layer, gamma, description.gamma, 1.0),
        beta: _fitting(layer, beta, description.beta, 0.0),
    }
    numbers = {eps: description.eps}
    if kind == "batch":
        new = description.momentum or 0.0
        numbers["momentum"] = new if framework == "torch" else 1 - new
        if framework != "equinox":
            arrays[mean] = _fitting(layer, mean, description.mean, 0.0)
            arrays[var] = _fitting(layer, var, description.var, 1.0)
    arrays = {name: array for name, array in arrays.items() if array is not None}
    if framework == "equinox":
        return _write_equinox(description, layer, state, arrays, numbers)
    for name, number in numbers.items():
        setattr(layer, name, number)
    for name, array in arrays.items():
        _assign(getattr(layer, name), array)
    return layer


def _recognize(layer):
    """The framework and kind of a layer that every framework has."""
    for base in type(layer).__mro__:
        framework = next((f for f in NAMES if f"{base.__module__}.".startswith(f"{f}.")), None)
        kind = next((k for k, names in KINDS.items() if base.__name__ in names), None)
        if framework and kind:
            break
    else:
        name = f"{type(layer).__module__}.{type(layer).__name__}"
        hint = " A linen layer holds no numbers: use nnx." if "linen" in name else ""
        if any(word in name for word in ("WeightNorm", "Spectral", "Parametrized")):
            hint = " It normalizes a weight: carry the weight that comes out."
        raise TypeError(
            "layer must be a batch, layer, instance, group or RMS norm of torch, Keras 3, "
            f"flax.nnx or Equinox, got {name}.{hint}"
        )
    if framework == "keras" and not layer.built:
        raise ValueError("layer has no variables yet: call it once, or layer.build(shape).")
    for of_framework, of_kind, name, value in NEEDED:
        if (of_framework, of_kind) == (framework, kind) and getattr(layer, name) != value:
            raise ValueError(
                f"{name} must be {value!r}, got {getattr(layer, name)!r}: the other frameworks "
                "have no such layer."
            )
    return framework, kind


def _names(framework, kind):
    gamma, *others = NAMES[framework]
    return ("scale" if (framework, kind) == ("keras", "rms") else gamma, *others)


def _groups(layer, kind):
    if kind == "instance":
        return layer.num_features
    return layer.num_groups if hasattr(layer, "num_groups") else layer.groups


def _numpy(value):
    if hasattr(value, "assign"):  # Keras
        value = value.value
    if hasattr(value, "detach"):  # torch, and Keras on it
        value = value.detach().cpu().double().numpy()
    return None if value is None else np.array(value, dtype=np.float64)


def _fitting(layer, name, value, neutral):
    """``value`` for the layer's variable of that name; None where neither has one."""
    variable = getattr(layer, name, None)
    if variable is None:
        if value is not None and np.any(value != neutral):
            raise ValueError(f"layer has no {name}, and the description has one.")
        return None
    shape = tuple(variable.shape)
    if value is not None and value.shape != shape:
        raise ValueError(f"layer's {name} has shape {shape}, the description's {value.shape}.")
    return np.full(shape, neutral) if value is None else value


def _assign(variable, array):
    if hasattr(variable, "copy_"):  # torch
        import torch

        variable.data.copy_(torch.as_tensor(array))
    elif hasattr(variable, "assign"):  # Keras
        variable.assign(array)
    else:  # Flax
        variable[...] = array.astype(variable.dtype)


# Equinox stores sums that began at 0 and the number k of batches in them. Inference divides by
# what the weights in a sum add up to, 1 - m^k, and takes it as it is where k = 0.


def _debiased(layer, state):
    if state is None:
        raise ValueError("state must be the network's State: it holds the statistics.")
    k = int(state.get(layer.batch_counter))
    total = 1 - layer.momentum**k if k else 1.0
    return [_numpy(value) / total for value in state.get(layer.batch_state_index)]


def _write_equinox(description, layer, state, arrays, numbers):
    import equinox

    for name, number in numbers.items():
        if not math.isclose(getattr(layer, name), number, rel_tol=1e-9):
            raise ValueError(
                f"an Equinox layer's {name} cannot be changed: make it with {name}={number:g}, "
                f"not {getattr(layer, name):g}."
            )
    made = layer
    if arrays:
        new = [array.astype(getattr(layer, name).dtype) for name, array in arrays.items()]
        made = equinox.tree_at(lambda tree: [getattr(tree, name) for name in arrays], layer, new)
    if description.kind != "batch":
        return made if state is None else (made, state)
    old, _ = _debiased(layer, state)
    if description.mean.shape != old.shape:
        raise ValueError(f"layer has {old.size} channels, the description {description.mean.size}.")
    # After the next batch, k = 1 would divide by 1 - m: all that was carried, 100 times as large
    # for m = 0.99. So k says what it is, an average of many batches: m^k is nothing beside 1.
    m = layer.momentum
    if m == 1:
        raise ValueError("momentum 1 never takes in a batch: Equinox cannot keep such statistics.")
    k = math.ceil(-60 * math.log(2) / math.log(m)) if m else 1
    dtype = state.get(layer.batch_state_index)[0].dtype
    sums = description.mean.astype(dtype), description.var.astype(dtype)
    state = state.set(layer.batch_state_index, sums)
    return made, state.set(layer.batch_counter, 0 * state.get(layer.batch_counter) + k)
