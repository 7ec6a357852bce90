"""English text that Python ships, the help of ``help()``, as numbers to train on."""

from functools import cache

import numpy as np

from normcourse.lab.data import Split

__all__ = ["VOCABULARY", "characters", "decode", "encode", "windows"]

# Line break and printable ASCII: the same in every version of Python, whose texts differ.
VOCABULARY = "\n" + "".join(map(chr, range(32, 127)))


def encode(text):
    """The ids of the characters of ``text`` in :data:`VOCABULARY`; all others are left out."""
    codes = np.frombuffer(text.encode("utf-32-le", "ignore"), dtype="<u4").astype(np.int64)
    codes = codes[(codes == 10) | (codes >= 32) & (codes < 127)]
    return np.where(codes == 10, 0, codes - 31)


def decode(ids):
    """The text of these ids."""
    return "".join(VOCABULARY[i] for i in ids)


@cache
def characters():
    """The ids of the whole text, (characters,): about half a million.

    The help topics of Python in the order of their names; each version of Python has its own.
    """
    from pydoc_data.topics import topics

    return encode("\n".join(topics[name] for name in sorted(topics)))


def windows(length=64, tests=64, test_share=0.1):
    """Windows of the text, each character with the one after it to be predicted.

    Args:
        length: characters of a window.
        tests: windows to test with, spread evenly over the end of the text.
        test_share: of the text, its end, which no window to train on touches.

    Returns:
        A :class:`normcourse.lab.data.Split`; x and y are (windows, length), y one further. The
        windows to train on start at every position and share memory.

    Raises:
        ValueError: the text to train on or to test with is shorter than a window.
    """
    ids = characters()
    cut = round(len(ids) * (1 - test_share))
    if min(cut, len(ids) - cut) <= length:
        raise ValueError(f"a part of the text, split at {cut} of {len(ids)}, is within a window.")
    train, test = (
        np.lib.stride_tricks.sliding_window_view(part, length + 1)
        for part in (ids[:cut], ids[cut:])
    )
    test = test[np.linspace(0, len(test) - 1, tests).astype(int)]
    return Split(train[:, :-1], train[:, 1:], test[:, :-1], test[:, 1:])
