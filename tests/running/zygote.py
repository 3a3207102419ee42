"""Python processes that start with all modules loaded that every command needs, instead of loading them again.

Starting Python and loading Django is half a second, and most of what a quick command takes. One process, the zygote,
loads all of it that does not depend on settings, and forks: each command is still a process of its own, in a session of
its own, with its own environment, folder and standard streams, that may be signalled or killed. Settings, applications
and models are loaded in it as ever. What Python itself reads from the environment when it starts (PYTHONHASHSEED, LANG)
is the zygote's.

From it a second zygote may be forked for one environment, which sets up Django, and is kept for some time. With
settings, applications and models loaded, a quick command takes a fifth of the time. What a start does to files and to
the umask, each process still does.

:class:`Zygote` is what a test run holds; the rest of this file is the zygote's own program.
"""

from __future__ import annotations

import ast
import ctypes
import gc
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from importlib import import_module
from multiprocessing import connection
from pathlib import Path
from typing import IO, Any, Self, TextIO

import django
from django.apps import apps

# What these load is most of what a command loads and what needs no settings, as tables do. One that is left out costs
# time and nothing else.
LOADED = (
    "axes.apps",
    "csp.apps",
    "dj_database_url",
    "django.contrib.admin.apps",
    "django.contrib.auth.apps",
    "django.contrib.contenttypes.apps",
    "django.contrib.humanize.apps",
    "django.contrib.staticfiles.apps",
    "django.core.management",
    "django.db.backends.postgresql.base",
    "django.db.backends.sqlite3.base",
    "django.views.debug",
    "django_tasks_db.utils",
    "ijson",
    "recordsync.history.headers",
    "recordsync.history.trees",
    "recordsync.merge",
    "recordsync.streams.sort",
    "recordsync.system.inputs",
    "recordsync.system.locks",
    "recordsync.stores",
    "recordsync.system.transactions",
    "whitenoise.runserver_nostatic",
    "zstandard",
)

_MESSAGE = 1 << 17
_SECONDS = 180
"""The time for an answer, which includes the loading."""
_SET_UP = "--set-up"
_KEPT = 8
"""The environments for which a zygote with Django set up is kept: each is a process."""
_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


class Zygote:
    """Starts scripts by forking. It needs Linux: elsewhere a process cannot adopt the child of another."""

    def __init__(self, start: Callable[[int], Process] | None = None) -> None:
        """``start`` runs this file with that descriptor as its standard input; by default in a new Python."""
        # Whoever the zygote orphans becomes a child of this process, which can wait for it as for any other.
        if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")
        self._lock = threading.Lock()
        self._setting_up = threading.Lock()
        self._set_up: dict[frozenset[tuple[str, str]], Zygote] = {}
        """Those last asked for, the last one at the end."""
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.settimeout(_SECONDS)
        with theirs:
            self._process = (start or _start_python)(theirs.fileno())

    def set_up(self, env: Mapping[str, str], cwd: str | Path) -> Zygote:
        """A zygote that this one forks, and that sets up Django in this environment; or the one that did it before.
        Where that fails, it does not answer."""
        key = frozenset(env.items())
        with self._setting_up:  # commands may be started in several threads
            found = self._set_up.pop(key, None) or Zygote(
                lambda channel: self.popen([__file__, _SET_UP], env, cwd, stdin=channel, stdout=subprocess.DEVNULL)
            )
            self._set_up[key] = found
            if len(self._set_up) > _KEPT:
                self._set_up.pop(next(iter(self._set_up))).close()
            return found

    def popen(self, args: Sequence[str], env: Mapping[str, str] | None, cwd: str | Path, **streams: Any) -> Forked:
        """As ``subprocess.Popen`` of Python with these arguments (a script's path, and what it is given) in a session
        of its own. ``env``: None where Django is set up, whose environment it gets. ``streams``: stdin, stdout and
        stderr, as there, but for ``STDOUT``. Raises RuntimeError or OSError where the zygote does not answer."""
        return Forked(self, args, env, cwd, **streams)

    def fork(self, args: Sequence[str], env: Mapping[str, str] | None, cwd: str | Path, streams: Sequence[int]) -> int:
        """The id of a new child of this process, started as by :meth:`popen`. ``streams``: its descriptors 0 to 2."""
        request = repr((list(args), env if env is None else dict(env), str(cwd))).encode()
        assert len(request) <= _MESSAGE, "too long to be received whole"
        with self._lock:
            socket.send_fds(self._channel, [request], streams)
            answer = self._channel.recv(_MESSAGE)
        if not answer:
            raise RuntimeError("the zygote is gone")
        return int(answer)

    def close(self) -> None:
        """End it, and those that it has set up."""
        for zygote in self._set_up.values():
            zygote.close()
        self._channel.close()
        try:
            self._process.wait(_SECONDS)
        finally:
            self._process.kill()


class Forked:
    """A process that a zygote forked, with the part of ``subprocess.Popen`` that tests use.

    ``subprocess`` cannot take over a process that others forked.
    """

    def __init__(
        self,
        zygote: Zygote,
        args: Sequence[str],
        env: Mapping[str, str] | None,
        cwd: str | Path,
        stdin: int | IO[bytes] | None = None,
        stdout: int | IO[bytes] | None = None,
        stderr: int | IO[bytes] | None = None,
    ) -> None:
        self.args = args
        self.returncode: int | Any = None
        with ExitStack() as theirs:
            in_, self.stdin = _stream(0, stdin, theirs)
            out, self.stdout = _stream(1, stdout, theirs)
            err, self.stderr = _stream(2, stderr, theirs)
            self.pid = zygote.fork(args, env, cwd, (in_, out, err))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream:
                stream.close()
        self.wait()

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            its_end = os.pidfd_open(self.pid)
            try:
                if timeout is not None and not connection.wait([its_end], timeout):
                    raise subprocess.TimeoutExpired(self.args, timeout)
            finally:
                os.close(its_end)
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return int(self.returncode)

    def communicate(self, given: bytes | None = None, timeout: float | None = None) -> tuple[bytes, bytes]:
        """As of Popen, but a second call after TimeoutExpired loses output, and a stream without a pipe is empty."""
        until = None if timeout is None else time.monotonic() + timeout
        read: dict[IO[bytes] | None, bytes] = {}

        def write_all(stream: IO[bytes]) -> None:
            with suppress(BrokenPipeError), stream:
                stream.write(given or b"")

        def read_all(stream: IO[bytes]) -> None:
            with stream:
                read[stream] = stream.read()

        # One thread for each: a process that waits until one stream is read may not have closed another.
        work = ((write_all, self.stdin), (read_all, self.stdout), (read_all, self.stderr))
        threads = [threading.Thread(target=each, args=[stream], daemon=True) for each, stream in work if stream]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(_left(until))
            if thread.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        self.wait(_left(until))
        return read.get(self.stdout, b""), read.get(self.stderr, b"")

    def send_signal(self, number: int) -> None:
        if self.poll() is None:  # until it is waited for, no other process gets its id
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


Process = subprocess.Popen[bytes] | Forked
"""A started command, forked or not."""


def _start_python(channel: int) -> Process:
    return subprocess.Popen(
        [sys.executable, __file__],
        stdin=channel,
        stdout=subprocess.DEVNULL,
        cwd="/",
        env={"LANG": "C.UTF-8"},
        start_new_session=True,
    )


def _stream(number: int, wanted: int | IO[bytes] | None, theirs: ExitStack) -> tuple[int, IO[bytes] | None]:
    """The descriptor that a new process gets as its standard stream of this number, and the other end, if it is a pipe.
    ``theirs`` closes what nobody needs here once the process has it."""
    if wanted is None:
        return number, None
    if wanted == subprocess.PIPE:
        reading, writing = os.pipe()
        its, ours = (reading, writing) if number == 0 else (writing, reading)
        theirs.callback(os.close, its)
        return its, open(ours, "wb" if number == 0 else "rb")
    if wanted == subprocess.DEVNULL:
        nothing = os.open(os.devnull, os.O_RDWR)
        theirs.callback(os.close, nothing)
        return nothing, None
    return wanted if isinstance(wanted, int) else wanted.fileno(), None


def _left(until: float | None) -> float | None:
    """The seconds until that moment of the monotonic clock; None: no end."""
    return None if until is None else max(0.0, until - time.monotonic())


# --- In the zygote


def serve(channel: socket.socket) -> Sequence[str]:
    """Fork for each request. Returns in the new process only: the script that it has to run, and its arguments.

    The zygote ends when the other end of the channel is closed.
    """
    while True:
        request, streams, _flags, _address = socket.recv_fds(channel, _MESSAGE, 3)
        if not request:
            os._exit(0)
        reading, writing = os.pipe()
        between = os.fork()
        if not between:
            middle = os.getpid()
            pid = os.fork()
            if not pid:
                while os.getppid() == middle:  # until it is the test run's child, as one that was started is
                    time.sleep(0.001)
                os.close(reading)
                os.close(writing)
                channel.close()
                return become(request, streams)
            os.write(writing, b"%d" % pid)
            os._exit(0)
        for descriptor in (writing, *streams):
            os.close(descriptor)
        os.waitpid(between, 0)  # from now on the new process is the test run's child
        channel.send(os.read(reading, 32))
        os.close(reading)


def become(request: bytes, streams: Sequence[int]) -> Sequence[str]:
    """The script and its arguments, after taking over the folder, environment and streams of the request."""
    args, env, cwd = ast.literal_eval(request.decode())
    os.setsid()
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    # Made anew, as Python makes them: the old ones have noted whether they can seek, and the like, of other files.
    sys.stdin, sys.stdout = (_standard(old) for old in (sys.stdin, sys.stdout))
    sys.stderr = _standard(sys.stderr, buffering=1)
    os.chdir(cwd)
    if env is not None:
        os.environ.clear()
        os.environ.update(env)
    return args


def _standard(old: TextIO, buffering: int = -1) -> Any:
    # Standard streams are open as long as the process: there is no block at whose end to close them.
    options: dict[str, Any] = {"encoding": old.encoding, "errors": old.errors, "buffering": buffering}
    return open(old.fileno(), old.mode, closefd=False, **options)


def set_up() -> None:
    """Set up Django, and leave the umask to each process."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "muster.settings")
    umask = os.umask(0)
    os.umask(umask)
    django.setup()
    os.umask(umask)


def main() -> None:
    channel = socket.socket(fileno=0)
    is_set_up = _SET_UP in sys.argv
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    gc.disable()
    for name in LOADED:
        import_module(name)
    if is_set_up:
        set_up()
    gc.freeze()
    gc.enable()
    sys.argv[:] = serve(channel)
    if is_set_up:
        apps.get_app_config("core").ready()  # closes files to others: not only when the zygote was set up
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
