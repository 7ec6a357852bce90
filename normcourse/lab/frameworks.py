"""Normalization layers of four frameworks behind one door: NumPy in, NumPy out, channels first.

Keras runs on its torch backend, unless another was chosen before it is imported.
"""

import os

import numpy as np

from normcourse import carry

__all__ = ["FRAMEWORKS", "KINDS", "TITLES", "Layer", "absent"]

TITLES = {"torch": "torch", "keras": "Keras", "flax": "Flax", "equinox": "Equinox"}
FRAMEWORKS = tuple(TITLES)
KINDS = ("batch", "layer", "instance", "group", "rms")
os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def absent():
    """The frameworks that are not installed."""
    from importlib.util import find_spec

    return [name for name in FRAMEWORKS if find_spec(name) is None]


class Layer:
    """A layer of a framework, with the framework's own defaults where nothing else is said.

    Args:
        framework: one of :data:`FRAMEWORKS`.
        kind: one of :data:`KINDS`.
        channels: C.
        groups: of group norm.
        eps: None for the framework's own.
        momentum: the number as it is handed to the framework; None for the framework's own.
        affine: whether it has gamma and beta, or whatever it has by default.
        dtype: of its parameters.

    Called with an array (N, C, ...), it returns one; batch norm uses the batch and updates its
    running statistics if ``training``. Layer and RMS norm take the C features of one position.
    """

    def __init__(
        self,
        framework,
        kind,
        channels,
        groups=2,
        eps=None,
        momentum=None,
        affine=True,
        dtype="float32",
    ):
        self.framework, self.kind, self.dtype = framework, kind, dtype
        self.state = None
        options = {}
        if eps is not None:
            options["epsilon" if framework in ("keras", "flax") else "eps"] = eps
        if momentum is not None:
            options["momentum"] = momentum
        self.layer = getattr(self, f"_{framework}")(channels, groups, affine, options)

    def __call__(self, x, training=False):
        x = np.asarray(x, self.dtype)
        positions = x.reshape(*x.shape[:2], -1)  # (N, C, L): positions are all alike
        y = getattr(self, f"_call_{self.framework}")(positions, training)
        return _array(y).reshape(x.shape)

    def read(self):
        """What :func:`normcourse.carry.read` says of it."""
        return carry.read(self.layer, self.state)

    def write(self, description):
        """Take over what the description says."""
        written = carry.write(description, self.layer, self.state)
        self.layer, self.state = written if isinstance(written, tuple) else (written, self.state)
        return self

    # ---- torch: channels first, but layer and RMS norm take the last axes ---------------------

    def _torch(self, channels, groups, affine, options):
        import torch

        options["dtype"] = getattr(torch, self.dtype)
        name = {"batch": "BatchNorm1d", "instance": "InstanceNorm1d", "group": "GroupNorm"}
        name = name.get(self.kind, {"layer": "LayerNorm", "rms": "RMSNorm"}.get(self.kind))
        key = "elementwise_affine" if self.kind in ("layer", "rms") else "affine"
        sizes = (groups, channels) if self.kind == "group" else (channels,)
        return getattr(torch.nn, name)(*sizes, **options, **{key: affine})

    def _call_torch(self, x, training):
        import torch

        self.layer.train(training)
        return _with_last(self.layer, torch.tensor(x), self.kind in ("layer", "rms"))

    # ---- Keras and Flax: channels last --------------------------------------------------------

    def _keras(self, channels, groups, affine, options):
        import keras

        name = {"batch": "BatchNormalization", "layer": "LayerNormalization"}
        name |= {"rms": "RMSNormalization"}
        if self.kind in ("instance", "group"):
            options["groups"] = groups if self.kind == "group" else -1
        if self.kind != "rms":
            options |= {"center": affine, "scale": affine}
        made = getattr(keras.layers, name.get(self.kind, "GroupNormalization"))(
            dtype=self.dtype, **options
        )
        made.build((None, None, channels))
        return made

    def _call_keras(self, x, training):
        batch = {"training": training} if self.kind == "batch" else {}
        return _with_last(lambda last: self.layer(last, **batch), x)

    def _flax(self, channels, groups, affine, options):
        from flax import nnx

        name = {"batch": "BatchNorm", "layer": "LayerNorm", "instance": "InstanceNorm"}
        name |= {"group": "GroupNorm", "rms": "RMSNorm"}
        options["param_dtype"] = self.dtype
        options["use_scale"] = affine
        if self.kind != "rms":
            options["use_bias"] = affine
        if self.kind == "group":
            options["num_groups"] = groups
        return getattr(nnx, name[self.kind])(channels, rngs=nnx.Rngs(0), **options)

    def _call_flax(self, x, training):
        batch = {"use_running_average": not training} if self.kind == "batch" else {}
        return _with_last(lambda last: self.layer(last, **batch), _jax(x))

    # ---- Equinox: one sample, channels first --------------------------------------------------

    def _equinox(self, channels, groups, affine, options):
        import equinox

        options["dtype"] = _jax(np.zeros(0, self.dtype)).dtype
        if self.kind == "batch":
            mode = options.pop("mode", "batch")
            made, self.state = equinox.nn.make_with_state(equinox.nn.BatchNorm)(
                channels, "batch", channelwise_affine=affine, mode=mode, **options
            )
            return made
        if self.kind in ("instance", "group"):
            groups = groups if self.kind == "group" else channels
            return equinox.nn.GroupNorm(groups, channels, channelwise_affine=affine, **options)
        name = "LayerNorm" if self.kind == "layer" else "RMSNorm"
        options |= {"use_weight": affine}
        if not affine:
            options["use_bias"] = False
        return getattr(equinox.nn, name)(channels, **options)

    def _call_equinox(self, x, training):
        import jax

        if self.kind == "batch":

            def one(sample, state):
                return self.layer(sample, state, inference=not training)

            every = jax.vmap(one, axis_name="batch", in_axes=(0, None), out_axes=(0, None))
            y, self.state = every(_jax(x), self.state)
            return y
        if self.kind in ("layer", "rms"):
            return _with_last(jax.vmap(jax.vmap(self.layer)), _jax(x))
        return jax.vmap(self.layer)(_jax(x))


def _with_last(function, x, last=True):
    """Apply to (N, L, C), where the channels are last."""
    return _array(function(x.swapaxes(1, 2))).swapaxes(1, 2) if last else function(x)


def _array(value):
    return np.asarray(value.detach() if hasattr(value, "detach") else value)


def _jax(array):
    import jax

    return jax.numpy.asarray(array)
