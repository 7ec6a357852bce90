"""What to write in each framework, C being the channels or features, and what is its default."""

from typing import NamedTuple

__all__ = ["FRAMEWORKS", "LINES", "OURS", "Line"]

FRAMEWORKS = {
    "torch": "from torch import nn",
    "keras": "from keras import layers",
    "flax": "from flax import nnx",
    "equinox": "import equinox as eqx",
}


class Line(NamedTuple):
    """A line of code, its ε and, of batch norm, its momentum; None where it has none."""

    code: str
    eps: float | None = None
    momentum: float | None = None
    note: str = ""


_TORCH_UTILS = "nn.utils.parametrizations"
# The course's own, whatever the framework, or beside torch alone.
OURS = {
    "rescaling": "normcourse.preprocessing.StandardScaler().fit(x_train)",
    "min_max": "normcourse.preprocessing.MinMaxScaler().fit(x_train)",
    "switchable_norm": "normcourse.nn.SwitchableNorm2d(C)",
}
LINES = {
    "batch_norm": {
        "torch": Line("nn.BatchNorm2d(C)", 1e-5, 0.1, "momentum weighs the new batch"),
        "keras": Line("layers.BatchNormalization()", 1e-3, 0.99, "momentum weighs the old"),
        "flax": Line("nnx.BatchNorm(C, rngs=rngs)", 1e-5, 0.99, "momentum weighs the old"),
        "equinox": Line(
            'eqx.nn.BatchNorm(C, "batch", mode="batch")',
            1e-5,
            0.99,
            "momentum weighs the old; it needs a state and vmap with that axis name",
        ),
    },
    "group_norm": {
        "torch": Line("nn.GroupNorm(32, C)", 1e-5),
        "keras": Line("layers.GroupNormalization(groups=32)", 1e-3),
        "flax": Line("nnx.GroupNorm(C, num_groups=32, rngs=rngs)", 1e-6),
        "equinox": Line("eqx.nn.GroupNorm(32, C)", 1e-5),
    },
    "diffusion": {
        "torch": Line("nn.GroupNorm(32, C, eps=1e-6)", 1e-6),
        "keras": Line("layers.GroupNormalization(groups=32, epsilon=1e-6)", 1e-6),
        "flax": Line("nnx.GroupNorm(C, num_groups=32, epsilon=1e-6, rngs=rngs)", 1e-6),
        "equinox": Line("eqx.nn.GroupNorm(32, C, eps=1e-6)", 1e-6),
    },
    "instance_norm": {
        "torch": Line("nn.InstanceNorm2d(C, affine=True)", 1e-5, note="no γ and β by default"),
        "keras": Line(
            "layers.GroupNormalization(groups=-1)", 1e-3, note="a group for each channel"
        ),
        "flax": Line("nnx.InstanceNorm(C, rngs=rngs)", 1e-6),
        "equinox": Line("eqx.nn.GroupNorm(C, C)", 1e-5, note="a group for each channel"),
    },
    "layer_norm": {
        "torch": Line("nn.LayerNorm(C)", 1e-5),
        "keras": Line("layers.LayerNormalization()", 1e-3),
        "flax": Line("nnx.LayerNorm(C, rngs=rngs)", 1e-6),
        "equinox": Line("eqx.nn.LayerNorm(C)", 1e-5, note="vmap it over the positions"),
    },
    "rms_norm": {
        "torch": Line("nn.RMSNorm(C, eps=1e-6)", 1e-6, note="without eps: the machine epsilon"),
        "keras": Line("layers.RMSNormalization()", 1e-6),
        "flax": Line("nnx.RMSNorm(C, rngs=rngs)", 1e-6),
        "equinox": Line("eqx.nn.RMSNorm(C, use_bias=False)", 1e-5, note="it has a β by default"),
    },
    "weight_norm": {
        "torch": Line(f"{_TORCH_UTILS}.weight_norm(layer)", note="starts at g = ‖w‖"),
        "keras": Line("", note="has no weight norm; divide the kernel in a layer of your own"),
        "flax": Line("nnx.WeightNorm(layer, rngs=rngs)", note="starts at g = 1"),
        "equinox": Line("eqx.nn.WeightNorm(layer)", note="starts at g = ‖w‖"),
    },
    "spectral_norm": {
        "torch": Line(f"{_TORCH_UTILS}.spectral_norm(layer)"),
        "keras": Line("layers.SpectralNormalization(layer)"),
        "flax": Line("nnx.SpectralNorm(layer, rngs=rngs)"),
        "equinox": Line('eqx.nn.SpectralNorm(layer, "weight", key=key)', note="it needs a state"),
    },
}
