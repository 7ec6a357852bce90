r"""The norm of a convolution as what it is: a linear operator A on whole images.

.. math:: \lVert A \rVert = \max_{x \ne 0} \frac{\lVert A x \rVert}{\lVert x \rVert}, \qquad
          \sigma(W) \le \lVert A \rVert \le \sqrt{K}\, \sigma(W)

Spectral normalization divides by sigma(W), the norm of the kernel reshaped to a matrix: what it
does to a single patch. But patches overlap, and a pixel enters up to K outputs, where K is the
number of kernel positions (for stride 1, one group, and images that hold a whole patch).

This stands apart from :mod:`normcourse.spectral_norm` because convolution, FFT and SVD are
functions of a library, while a technique's file is made of operators and array methods alone.
"""

from collections.abc import Sequence

import torch

from normcourse import checks
from normcourse.autograd import without_autocast
from normcourse.core import narrow, widen

__all__ = ["circular_conv_operator_norm", "conv_operator_norm"]

Size = int | Sequence[int]


def conv_operator_norm(
    weight: torch.Tensor,
    input_size: Size,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
    n_iterations: int = 1000,
    tol: float = 1e-5,
) -> torch.Tensor:
    r"""The norm of a zero-padded convolution, by power iteration on images.

    .. math:: x \leftarrow \frac{A^\top A x}{\lVert A^\top A x \rVert}, \qquad
              \lVert A \rVert \approx \lVert A x \rVert

    A is the convolution without bias. Its transpose is its backward pass: a transposed
    convolution, which has the same norm. For ``ConvTranspose2d``, hand in its weight, and its
    output size as ``input_size``. The result is never too large, but for rounding.

    Args:
        weight: (C_out, C_in / groups, \*kernel), 1 to 3 kernel axes, floating point.
        input_size: size of the images without channels, an int or one for each kernel axis. The
            norm grows with it, towards that for an endless image.
        stride, padding, dilation, groups: as in ``torch.nn.functional.conv2d``.
        n_iterations: the most steps to take.
        tol: where :math:`\lVert A^\top A x - \sigma^2 x \rVert \le tol \, \sigma^2`, stop.

    Returns:
        A tensor of shape (), in the dtype of ``weight``. x starts from the same random image
        in each call.

    Raises:
        TypeError: ``weight`` is no floating-point tensor, or a number has the wrong type.
        ValueError: wrong rank, ``input_size``, ``groups``, ``n_iterations`` or ``tol``.
        RuntimeError: from torch, where the kernel is larger than the padded image.
    """
    w, size = _check(weight, input_size, groups)
    checks.check_integer("n_iterations", n_iterations)
    checks.check_eps(tol, "tol")
    conv = without_autocast(getattr(torch.nn.functional, f"conv{len(size)}d"))

    def apply(x: torch.Tensor) -> torch.Tensor:
        return conv(x, w, None, stride, padding, dilation, groups)

    start = torch.Generator().manual_seed(0)
    x = torch.randn((1, w.shape[1] * groups, *size), generator=start).to(w)
    x /= x.norm()
    y, transpose, *_ = torch.func.vjp(apply, x)
    transpose = without_autocast(transpose)
    for _ in range(n_iterations):
        (z,) = transpose(y)
        square = y.square().sum()  # ||Ax||^2 = <x, A'Ax>, the estimate of ||A||^2
        if (z - square * x).norm() <= tol * square:
            break
        x = z / z.norm()
        y = apply(x)
    return narrow(y.norm(), weight)


def circular_conv_operator_norm(
    weight: torch.Tensor, input_size: Size, dilation: int = 1, groups: int = 1
) -> torch.Tensor:
    r"""The norm of a convolution with circular padding and stride 1, exactly.

    .. math:: \lVert A \rVert = \max_f \, \sigma_1 \Bigl( \sum_t W_t \, e^{-2 \pi i f t / n} \Bigr)

    The Fourier transform turns A into one small matrix (C_out, C_in) for each frequency f, and the
    singular values of A are all of theirs. For larger images it comes close to the norm with
    zero padding.

    Args:
        weight, input_size: as in :func:`conv_operator_norm`.
        dilation: int, the distance between kernel positions on all axes.
        groups: as in :func:`conv_operator_norm`.

    Returns:
        A tensor of shape (), in the dtype of ``weight``.

    Raises:
        TypeError, ValueError: as :func:`conv_operator_norm`.

    Source: Sedghi, Gupta & Long 2019, arXiv:1805.10408.
    """
    w, size = _check(weight, input_size, groups)
    checks.check_integer("dilation", dilation)
    for axis, n in enumerate(size, start=2):
        turns = -(-w.shape[axis] // n)  # how often the kernel winds around the image
        w = torch.fft.fft(w, n * turns, dim=axis)
        w = w.index_select(axis, torch.arange(n, device=w.device) * dilation % n * turns)
    blocks = w.reshape(groups, w.shape[0] // groups, w.shape[1], -1).movedim(-1, 0)
    return narrow(torch.linalg.matrix_norm(blocks, 2).max(), weight)


def _check(
    weight: torch.Tensor, input_size: Size, groups: int
) -> tuple[torch.Tensor, tuple[int, ...]]:
    """Check the arguments; return the weight as a constant in float32 or more, and the sizes."""
    if not isinstance(weight, torch.Tensor):
        raise TypeError(f"weight must be a torch.Tensor, got {type(weight).__name__}.")
    checks.check_array("weight", weight)
    axes = weight.ndim - 2
    if axes not in (1, 2, 3):
        raise ValueError(
            "weight must be that of a convolution, (C_out, C_in / groups, *kernel) with 1 to 3 "
            f"kernel axes; got shape {tuple(weight.shape)}. For a matrix use "
            "torch.linalg.matrix_norm(weight, 2)."
        )
    size = tuple(input_size) if isinstance(input_size, Sequence) else (input_size,) * axes
    for length in size:
        checks.check_integer("input_size", length)
    if len(size) != axes:
        raise ValueError(
            f"input_size must be an int or {axes} of them, without batch and channels, for a "
            f"weight with shape {tuple(weight.shape)}; got {size}."
        )
    checks.check_integer("groups", groups)
    if weight.shape[0] % groups:
        raise ValueError(
            f"groups={groups} does not divide the {weight.shape[0]} output channels of weight "
            f"with shape {tuple(weight.shape)}."
        )
    return widen(weight.detach()), size
