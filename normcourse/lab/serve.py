"""Serve a folder on this machine: ``python -m normcourse.lab.serve folder [port]``."""

import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["server"]


def server(folder, port=8000, tries=100):
    """A server of `folder` on the first free port from `port` on; ``port=0`` takes any."""
    handler = partial(QuietHandler, directory=folder)
    for candidate in range(port, port + tries):
        try:
            return ThreadingHTTPServer(("127.0.0.1", candidate), handler)
        except OSError as error:
            busy = error
    raise OSError(f"no free port from {port} to {port + tries - 1}") from busy


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def main(folder, port=8000):
    with server(folder, int(port)) as running:
        print(
            f"Read the course at http://127.0.0.1:{running.server_port}  (Ctrl+C stops)", flush=True
        )
        try:
            running.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main(*sys.argv[1:])
