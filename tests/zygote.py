"""Python processes that begin with everything loaded which every command loads, instead of loading it again.

Starting Python and loading Django is half a second, and most of what a quick command takes. One process, the zygote,
loads all of it that does not depend on settings, and forks: each command is still a process of its own, in a session of
its own, with its own environment, folder and standard streams, that may be signalled or killed. Settings, applications
and models are loaded in it as ever. What Python itself reads from the environment when it starts (PYTHONHASHSEED, LANG)
is the zygote's.

:class:`Zygote` is what a test run holds; the rest of this file is the zygote's own program.
"""

from __future__ import annotations

import ast
import ctypes
import gc
import inspect
import os
import runpy
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

# What these load is nearly all that a command loads. One that is left out costs time and nothing else.
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
    "recordsync.backupfile",
    "recordsync.system.locks",
    "recordsync.plan",
    "recordsync.stores",
    "recordsync.system.transactions",
    "whitenoise.runserver_nostatic",
)

_MESSAGE = 1 << 17
_SECONDS = 60
"""For an answer, loading included."""
_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
_EXECUTE_CHILD = inspect.signature(vars(subprocess.Popen)["_execute_child"])


class Zygote:
    """Starts scripts by forking. Linux only: elsewhere nobody can adopt the child of another process."""

    def __init__(self) -> None:
        # Whoever the zygote orphans becomes a child of this process, which can wait for it as for any other.
        if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")
        self._lock = threading.Lock()
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.settimeout(_SECONDS)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd="/",
                env={"LANG": "C.UTF-8"},
                start_new_session=True,
            )

    def popen(self, args: Sequence[str], env: Mapping[str, str], cwd: str | Path, **streams: Any) -> Forked:
        """As ``subprocess.Popen`` of Python with these arguments (a script's path, and what it is given) in a session
        of its own. ``streams``: stdin, stdout, stderr, as there. Raises RuntimeError or OSError where the zygote does
        not answer."""
        return Forked(self, args, env=env, cwd=cwd, **streams)

    def fork(self, args: Sequence[str], env: Mapping[str, str], cwd: str | Path, streams: Sequence[int]) -> int:
        """As :meth:`popen`; the id of the new child of this process. ``streams``: the descriptors that it has as 0, 1
        and 2."""
        request = repr((list(args), dict(env), str(cwd))).encode()
        assert len(request) <= _MESSAGE, "too long to be received whole"
        with self._lock:
            socket.send_fds(self._channel, [request], streams)
            answer = self._channel.recv(_MESSAGE)
        if not answer:
            raise RuntimeError("the zygote is gone")
        return int(answer)

    def close(self) -> None:
        self._channel.close()
        try:
            self._process.wait(_SECONDS)
        finally:
            self._process.kill()


class Forked(subprocess.Popen[bytes]):
    """A process that a zygote forked.

    ``subprocess`` has no public way to take over a process that another one forked. What it does around its own fork
    (pipes, time limits, signals, waiting) would be a hundred lines here, so the one method that forks is replaced.
    """

    def __init__(self, zygote: Zygote, args: Sequence[str], **options: Any) -> None:
        self._zygote = zygote
        super().__init__(args, **options)

    def _execute_child(self, *given: Any) -> None:
        named = _EXECUTE_CHILD.bind(self, *given).arguments
        ends = [named[name] for name in ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")]
        childs = (named["p2cread"], named["c2pwrite"], named["errwrite"])  # -1: as in this process
        streams = [number if end == -1 else end for number, end in enumerate(childs)]
        self.pid = self._zygote.fork(named["args"], named["env"], named["cwd"], streams)
        self._child_created = True
        # Not public either, so typeshed does not have it; it also closes the /dev/null that only Popen knows.
        self._close_pipe_fds(*ends)  # type: ignore[attr-defined] # see above


# --- In the zygote


def serve(channel: socket.socket) -> Sequence[str]:
    """Fork for each request. Comes back in the new process only, with the script that it has to run and what that is
    given; ends the zygote when the other end of the channel is closed."""
    while True:
        request, streams, _flags, _address = socket.recv_fds(channel, _MESSAGE, 3)
        if not request:
            sys.exit()
        reading, writing = os.pipe()
        between = os.fork()
        if not between:
            pid = os.fork()
            if not pid:
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
    """Take over the folder, the environment and the streams that were asked for; the script and what it is given."""
    args, env, cwd = ast.literal_eval(request.decode())
    os.setsid()
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    # Made anew, as Python makes them: the old ones have noted whether they can seek, and the like, of other files.
    sys.stdin, sys.stdout = (_standard(old) for old in (sys.stdin, sys.stdout))
    sys.stderr = _standard(sys.stderr, buffering=1)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    return args


def _standard(old: TextIO, buffering: int = -1) -> Any:
    # Standard streams are open as long as the process: there is no block at whose end to close them.
    options: dict[str, Any] = {"encoding": old.encoding, "errors": old.errors, "buffering": buffering}
    return open(old.fileno(), old.mode, closefd=False, **options)


def main() -> None:
    channel = socket.socket(fileno=int(sys.argv[1]))
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    gc.disable()
    for name in LOADED:
        import_module(name)
    gc.freeze()
    gc.enable()
    sys.argv[:] = serve(channel)
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
