"""Messages to and from a process that may answer late, never, or with anything."""

import os
import selectors
import time
from contextlib import suppress

from normcourse.grading.wire import LENGTHS, LONGEST_HEADER, Malformed, read_header

__all__ = ["Broken", "Channel", "Excess", "Late"]

EVERY = 0.1  # seconds: how often a process that lets us wait is looked at


class Broken(Exception):
    """The other end is closed."""


class Late(Exception):
    """There was no answer in time."""


class Excess(Exception):
    """It took more than it may."""


class Channel:
    """Two pipes; nothing is read that is longer than it may be, nothing waits for ever."""

    def __init__(self, to, back):
        self._to, self._back = to.fileno(), back.fileno()
        for descriptor in (self._to, self._back):
            os.set_blocking(descriptor, False)

    def send(self, data, seconds):
        """Write all of ``data``; :class:`Late` or :class:`Broken` if that cannot be."""
        end, data = time.monotonic() + seconds, memoryview(data)
        while data:
            self._wait(self._to, selectors.EVENT_WRITE, end)
            with suppress(BlockingIOError):
                try:
                    data = data[os.write(self._to, data) :]
                except BrokenPipeError:
                    raise Broken("it is gone") from None

    def receive(self, seconds, most):
        """(header, bytes) of the next message, of at most ``most`` bytes."""
        end = time.monotonic() + seconds
        header, payload = LENGTHS.unpack(self._exactly(LENGTHS.size, end))
        if header > LONGEST_HEADER or payload > most:
            raise Malformed("an answer that is too long")
        return read_header(self._exactly(header, end)), self._exactly(payload, end)

    def _exactly(self, count, end):
        parts = []
        while count:
            self._wait(self._back, selectors.EVENT_READ, end)
            with suppress(BlockingIOError):
                part = os.read(self._back, min(count, 1 << 20))
                if not part:
                    raise Broken("it is gone")
                parts.append(part)
                count -= len(part)
        return b"".join(parts)

    def _wait(self, descriptor, event, end):
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, event)
            while not selector.select(max(0.0, min(EVERY, end - time.monotonic()))):
                if time.monotonic() >= end:
                    raise Late("no answer in time")
                self.watch()

    def watch(self):
        """Called while there is no answer; :class:`Excess` if the other end takes too much."""
