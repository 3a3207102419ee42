"""What the commands share at the console: progress, interruption, summaries, errors."""

from __future__ import annotations

import datetime as dt
import errno
import io
import json
import os
import signal
import sys
import time
import traceback
from abc import ABC, abstractmethod
from argparse import ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice
from types import FrameType
from typing import IO, Any, Final, TextIO

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from core.models import Phase
from core.operations.errors import ConflictsLeft, NotKnown, OperationFailed, explain
from core.operations.wording import SECTIONS, by_section, told
from recordsync.errors import printable, printable_path
from recordsync.plan import Step
from recordsync.system.progress import Progress

_SECONDS_BETWEEN_LINES = 1.0

_PHASES: Final[Mapping[str, str]] = {
    Phase.RECEIVE: "Receiving",
    Phase.WAIT: "Waiting for another operation",
    Phase.CHECK: "Checking the file",
    Phase.COMPARE: "Comparing",
    Phase.APPLY: "Writing to the database",
    Phase.WRITE: "Writing the file",
    Phase.COMMIT: "Finishing",
}
"""At a terminal, where they begin a line."""


class Error(CommandError):
    """A failure, told in one sentence; the class's name is the first word that a person sees."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, SIGTERM or a closed terminal."""


class StandardOutput:
    """Standard output as a binary stream that keeps nothing back, so that every write error comes at once."""

    def __init__(self) -> None:
        if sys.stdout is None:
            raise OperationFailed("Standard output is closed. No backup was written.")

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(sys.stdout.fileno(), rest) :]
        return len(data)

    def flush(self) -> None:
        """Nothing is kept back."""


class _Closed(io.StringIO):
    """Standard output that whoever started the process has closed: Python has no stream then."""

    def write(self, text: str, /) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


class OutputCommand(BaseCommand, ABC):
    """A command that fails in a sentence where its standard output cannot be written: closed, full, read by nobody."""

    def __init__(self, stdout: TextIO | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(stdout or sys.stdout or _Closed(), *args, **kwargs)

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            returned = super().execute(*args, **options)
            self.stdout.flush()
        except OSError as error:  # of our own output: services turn theirs into failures
            _drop(sys.stdout)
            raise Error(f"{self.untold(options)} {explain(error)}") from error
        return returned

    @abstractmethod
    def untold(self, options: dict[str, Any]) -> str:
        """What was done, or not, although it could not be written out."""


class ServiceCommand(OutputCommand):
    """A command that runs one service: ``--json``, ``--quiet``, progress on standard error, exit status.

    Subclasses define :meth:`run`, which returns the summary; an :class:`OperationFailed` becomes one
    sentence and exit status 1.
    """

    operation = ""
    interrupted = "Interrupted. Nothing was changed."
    examples = ""
    handles_signals = True  # for manage.py
    takes_paths = False  # for manage.py: arguments that are not UTF-8, as file names may be
    requires_system_checks = ()  # they load every page of the site: a third of the time that such a process starts in
    _is_process = False

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, epilog=self.examples, allow_abbrev=False, **kwargs)
        parser.formatter_class = RawDescriptionHelpFormatter  # the examples are laid out by hand
        return parser

    def run_from_argv(self, argv: list[str]) -> None:
        self._is_process = True  # nothing comes after the command that a signal would have to stop
        sys.unraisablehook = _unraisable
        super().run_from_argv(argv)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the summary as one JSON object and nothing else")
        parser.add_argument("--quiet", action="store_true", help="show no progress on standard error")

    @abstractmethod
    def run(self, progress: Progress, **options: Any) -> dict[str, Any]:
        """Do it; the summary. Raises OperationFailed."""

    def handle(self, *args: Any, **options: Any) -> None:
        started = time.monotonic()
        with _interruptible(self._is_process) as interrupts, _progress(options["quiet"], interrupts) as progress:
            try:
                summary = self.run(progress, **options)
            except (OperationFailed, KeyboardInterrupt) as error:
                interrupts.ignored = True  # what has ended is told, whatever comes
                failure = error if isinstance(error, OperationFailed) else OperationFailed(self.interrupted)
                _release(error)
                if options["json"]:
                    file = options.get("output") or options.get("input")
                    file = file and printable_path(file)
                    seconds = time.monotonic() - started
                    try:
                        self.print_json(failure_summary(self.named(options), file, failure, seconds), options)
                    except OSError:  # why it failed is worth more than why that is not there as JSON
                        _drop(sys.stdout)
                raise Error(_told(failure)) from error
        if options["json"]:
            self.print_json({"seconds": round(time.monotonic() - started, 3)} | summary, options)
        self.stdout.flush()  # here, before a subclass judges what was told

    def untold(self, options: dict[str, Any]) -> str:
        return f"The {self.operation} is done, but its summary could not be written."

    def named(self, options: dict[str, Any]) -> str:
        """The operation's name in the summary."""
        return self.operation

    def print_json(self, summary: dict[str, Any], options: dict[str, Any]) -> None:
        """The summary as one JSON object."""
        stream = self.stderr if options.get("output") == "-" else self.stdout
        stream.write(json.dumps(summary), style_func=str)  # in ASCII: safe on every terminal
        stream.flush()


class ReadingCommand(ServiceCommand):
    """A command that reads the file ``options["input"]``, and can show what it would do (``--preview``)."""

    takes_paths = True

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--preview", action="store_true", help="show what would change and write nothing")

    def untold(self, options: dict[str, Any]) -> str:
        if options["preview"]:
            return "The preview could not be written out to its end. Nothing was changed."
        return super().untold(options)

    def named(self, options: dict[str, Any]) -> str:
        return "preview" if options["preview"] else self.operation

    def list_steps(self, steps: Iterator[Step], describe: Callable[[Step], str], most: int | None) -> None:
        """Write the first steps of a preview, a line each, under their model's name."""
        section = ""
        for step in islice(steps, most):
            if section != (section := str(SECTIONS[step.model.name])):
                self.stdout.write(f"  {section}:")
            self.stdout.write(f"    {printable(describe(step))}")
        if next(steps, None) is not None:
            self.stdout.write("  …")

    @staticmethod
    def source(options: dict[str, Any]) -> str | IO[bytes]:
        """The file's path, or standard input for ``-``. Raises OperationFailed where that is closed."""
        if options["input"] != "-":
            return str(options["input"])
        if sys.stdin is None:
            raise OperationFailed("Standard input is closed. Nothing was changed.")
        return sys.stdin.buffer


def failure_summary(operation: str, file: str | None, failure: OperationFailed, seconds: float) -> dict[str, Any]:
    """The JSON summary of something that did not happen: the keys that every summary has."""
    left = failure.error_count if isinstance(failure, ConflictsLeft) else 0
    return {
        "ok": None if isinstance(failure, NotKnown) else False,
        "operation": operation,
        "file": file,
        **dict.fromkeys(("id", "type")),
        **dict.fromkeys(("companies", "records", "added", "updated", "deleted", "skipped", "kept"), 0),
        **dict.fromkeys(("undecided", "conflicts"), left),
        "seconds": round(seconds, 3),
        "message": str(failure),
        "errors": [error.as_dict() for error in failure.errors],
        "error_count": failure.error_count,
        "models": {},
    }


def _drop(stream: TextIO | None) -> None:
    """Let go of an output that cannot be written: what is left in its buffer would fail again at the process's end."""
    if stream is not None:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _told(failure: OperationFailed) -> str:
    """The failure's sentence, and below it what is wrong with the file."""
    lines = [printable(str(failure))]
    if str(failure.errors[0]) != str(failure):
        for section, errors in by_section(failure.errors):
            lines += [f"  {section}:"] if section else []
            lines += [f"  {'  ' if section else ''}{printable(told(error))}" for error in errors]
        if failure.error_count > len(failure.errors):
            lines.append(f"  … and {failure.error_count - len(failure.errors):,} more")
    return "\n".join(lines)


def _unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    """An interruption that came in a finalizer is no news: see :meth:`_Interrupts.check`."""
    if unraisable.exc_type is not Interrupted:
        sys.__unraisablehook__(unraisable)


class _Interrupts:
    """Turns the first signal into an exception, until nothing may be interrupted any more."""

    def __init__(self) -> None:
        self.ignored = False
        self.came = False

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        if not self.ignored:
            self.came = self.ignored = True  # cleaning up is not interrupted a second time
            raise Interrupted

    def check(self) -> None:
        """Raise again what came where Python cannot raise, as in a finalizer."""
        if self.came:
            raise Interrupted


@contextmanager
def _interruptible(for_good: bool) -> Iterator[_Interrupts]:
    """Within the block signals interrupt. ``for_good``: after it none does, so that the process ends as it has to.

    What the process was started to ignore (``nohup``) stays ignored.
    """
    interrupts = _Interrupts()
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, interrupts) for number in numbers}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if for_good else handler)


def _release(error: BaseException) -> None:
    """Let go of what the failed frames held: a half-read cursor must be closed before its connection is."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:  # a failure may name itself as its cause
        chain.append(link)
        traceback.clear_frames(link.__traceback__)
        link = link.__cause__ or link.__context__


@contextmanager
def _progress(quiet: bool, interrupts: _Interrupts) -> Iterator[Progress]:
    """Progress on standard error: a live bar on a terminal, elsewhere at most one line a second.

    It is no part of the work, which goes on where it cannot be shown.
    """
    with _no_display() if quiet or sys.stderr is None else _bar() if sys.stderr.isatty() else _lines() as display:

        def progress(phase: str, done: int, total: int | None, /) -> None:
            interrupts.check()
            if phase == Phase.COMMIT:
                interrupts.ignored = True  # the point of no return
            elif phase == Phase.WAIT:
                interrupts.ignored = False  # a finished backup may be left waiting for the catalogue
            display(phase, done, total)

        yield progress


@contextmanager
def _no_display() -> Iterator[Progress]:
    yield lambda phase, done, total: None


@contextmanager
def _lines() -> Iterator[Progress]:
    last = time.monotonic()

    def line(phase: str, done: int, total: int | None, /) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            amount = f" {done:,}" + (f" of {total:,}" if total is not None else "") if done else ""
            try:
                sys.stderr.write(f"{_PHASES.get(phase, phase)}{amount}\n")
                sys.stderr.flush()
            except OSError:
                _drop(sys.stderr)

    yield line


@contextmanager
def _bar() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("Starting", total=None)
        shown = ""

        def move(phase: str, done: int, total: int | None, /) -> None:
            nonlocal shown
            if phase != shown:
                bars.reset(task, description=_PHASES.get(phase, phase))
                shown = phase
            bars.update(task, completed=done, total=total)

        yield move


def counted(number: int, one: str, more: str) -> str:
    """A number with its noun."""
    return f"{number:,} {one if number == 1 else more}"


def moment_argument(text: str) -> dt.datetime:
    """A past moment given on the command line: a date or a date and time, in the project's TIME_ZONE unless it says."""
    try:
        value = parse_datetime(text)
        day = None if value else parse_date(text)
    except ValueError:
        value = day = None
    if value is None and day is not None:
        value = dt.datetime.combine(day, dt.time())
    if value is None:
        raise ArgumentTypeError(f"{text!r} is not a date (2026-11-01) or a date and time (2026-11-01T18:30:00Z)")
    try:
        value = timezone.make_aware(value) if timezone.is_naive(value) else value
        value = value.astimezone(dt.UTC)
    except OverflowError:
        raise ArgumentTypeError(f"{text!r} is too far from today") from None
    if value > timezone.now():
        raise ArgumentTypeError(f"{text!r} is in the future")
    return value


def day_argument(text: str) -> str:
    """A day given on the command line, YYYY-MM-DD."""
    try:
        return dt.date.fromisoformat(text).isoformat()
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a date like 2026-11-01") from None


def file_name(text: str) -> str:
    """A file's path given on the command line. A shell's unset variable is empty; ``folder/`` is no file."""
    if not text:
        raise ArgumentTypeError("a file's name cannot be empty")
    if text.endswith("/"):
        raise ArgumentTypeError(f"{text!r} is a folder, not a file")
    return text
