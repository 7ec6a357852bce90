"""Where a learner's code runs: what holds it is found by a trial, not by what is installed."""

import itertools
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
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from normcourse.grading import wire
from normcourse.grading.channel import Broken, Channel, Excess, Late

__all__ = ["CHOICES", "NoSandbox", "Sandbox", "choose"]

CHOICES = ("auto", "bwrap", "container", "none")
NOBODY = 65534
PACKAGE = Path(__file__).resolve().parent.parent
MEGABYTE = 1 << 20
SCRATCH = 64 * MEGABYTE  # that may be written under /tmp

# Becomes another user, reads the sources of wire.py and worker.py, whose lengths come first, and
# runs them.
_LOCK, _RUNNING = threading.Lock(), set()  # the processes that were started here

BOOT = """
import json, os, sys, types
user = int(sys.argv[1])
if user:
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
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
        drops: whether the process becomes another user, as root's can.
        image: of the container.
        engine: the program that runs containers.
        memory, processes: the most of each, in bytes and as a number.
        hidden: folders that are not to be seen, such as those of frameworks.
        running: threads of this user that were there before, where they count, too.
    """

    name: str
    held: tuple[str, ...] = ()
    drops: bool = False
    image: str = ""
    engine: str = ""
    memory: int = 1024 * MEGABYTE
    processes: int = 64
    hidden: tuple[str, ...] = ()
    running: int = 0

    def limits(self):
        """The limits that the process sets for itself before any code of a learner's runs."""
        return {
            "DATA": self.memory,
            "AS": 4 * self.memory + 4096 * MEGABYTE,  # PyTorch alone maps some gigabytes
            "FSIZE": 16 * MEGABYTE,
            "NPROC": self.processes + self.running,
            "NOFILE": 128,
            "CORE": 0,
        }

    def start(self):
        """A running :class:`Process` that waits for requests."""
        return Process(self)

    def command(self, name, user):
        """The command line that starts Python there, waiting for sources."""
        inside = self.name == "bwrap" and user
        boot = [sys.executable, "-I", "-c", BOOT, str(inside or 0)]
        if self.name == "bwrap":
            return [*_bubble(self.hidden, bool(inside)), *boot]
        if self.name == "container":
            limits = ["--memory", str(self.memory), "--pids-limit", str(self.processes)]
            return [
                self.engine, "run", "--rm", "--interactive", "--name", name, "--network", "none",
                "--read-only", "--tmpfs", f"/tmp:size={SCRATCH}", "--workdir", "/tmp", *limits,
                "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
                "--user", f"{NOBODY}:{NOBODY}",
                *(f"--env={k}={v}" for k, v in ENVIRONMENT.items() if k != "PATH"),
                "--env=HOME=/tmp", self.image, "python3", "-I", "-c", BOOT, "0",
            ]  # fmt: skip
        return boot


class Process(Channel):
    """A process that computes, its folder, and all processes that it starts."""

    def __init__(self, sandbox):
        self.sandbox, self.name = sandbox, f"normcourse-{secrets.token_hex(6)}"
        self.home, drop, user = None, {}, _user() if sandbox.drops else 0
        if sandbox.name == "none":  # elsewhere there is a folder in memory
            self.home = tempfile.mkdtemp(prefix="normcourse-")
            if user:
                os.chown(self.home, user, user)
                drop = {"user": user, "group": user, "extra_groups": []}
        self.process = subprocess.Popen(
            sandbox.command(self.name, user),
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

    def watch(self):
        """All its processes together may hold twice what one of them may."""
        most = 2 * self.sandbox.memory
        if self.sandbox.name != "container" and _held_by(self.process.pid) > most:
            raise Excess(f"more than {most / MEGABYTE:.0f} MB in all its processes")

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


_numbers = itertools.count()


def _user():
    """A user that nobody else is: what it may have at once is its own."""
    return 1_000_000 + os.getpid() % 1000 * 1000 + next(_numbers) % 1000


def _running():
    """Threads of this user, which count against the limit on processes."""
    own = str(os.getuid())
    return sum(int(s["Threads"]) for s in _processes() if s["Uid"].split()[0] == own)


def _processes():
    """What Linux tells of each process; nothing elsewhere."""
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError, ValueError):  # it may end meanwhile
            yield dict(line.split(":", 1) for line in status.read_text().splitlines())


def _is_root():
    return hasattr(os, "geteuid") and os.geteuid() == 0


# ---- bubblewrap --------------------------------------------------------------------------------


@cache
def _bubble(hidden, drops):
    """Nothing but Python and its libraries is there, and nothing of it can be written."""
    seen = {Path(p) for p in ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/etc/alternatives")}
    seen |= {Path("/etc/ld.so.cache"), Path("/etc/ld.so.conf"), Path("/etc/ld.so.conf.d")}
    # What Python starts from and imports from; the course itself is never among it.
    seen |= {Path(p) for p in (sys.prefix, sys.base_prefix, sys.exec_prefix)}
    seen |= {Path(sys.executable).resolve().parent, *map(Path, sysconfig.get_paths().values())}
    seen |= {Path(p) for p in sys.path if p.endswith(("site-packages", "dist-packages"))}
    folders = sorted({p for p in seen if p.exists() or p.is_symlink()})
    size = ["--perms", "1777", "--size", str(SCRATCH), "--tmpfs"]
    command = ["bwrap", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    command += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
    command += ["--unshare-cgroup-try", "--hostname", "sandbox"]
    if drops:  # root's process becomes another user, which needs no user namespace
        command += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        command += ["--unshare-user", "--uid", str(NOBODY), "--gid", str(NOBODY)]
    command += [*size, "/tmp"]  # first: what Python needs may lie in it
    for folder in folders:
        if folder.is_symlink() and folder.parent == Path("/"):
            command += ["--symlink", os.readlink(folder), str(folder)]
        elif PACKAGE.parent != folder and not any(p in folders for p in folder.parents):
            for parent in reversed(folder.parents[:-1]):  # else only root could look into it
                if parent != Path("/tmp"):
                    command += ["--perms", "0755", "--dir", str(parent)]
            command += ["--ro-bind", str(folder), str(folder)]
    for folder in (str(PACKAGE), *hidden):
        if any(parent in folders for parent in Path(folder).parents):
            command += ["--tmpfs", folder, "--remount-ro", folder]
    command += ["--proc", "/proc", "--dev", "/dev", *size, "/dev/shm"]
    command += ["--dir", "/home/learner"]
    for folder in ("/proc", "/dev", "/"):  # root, even without its rights, may write to /proc/sys
        command += ["--remount-ro", folder]
    command += ["--clearenv"]
    for name, value in {**ENVIRONMENT, "HOME": "/home/learner", "TMPDIR": "/tmp"}.items():
        command += ["--setenv", name, value]
    return (*command, "--chdir", "/tmp")


# ---- what it holds, and what is left over ------------------------------------------------------


def _held_by(pid):
    """Bytes of memory that are a process's own and that of all which it started. Linux only."""
    parents, held = {}, {}
    for said in _processes():
        own = int(said["Pid"])
        parents[own] = int(said["PPid"])
        sizes = (said.get(kind, "0").split()[0] for kind in ("RssAnon", "RssShmem"))
        held[own] = 1024 * sum(map(int, sizes))
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(held.get(one, 0) for one in family)


def _adopt_orphans():
    """Processes whose parents ended come to this one, which can end them. Linux only."""
    if sys.platform == "linux":
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
        libc.prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE: its memory is for no other process


def _end_orphans():
    """End every process that came here when its parent, a learner's, ended."""
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
        counted = sandbox.name == "none" and not sandbox.drops
        tried = replace(sandbox, running=_running() if counted else 0, **settings)
        found, why = _trial(tried, folder)
        if found is not None:
            return found
        seen.append(f"{sandbox.name}{' as another user' if sandbox.drops else ''}: {why}")
    advice = (
        "Install bubblewrap (apt-get install bubblewrap), name a container image with --image, "
        "or accept limits alone with --sandbox none: then a submission can read and write what "
        "you can."
    )
    raise NoSandbox(f"No sandbox holds on this machine ({'; '.join(seen)}). {advice}")


def _candidates(wanted, image):
    ways = [True, False] if _is_root() else [False]
    if wanted in ("auto", "bwrap"):
        yield from (Sandbox("bwrap", drops=drops) for drops in ways)
    if wanted == "container" or (wanted == "auto" and image):
        engine = shutil.which("docker") or shutil.which("podman") or "docker"
        yield Sandbox("container", image=image, engine=engine)
    if wanted == "none":
        yield from (Sandbox("none", drops=drops) for drops in ways)


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


HOLDS = {  # what a trial looks for, and what is said where it does not get through
    "reads": "files of the grader cannot be read",
    "writes": "nothing can be written but scratch files",
    "network": "no network",
    "course": "the course's references are not in view",
    "others": "other processes cannot be reached",
}


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
    except (OSError, Broken, Late, Excess, wire.Malformed) as error:
        return None, f"its trial failed ({wire.clean(error, 120)})"
    through = [name for name in HOLDS if seen.get(name)]
    if sandbox.name != "none" and through:
        return None, f"its trial let through: {', '.join(through)}"
    return replace(sandbox, held=tuple(_held(sandbox, through))), ""


def _held(sandbox, through):
    yield from (text for name, text in HOLDS.items() if name not in through)
    yield "limits on time, memory, file size and output"
    if sandbox.drops:
        yield "a user of its own"
