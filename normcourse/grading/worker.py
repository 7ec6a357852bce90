"""The process that computes: it holds a learner's code, and nothing of the course.

It is given its source (``wire.py`` and this file) and then requests, each answered by one message:

    define: run the cells; tell which functions there are, and what failed
    call: call one of them, in the process that keeps its state or in a fresh one
    look: tell what this process could reach (how a sandbox is proven)

Whatever happens here is the learner's doing: nothing that comes out is believed.
"""

import __future__

import ast
import builtins
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import io
import json
import linecache
import os
import re
import resource
import signal
import sys
import time
import traceback
import types
import warnings
from functools import partial
from itertools import pairwise

import numpy as np

from normcourse.grading.wire import LENGTHS, decode, encode, frame, read_header

LEARNER = "learner"  # the module that the file becomes
RECURSION = sys.getrecursionlimit()
# What may take long and defines little.
ACTS = (ast.Expr, ast.For, ast.While, ast.Assert, ast.Raise)
NESTED = (ast.If, ast.Try, ast.With, ast.For, ast.While)
MOST_VERSIONS = 3  # of a function of one name that are tried
MOST_PROBLEMS, MOST_CELLS = 20, 20_000

# Lines that only Jupyter reads: %magic, !shell, ?help, files = !ls, np.mean?
JUPYTER = re.compile(
    r"^([ \t]*)(?:[%!?].*|\w[\w, ]*=[ \t]*[%!].*|[\w.]+\?{1,2}[ \t]*)$", re.MULTILINE
)
# As Jupytext and editors mark the cells of a Python file.
CELL = re.compile(r"^# ?%%", re.MULTILINE)
OTHER_LANGUAGE = re.compile(r"\s*%%(?!time\b|capture\b|prun\b)")

# What a rule "without norms" takes away.
NORMS = {
    "torch": (
        "batch_norm layer_norm instance_norm group_norm rms_norm native_batch_norm "
        "native_layer_norm native_group_norm native_channel_shuffle batch_norm_stats "
        "batch_norm_elemt batch_norm_update_stats batch_norm_backward_reduce "
        "batch_norm_backward_elemt norm_except_dim _weight_norm _weight_norm_interface "
        "native_norm var_mean std_mean"
    ),
    "torch.nn.functional": (
        "batch_norm layer_norm instance_norm group_norm rms_norm local_response_norm normalize"
    ),
    "torch.nn": (
        "BatchNorm1d BatchNorm2d BatchNorm3d SyncBatchNorm LayerNorm InstanceNorm1d "
        "InstanceNorm2d InstanceNorm3d GroupNorm RMSNorm LocalResponseNorm"
    ),
    "torch.nn.utils": "weight_norm spectral_norm",
    "torch.nn.utils.parametrizations": "weight_norm spectral_norm",
    "sklearn.preprocessing": (
        "MinMaxScaler StandardScaler RobustScaler MaxAbsScaler minmax_scale scale normalize"
    ),
    "jax.nn": "standardize",
}


ABSENT = "the course's own functions are not there while your file is graded: write it yourself"


class _StandIn(types.ModuleType):
    """A module of the course, whose functions are not there; those of the exercises do nothing."""

    __path__ = []  # noqa: RUF012 (a package, with nothing in it)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        idle = self.__name__.startswith("normcourse.exercises")

        def absent(*args, **kwargs):
            if not idle:
                raise RuntimeError(f"{self.__name__}.{name}: {ABSENT}")

        absent.__module__, absent.__qualname__ = self.__name__, name
        setattr(self, name, absent)
        return absent


class _StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules of the course, which are not there, and not those that a rule takes away."""

    def __init__(self, blocked):
        self.blocked = blocked
        for name in list(sys.modules):
            if name.partition(".")[0] == "normcourse":
                del sys.modules[name]

    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in self.blocked:
            raise ModuleNotFoundError(f"No module named {top!r}: NumPy alone is allowed", name=name)
        if top == "normcourse":
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return _StandIn(spec.name)

    def exec_module(self, module):
        pass


class _Overtime(BaseException):
    """A statement took longer than it may."""


def _overtime(number, stack):
    raise _Overtime


# ---- the learner's file ------------------------------------------------------------------------


def cells_of(files):
    """[(name, source)] of the code in (name, bytes) of files, and why some have none."""
    cells, reasons = [], []
    for file, data in files:
        try:
            notebook = file.lower().endswith(".ipynb")
            found = _of_notebook(_text(data)) if notebook else _of_script(_text(data))
        except ValueError as error:
            reasons.append(f"{file}: {error}" if len(files) > 1 else str(error))
            continue
        shown = f"{file}, " if len(files) > 1 or not notebook else ""
        cells += [(f"{shown}{name}".strip(", "), source) for name, source in found]
    if len(cells) > MOST_CELLS:
        reasons.append(f"it has {len(cells)} cells of code; {MOST_CELLS} are the most")
        cells = []
    return cells, reasons


def _text(data):
    code = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(code)
    except UnicodeDecodeError:
        raise ValueError("it is no text in UTF-8") from None


def _of_script(text):
    """A cell of a Python file keeps the lines it has in the file."""
    starts = [0, *(found.start() for found in CELL.finditer(text)), len(text)]
    cells = ["\n" * text.count("\n", 0, a) + text[a:b] for a, b in pairwise(starts)]
    return [(f"cell {i}" if i else "", cell) for i, cell in enumerate(cells)]


def _of_notebook(text):
    try:
        notebook = json.loads(text)
        sheets = notebook.get("worksheets")  # as in nbformat 3
        cells = notebook["cells"] if sheets is None else [c for s in sheets for c in s["cells"]]
        code = [
            cell for cell in cells if isinstance(cell, dict) and cell.get("cell_type") == "code"
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError(
            "it is no notebook of nbformat 4. Open it in Jupyter and save it again"
        ) from None
    found = []
    for i, cell in enumerate(code, 1):
        source = cell.get("source", cell.get("input"))
        if isinstance(source, list):
            source = "".join(line for line in source if isinstance(line, str))
        if isinstance(source, str):  # what is something else holds no code
            found.append((f"code cell {i}", source.encode("utf-8", "replace").decode()))
    if not found:
        raise ValueError("it has no cell with code")
    return found


def parse(source, name):
    """The statements of a cell, without Jupyter's own lines where Python cannot read them."""
    try:
        return ast.parse(source, name).body
    except SyntaxError:
        if OTHER_LANGUAGE.match(source):
            return []
        return ast.parse(JUPYTER.sub(r"\1pass", source), name).body


class File:
    """What a learner's cells define, each statement run on its own.

    What only acts, such as a call or a loop, may be needed, too: it is run while there is time, so
    that a training in the notebook does not keep its functions from being read.
    """

    def __init__(self, cells, wanted, seconds):
        module = sys.modules[LEARNER] = types.ModuleType(LEARNER)  # dataclasses look it up
        self.namespace, self.problems, self.seconds = vars(module), [], seconds
        self.to_act = seconds
        self.versions = {name: [] for name in wanted}  # all that had this name at one time
        self.checked, self._future = [], 0
        for name, source in cells:
            self._run(name, source)

    def _run(self, name, source):
        # Errors quote the line that raised them.
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        try:
            statements = parse(source, name)
        except BaseException as error:  # no Python, null bytes, nested too deep
            self.problems.append(f"{name}: {_told(error)}")
            return
        for statement in statements:
            for part in _one_by_one(statement):
                if self._defines(part):
                    self._execute(part, name, self.seconds)
                elif self.to_act > 0:
                    begun = time.monotonic()
                    self._execute(part, name, self.to_act)
                    self.to_act -= time.monotonic() - begun
                else:
                    self._problem(name, part, "not run: what stood before it took too long")
            for node in ast.walk(statement):
                self._note(node)

    def _defines(self, statement):
        if isinstance(statement, NESTED):
            return any(map(self._defines, statement.body))
        return not isinstance(statement, ACTS)

    def _problem(self, name, statement, what):
        self.problems.append(f"{name}, line {statement.lineno}: {what}")

    def _execute(self, statement, name, seconds):
        future = _future_flags(statement)
        self._future |= future
        signal.signal(signal.SIGALRM, _overtime)
        try:
            code = compile(ast.Module([statement], []), name, "exec", self._future)
            signal.setitimer(signal.ITIMER_REAL, seconds)
            exec(code, self.namespace)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except BaseException as error:  # the learner's, not ours
            late = isinstance(error, _Overtime)
            self._problem(
                name, statement, f"took longer than {seconds:.2g} s" if late else _told(error)
            )
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            _as_before()
        for wanted, versions in self.versions.items():
            fn = self.namespace.get(wanted)
            if callable(fn) and not any(fn is version for version in versions):
                versions.append(fn)

    def _note(self, node):
        """check(my_bn, "batch_norm.batch_norm") says which exercise a function is meant for."""
        if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "check"):
            return
        named = [*node.args[1:2], *(k.value for k in node.keywords if k.arg == "exercise")]
        if node.args and named and isinstance(named[0], ast.Constant):
            self.checked.append((str(named[0].value), node.args[0]))

    def functions(self, techniques):
        """{technique.name: all that may be meant by it, the last first}."""
        found = {}
        for technique, names in techniques.items():
            for name in names:
                full = f"{technique}.{name}"
                meant = [
                    fn for said, node in self.checked if said in (name, full)
                    if callable(fn := self._value(node))
                ]  # fmt: skip
                last = [*self.versions[name], *meant][::-1]
                found[full] = [
                    fn for i, fn in enumerate(last) if not any(fn is o for o in last[:i])
                ]
        return {name: fns[:MOST_VERSIONS] for name, fns in found.items() if fns}

    def _value(self, node):
        try:
            return eval(compile(ast.Expression(node), "check", "eval"), self.namespace)
        except BaseException:
            return None


def _one_by_one(statement):
    """import a, b as two statements: where one is missing, the other is there."""
    if isinstance(statement, ast.Import):
        return [ast.copy_location(ast.Import([alias]), statement) for alias in statement.names]
    return [statement]


def _future_flags(statement):
    if not isinstance(statement, ast.ImportFrom) or statement.module != "__future__":
        return 0
    features = (getattr(__future__, alias.name, None) for alias in statement.names)
    return sum(feature.compiler_flag for feature in features if feature)


def _told(error):
    try:
        return f"{type(error).__name__}: {error}"
    except BaseException:
        return type(error).__name__


def _as_before():
    """What a file may have set for the whole process, set back."""
    sys.setrecursionlimit(max(RECURSION, 1000))
    sys.settrace(None)
    sys.setprofile(None)
    warnings.simplefilter("ignore")
    np.seterr(divide="warn", over="warn", under="ignore", invalid="warn")


def _origin(fn):
    """The module of which a function is a part, also behind decorators and partial."""
    try:
        while isinstance(fn, partial):
            fn = fn.func
        fn = inspect.unwrap(getattr(fn, "pyfunc", fn))  # np.vectorize(f) is as good as f
        module, name = getattr(fn, "__module__", None), getattr(fn, "__qualname__", None)
        made = sys.modules.get(module or "builtins")
        for part in str(name).split("."):
            made = getattr(made, part)
        return str(module or "builtins") if made is fn else LEARNER
    except BaseException:
        return LEARNER


def _signature(fn):
    try:
        parameters = inspect.signature(fn).parameters.values()
        return [[p.name, int(p.kind), p.default is not p.empty] for p in parameters]
    except BaseException:  # written in C, or an object that answers anything
        return None


# ---- calls -------------------------------------------------------------------------------------


def _leaves(value):
    return [leaf for v in value for leaf in _leaves(v)] if isinstance(value, tuple) else [value]


def _called(fn, arguments, room):
    """The header and the bytes of an answer: a result or an error, and which arguments changed."""
    before = [
        np.copy(leaf) if isinstance(leaf, np.ndarray) else None for leaf in _leaves(arguments)
    ]
    try:
        value = fn(*arguments)
    except BaseException as error:  # whatever the learner's code raises is an answer
        return {"error": _error(error, fn)}, b""
    pairs = zip(_leaves(arguments), before, strict=True)
    changed = [i for i, (a, b) in enumerate(pairs) if b is not None and not np.array_equal(a, b)]
    try:
        description, payload = encode(value, room)
    except BaseException as error:
        return {"error": _error(error, fn)}, b""
    return {"value": description, "changed": changed}, payload


def _error(error, fn):
    kinds = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins"]
    try:
        message = str(error)[:2000]
    except BaseException:
        message = ""
    told = {"type": type(error).__name__, "kinds": kinds, "message": message}
    try:
        files = {getattr(getattr(inspect.unwrap(fn), "__code__", None), "co_filename", None)}
        own = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in files]
        if own:
            told.update(line=own[-1].lineno, text=own[-1].line, name=own[-1].name)
    except BaseException:
        pass
    return told


class Serve:
    """Answers requests; ``requests`` and ``answers`` are file descriptors."""

    def __init__(self, requests, answers):
        self.requests, self.answers = requests, answers
        self.file, self.found, self.keeper = None, {}, None

    def loop(self):
        while True:
            header, payload = self.read(self.requests)
            if header is None:
                return
            if header["do"] == "call":
                self.call(header, payload)
            else:
                self.write(
                    {"define": self.define, "look": self.look}[header["do"]](header, payload)
                )

    @staticmethod
    def read(descriptor):
        def exactly(count):
            parts = []
            while count and (part := os.read(descriptor, min(count, 1 << 20))):
                parts.append(part)
                count -= len(part)
            return b"".join(parts)

        lengths = exactly(LENGTHS.size)
        if len(lengths) < LENGTHS.size:
            return None, b""
        header, payload = LENGTHS.unpack(lengths)
        return read_header(exactly(header)), exactly(payload)

    def write(self, header, payload=b""):
        data = memoryview(frame(header, payload))
        while data:
            data = data[os.write(self.answers, data) :]

    def define(self, header, payload):
        techniques, files, start = header["techniques"], [], 0
        for name, size in header["files"]:
            files.append((name, payload[start : start + size]))
            start += size
        cells, reasons = cells_of(files)
        _prepare(header, cells)
        wanted = {name for names in techniques.values() for name in names}
        self.file = File(cells, wanted, header["seconds"])
        if header["frameworks"] == "without norms":
            _take_norms_away()
        self.found = self.file.functions(techniques)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        if "torch" in sys.modules and any("grad" in source for _, source in cells):
            _works("torch.fx.experimental.symbolic_shapes")  # autograd's, a second in each process
        told = {
            name: [{"signature": _signature(fn), "origin": _origin(fn)} for fn in fns]
            for name, fns in self.found.items()
        }
        problems = self.file.problems[:MOST_PROBLEMS]
        return {"cells": len(cells), "unread": reasons, "functions": told, "problems": problems}

    def call(self, header, payload):
        """In the process that keeps its state, or in one that is made for this call."""
        child = None if header["fresh"] else self.keeper
        if child is None:
            child = self.fork()
        pid, requests, done = child
        try:
            os.write(requests, frame(header, payload))
            alive = os.read(done, 1)
        except OSError:
            alive = b""
        if alive and not header["fresh"]:
            self.keeper = child
            return
        self.keeper = self.keeper if header["fresh"] else None
        os.close(requests)
        os.close(done)
        _, status = os.waitpid(pid, 0)
        if not alive:
            killed = os.WIFSIGNALED(status)
            how = signal.Signals(os.WTERMSIG(status)).name if killed else "exit"
            self.write({"id": header["id"], "ended": how})

    def fork(self):
        """(pid, where to write requests, where to read that one was answered) of a new process."""
        requests, done = os.pipe(), os.pipe()
        pid = os.fork()
        if not pid:
            try:
                os.close(requests[1])
                os.close(done[0])
                self.keep(requests[0], done[1])
            finally:
                os._exit(0)
        os.close(requests[0])
        os.close(done[1])
        return pid, requests[1], done[0]

    def keep(self, requests, done):
        while True:
            header, payload = self.read(requests)
            if header is None:
                return
            self.compute(header, payload)
            os.write(done, b".")

    def compute(self, header, payload):
        fn = self.found[header["name"]][header["version"]]
        arguments = decode(header["arguments"], payload)
        _as_before()
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, header["seconds"])
        answer, result = _called(fn, arguments, header["room"])
        signal.setitimer(signal.ITIMER_REAL, 0)
        self.write({"id": header["id"], **answer}, result)

    def look(self, header, payload):
        """What can be reached from here: read, written, connected to, imported."""
        import socket

        def works(act):
            try:
                act()
                return True
            except Exception:
                return False

        def connect(kind, address):
            with socket.socket(kind, socket.SOCK_STREAM) as s:
                s.settimeout(1)
                s.connect(address)

        importlib.invalidate_caches()
        return {
            "reads": works(lambda: open(header["file"]).read()),
            "writes": works(lambda: open(header["file"] + ".new", "w"))
            or works(lambda: os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY)),
            "network": works(lambda: connect(socket.AF_INET, ("127.0.0.1", header["port"]))),
            "course": works(lambda: _found("normcourse")),
            "others": works(lambda: os.kill(header["pid"], 0)),
        }


def _found(name):
    """Find a module as an import would, whatever stands in its place by now."""
    if not any(finder.find_spec(name, None) for finder in sys.meta_path):
        raise ImportError(name)


def _prepare(header, cells):
    sys.meta_path.insert(0, _StandIns(set(header["blocked"])))
    builtins.input = lambda *args: ""
    sys.argv = [""]
    text = " ".join(source for _, source in cells)
    if header["frameworks"] == "without norms":
        for name in ("torch", "sklearn", "jax"):
            if name in text:
                _works(name)
        _take_norms_away()


def _works(name):
    """Import a module; whether that was possible."""
    try:
        importlib.import_module(name)
        return True
    except Exception:
        return False


def _take_norms_away():
    def refuse(name):
        def refused(*args, **kwargs):
            raise RuntimeError(f"{name} is a framework's own: write it yourself here")

        return refused

    for module, names in NORMS.items():
        if module.partition(".")[0] in sys.modules and _works(module):
            for name in names.split():
                if hasattr(sys.modules[module], name):
                    setattr(sys.modules[module], name, refuse(f"{module}.{name}"))


def _limit(limits):
    """No more memory, file size, processes and open files than this; it cannot be raised again."""
    for name, most in limits.items():
        number = getattr(resource, f"RLIMIT_{name}", None)
        if number is not None:
            try:
                hard = resource.getrlimit(number)[1]
                most = most if hard == resource.RLIM_INFINITY else min(most, hard)
                resource.setrlimit(number, (most, most))
            except (ValueError, OSError):
                pass


def main(limits):
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    sys.stdin = io.StringIO()
    sys.stdout = sys.stderr = os.fdopen(nothing, "w")
    _limit(limits)
    Serve(requests, answers).loop()
