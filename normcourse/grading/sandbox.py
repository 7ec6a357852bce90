"""Where a learner's code runs: what holds it is found by a trial, not by what is installed."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from normcourse.grading import wire
from normcourse.grading.channel import Broken, Channel

__all__ = ["CHOICES", "NoSandbox", "Sandbox", "choose"]

CHOICES = ("auto", "bwrap", "container", "none")
NOBODY = 65534
PACKAGE = Path(__file__).resolve().parent.parent
MEGABYTE = 1 << 20
SCRATCH = 64 * MEGABYTE  # that may be written under /tmp

# Reads the sources of wire.py and worker.py, whose lengths come first, and runs them.
_LOCK, _RUNNING = threading.Lock(), set()  # the processes that were started here

BOOT = """
import json, os, sys, types
if os.fork():  # the parent of what runs is this process, not the one that grades
    os.wait()
    os._exit(0)
read = sys.stdin.buffer.raw.read
def source():
    size, parts = int(bytes(iter(lambda: read(1)[0], 10))), []
    while size:
        parts.append(read(size))
        size -= len(parts[-1])
    return b"".join(parts)
for name in ("normcourse", "normcourse.grading", "normcourse.grading.wire"):
    sys.modules[name] = types.ModuleType(name)
exec(compile(source(), "wire", "exec"), vars(sys.modules["normcourse.grading.wire"]))
worker = {"__name__": "worker"}
exec(compile(source(), "worker", "exec"), worker)
worker["main"](json.loads(source()))
"""

ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
    "PYTHONDONTWRITEBYTECODE": "1",
}


class NoSandbox(RuntimeError):
    """None of what was asked for holds on this machine."""


@dataclass(frozen=True)
class Sandbox:
    """How a process is started that computes for the judge.

    Attributes:
        name: "bwrap", "container" or "none".
        held: what it was seen to hold, as sentences for the report.
        user: the user that the process becomes; None for the one who grades.
        image: of the container.
        engine: the program that runs containers.
        memory, processes: the most of each, in bytes and as a number.
        hidden: folders that are not to be seen, such as those of frameworks.
    """

    name: str
    held: tuple[str, ...] = ()
    user: int | None = None
    image: str = ""
    engine: str = ""
    memory: int = 1024 * MEGABYTE
    processes: int = 64
    hidden: tuple[str, ...] = field(default=())

    def limits(self):
        """The limits that the process sets for itself before any code of a learner's runs."""
        return {
            "DATA": self.memory,
            "AS": 4 * self.memory + 4096 * MEGABYTE,  # PyTorch alone maps some gigabytes
            "FSIZE": 16 * MEGABYTE,
            "NPROC": 4 * self.processes,  # of all processes of the user
            "NOFILE": 128,
            "CORE": 0,
        }

    def start(self):
        """A running :class:`Process` that waits for requests."""
        return Process(self)

    def command(self, name):
        """The command line that starts Python there, waiting for sources."""
        boot = [sys.executable, "-I", "-c", BOOT]
        if self.name == "bwrap":
            return [*_bubble(self.hidden, as_root=self.user is None and _is_root()), *boot]
        if self.name == "container":
            limits = ["--memory", str(self.memory), "--pids-limit", str(self.processes)]
            return [
                self.engine, "run", "--rm", "--interactive", "--name", name, "--network", "none",
                "--read-only", "--tmpfs", f"/tmp:size={SCRATCH}", "--workdir", "/tmp", *limits,
                "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
                "--user", f"{NOBODY}:{NOBODY}",
                *(f"--env={k}={v}" for k, v in ENVIRONMENT.items() if k != "PATH"),
                "--env=HOME=/tmp", self.image, "python3", "-I", "-c", BOOT,
            ]  # fmt: skip
        return boot


class Process(Channel):
    """A process that computes, its folder, and all processes that it starts."""

    def __init__(self, sandbox):
        self.sandbox, self.name = sandbox, f"normcourse-{secrets.token_hex(6)}"
        self.home, drop = None, {}
        if sandbox.name == "none":  # elsewhere there is a folder in memory
            self.home = tempfile.mkdtemp(prefix="normcourse-")
        if sandbox.user is not None:
            if self.home:
                os.chown(self.home, sandbox.user, sandbox.user)
            drop = {"user": sandbox.user, "group": sandbox.user, "extra_groups": []}
        self.process = subprocess.Popen(
            sandbox.command(self.name),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self.home,
            env=self._environment(),
            start_new_session=True,
            **drop,
        )
        with _LOCK:
            _RUNNING.add(self.process.pid)
        super().__init__(self.process.stdin, self.process.stdout)

    def _environment(self):
        """What the process inherits; a container has its own, and its engine needs the grader's."""
        if self.sandbox.name == "container":
            return None
        return {**ENVIRONMENT, "HOME": self.home or "/", "TMPDIR": self.home or "/tmp"}

    def boot(self, seconds):
        """Hand over the sources of what runs there."""
        for part in (*_sources(), json.dumps(self.sandbox.limits()).encode()):
            self.send(f"{len(part)}\n".encode() + part, seconds)

    def stop(self):
        """End it and every process that it started, and remove its folder."""
        if self.sandbox.name == "container":
            subprocess.run([self.sandbox.engine, "rm", "--force", self.name], capture_output=True)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                stream.close()
        with _LOCK:
            _RUNNING.discard(self.process.pid)
            _end_orphans()
        if self.home:
            shutil.rmtree(self.home, ignore_errors=True)


@cache
def _sources():
    here = Path(__file__).parent
    return tuple((here / name).read_bytes() for name in ("wire.py", "worker.py"))


def _is_root():
    return hasattr(os, "geteuid") and os.geteuid() == 0


# ---- bubblewrap --------------------------------------------------------------------------------


@cache
def _bubble(hidden, as_root):
    """Nothing but Python and its libraries is there, and nothing of it can be written."""
    seen = {Path(p) for p in ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/etc/alternatives")}
    seen |= {Path("/etc/ld.so.cache"), Path("/etc/ld.so.conf"), Path("/etc/ld.so.conf.d")}
    # What Python starts from and imports from; the course itself is never among it.
    seen |= {Path(p) for p in (sys.prefix, sys.base_prefix, sys.exec_prefix)}
    seen |= {Path(sys.executable).resolve().parent, *map(Path, sysconfig.get_paths().values())}
    seen |= {Path(p) for p in sys.path if p.endswith(("site-packages", "dist-packages"))}
    folders = sorted({p for p in seen if p.exists() or p.is_symlink()})
    command = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    command += ["--hostname", "sandbox", "--unshare-user"]
    if as_root:
        command += ["--uid", str(NOBODY), "--gid", str(NOBODY)]
    for folder in folders:
        if folder.is_symlink() and folder.parent == Path("/"):
            command += ["--symlink", os.readlink(folder), str(folder)]
        elif PACKAGE.parent != folder and not any(p in folders for p in folder.parents):
            command += ["--ro-bind", str(folder), str(folder)]
    for folder in (str(PACKAGE), *hidden):
        if any(parent in folders for parent in Path(folder).parents):
            command += ["--tmpfs", folder, "--remount-ro", folder]
    size = ["--size", str(SCRATCH), "--tmpfs"]
    command += ["--proc", "/proc", "--dev", "/dev", *size, "/dev/shm", *size, "/tmp"]
    command += ["--dir", "/home/learner"]
    for folder in ("/proc", "/dev", "/"):  # root, even without its rights, may write to /proc/sys
        command += ["--remount-ro", folder]
    command += ["--clearenv"]
    for name, value in {**ENVIRONMENT, "HOME": "/home/learner", "TMPDIR": "/tmp"}.items():
        command += ["--setenv", name, value]
    return (*command, "--chdir", "/tmp")


# ---- what is left over -------------------------------------------------------------------------


def _adopt_orphans():
    """Processes whose parents ended come to this one, which can end them. Linux only."""
    if sys.platform == "linux":
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
        libc.prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE: its memory is for no other process


def _end_orphans():
    """End every child that is not in this session: what a learner's process left behind."""
    if sys.platform != "linux":
        return
    for _ in range(100):
        ours = {os.getsid(0), None}
        left = [p for p in _children() if p not in _RUNNING and _session(p) not in ours]
        if not left:
            return
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
            with suppress(OSError):
                os.waitpid(pid, 0)


def _children():
    found = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            found += map(int, (task / "children").read_text().split())
    return found


def _session(pid):
    with suppress(OSError):
        return os.getsid(pid)
    return None


# ---- the trial ---------------------------------------------------------------------------------


def choose(wanted="auto", image="", folder=None, **settings):
    """The :class:`Sandbox` that was asked for, proven by a trial run.

    Args:
        wanted: "auto" takes bubblewrap, or else a container if ``image`` names one.
        image: a container image that has Python and NumPy.
        folder: where the trial may lay out its bait; None for the folder of temporary files.
        settings: memory, processes, hidden.

    Raises:
        ValueError: ``wanted`` is none of the choices.
        NoSandbox: what was asked for does not hold here; the message says what was seen.
    """
    if wanted not in CHOICES:
        raise ValueError(f"sandbox must be one of {', '.join(CHOICES)}; got {wanted!r}.")
    _adopt_orphans()
    seen = []
    for sandbox in _candidates(wanted, image):
        tried = replace(sandbox, **settings)
        found, why = _trial(tried, folder)
        if found is not None:
            return found
        seen.append(f"{sandbox.name}{'' if sandbox.user is None else ' as nobody'}: {why}")
    advice = (
        "Install bubblewrap (apt-get install bubblewrap), name a container image with --image, "
        "or accept limits alone with --sandbox none: then a submission can read and write what "
        "you can."
    )
    raise NoSandbox(f"No sandbox holds on this machine ({'; '.join(seen)}). {advice}")


def _candidates(wanted, image):
    users = [NOBODY, None] if _is_root() else [None]
    if wanted in ("auto", "bwrap"):
        yield from (Sandbox("bwrap", user=user) for user in users)
    if wanted == "container" or (wanted == "auto" and image):
        engine = shutil.which("docker") or shutil.which("podman") or "docker"
        yield Sandbox("container", image=image, engine=engine)
    if wanted == "none":
        yield from (Sandbox("none", user=user) for user in users)


@contextmanager
def _bait(folder):
    """A file and a port that a sandbox should not let through."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".trial-") as made:
        os.chmod(made, 0o755)
        file = Path(made, "bait")
        file.write_text("seen")
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            yield str(file.resolve()), listener.getsockname()[1]


def _trial(sandbox, folder):
    """(the sandbox with what it holds, "") or (None, why not)."""
    if sandbox.name == "container" and not sandbox.image:
        return None, "no image is named"
    program = {"bwrap": "bwrap", "container": sandbox.engine}.get(sandbox.name)
    if program and not shutil.which(program):
        return None, "it is not installed"
    try:
        with _bait(folder) as (file, port):
            process = sandbox.start()
            try:
                process.boot(30)
                asked = {"do": "look", "file": file, "port": port, "pid": os.getpid()}
                process.send(wire.frame(asked), 30)
                seen, _ = process.receive(30, 1 << 16)
            finally:
                process.stop()
    except (OSError, Broken, wire.Malformed) as error:
        return None, f"its trial failed ({wire.clean(error, 120)})"
    through = [
        name for name in ("reads", "writes", "network", "course", "others") if seen.get(name)
    ]
    if sandbox.name != "none" and through:
        return None, f"its trial let through: {', '.join(through)}"
    return replace(sandbox, held=tuple(_held(sandbox, through))), ""


def _held(sandbox, through):
    names = {
        "reads": "files of the grader cannot be read",
        "writes": "nothing can be written but scratch files",
        "network": "no network",
        "course": "the course's references are not in view",
        "others": "other processes cannot be reached",
    }
    yield from (text for name, text in names.items() if name not in through)
    yield "limits on time, memory, file size and output"
    if sandbox.user is not None:
        yield "another user (nobody)"
