"""What modules of several techniques have in common."""

from typing import Any

import torch

__all__ = ["AffineNorm", "in_order"]


class AffineNorm(torch.nn.Module):
    """A module with a learned weight, which starts at 1, and a learned bias, which starts at 0."""

    weight: torch.nn.Parameter | None
    bias: torch.nn.Parameter | None

    def _learn(
        self,
        shape: int | tuple[int, ...],
        device: torch.types.Device,
        dtype: torch.dtype | None,
        **learned: bool,
    ) -> None:
        """Register a parameter per name, None where it is not learned."""
        like: dict[str, Any] = {"device": device, "dtype": dtype}
        for name, wanted in learned.items():
            p = torch.nn.Parameter(torch.empty(shape, **like)) if wanted else None
            self.register_parameter(name, p)

    def reset_parameters(self) -> None:
        """Start the weight at 1 and the bias at 0, where they are learned."""
        for name, start in (("weight", 1.0), ("bias", 0.0)):
            if self._parameters.get(name) is not None:
                torch.nn.init.constant_(getattr(self, name), start)


def in_order(y: torch.Tensor) -> torch.Tensor:
    """``y`` laid out in memory as torch's modules do it, so that ``view`` works on the result.

    The axes lie in their order, whatever the input's were; only channels-last stays.
    """
    channels_last = y.dim() > 3 and y.stride(1) == 1
    return y if channels_last else y.contiguous()
