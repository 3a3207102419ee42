"""What the commands share: progress, interruption, summaries and errors at the console."""

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
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from types import FrameType
from typing import IO, Any, TextIO

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.text import capfirst

from core.models import Phase
from core.operations.closed import MonthsAreClosed, TouchedMonths
from core.operations.errors import ConflictsLeft, NotKnown, OperationFailed, explain
from core.operations.results import summary_of
from core.operations.traits import phase_label
from core.operations.wording import SECTIONS, by_section, told
from recordsync.errors import printable, printable_path
from recordsync.plan import Step
from recordsync.system.progress import Progress

_SECONDS_BETWEEN_LINES = 1.0


class Error(CommandError):
    """A failure in one sentence. Django writes the class's name before it, so it is called Error."""


class Interrupted(KeyboardInterrupt):
    """The command was interrupted by Ctrl-C, SIGTERM or a closed terminal."""


class StandardOutput:
    """Standard output as a binary stream without a buffer, so that every write error is raised at once."""

    def __init__(self) -> None:
        if sys.stdout is None:
            raise OperationFailed("Standard output is closed. No backup was written.")

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(sys.stdout.fileno(), rest) :]
        return len(data)

    def flush(self) -> None:
        """Do nothing: there is no buffer."""


class _Closed(io.StringIO):
    """Stands for a standard output that was closed when the process started: Python then has no stream."""

    def write(self, text: str, /) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


class OutputCommand(BaseCommand, ABC):
    """A command that fails with one sentence if it cannot write its standard output (closed, full, read by nobody)."""

    def __init__(self, stdout: TextIO | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(stdout or sys.stdout or _Closed(), *args, **kwargs)

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            returned = super().execute(*args, **options)
            self.stdout.flush()
        except OSError as error:  # it is about our own output: services turn their errors into failures
            _drop(sys.stdout)
            raise Error(f"{self.unwritten(options)} {explain(error)}") from error
        return returned

    @abstractmethod
    def unwritten(self, options: dict[str, Any]) -> str:
        """The sentence for an output that could not be written: it says what was done all the same."""


class ServiceCommand(OutputCommand):
    """A command that runs one service. It has ``--json``, ``--quiet``, progress on standard error and an exit status.

    Subclasses define :meth:`run`, which returns the summary. An :class:`OperationFailed` becomes one sentence and exit
    status 1.
    """

    operation = ""
    interrupted = "Interrupted. Nothing was changed."
    examples = ""
    handles_signals = True  # manage.py reads it
    takes_paths = False  # manage.py reads it: whether arguments may be no UTF-8, as file names may be
    requires_system_checks = ()  # they load every page of the site, which takes a third of the start of a process
    _is_process = False

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, epilog=self.examples, allow_abbrev=False, **kwargs)
        parser.formatter_class = RawDescriptionHelpFormatter  # the examples are laid out by hand
        return parser

    def run_from_argv(self, argv: list[str]) -> None:
        self._is_process = True  # nothing runs after the command that a signal would have to stop
        sys.unraisablehook = _unraisable
        super().run_from_argv(argv)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the summary as one JSON object and nothing else")
        parser.add_argument("--quiet", action="store_true", help="show no progress on standard error")

    @abstractmethod
    def run(self, progress: Progress, **options: Any) -> dict[str, Any]:
        """Run the service. Returns the summary, raises OperationFailed. The service uses the database."""

    def handle(self, *args: Any, **options: Any) -> None:
        started = time.monotonic()
        with _interruptible(self._is_process) as interrupts, ExitStack() as self._display:
            progress = self._display.enter_context(_progress(options["quiet"], interrupts))
            try:
                summary = self.run(progress, **options)
            except (OperationFailed, KeyboardInterrupt) as error:
                interrupts.ignored = True  # it has ended: nothing may interrupt its report
                self._display.close()
                failure = error if isinstance(error, OperationFailed) else OperationFailed(self.interrupted)
                _release(error)
                if options["json"]:
                    file = options.get("output") or options.get("input")
                    file = file and printable_path(file)
                    seconds = time.monotonic() - started
                    try:
                        self.print_json(failure_summary(self.named(options), file, failure, seconds), options)
                    except OSError:  # the reason of the failure matters more than the missing JSON
                        _drop(sys.stdout)
                raise Error(_failure_text(failure)) from error
        if options["json"]:
            self.print_json({"seconds": round(time.monotonic() - started, 3)} | summary, options)
        self.stdout.flush()  # before a subclass decides the exit status

    def say(self, line: str) -> None:
        """Write a line to standard output. The display of progress ends, which may stand on the same terminal."""
        self._display.close()
        self.stdout.write(line)

    def warn(self, text: str) -> None:
        """Write a warning to standard error, as :meth:`say`."""
        self._display.close()
        self.stderr.write(f"Warning: {printable(text)}", style_func=self.style.WARNING)

    def unwritten(self, options: dict[str, Any]) -> str:
        return f"The {self.operation} is done, but its summary could not be written."

    def named(self, options: dict[str, Any]) -> str:
        """The name of the operation in the summary."""
        return self.operation

    def print_json(self, summary: dict[str, Any], options: dict[str, Any]) -> None:
        """Write the summary as one JSON object, to standard error if standard output carries the file."""
        stream = self.stderr if options.get("output") == "-" else self.stdout
        stream.write(json.dumps(summary), style_func=str)  # ASCII is safe on every terminal
        stream.flush()


class ReadingCommand(ServiceCommand):
    """A command that reads the file ``options["input"]`` and can preview what it would do (``--preview``)."""

    takes_paths = True

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--preview", action="store_true", help="show what would change and write nothing")

    def unwritten(self, options: dict[str, Any]) -> str:
        if options["preview"]:
            return "The preview could not be written out to its end. Nothing was changed."
        return super().unwritten(options)

    def named(self, options: dict[str, Any]) -> str:
        return "preview" if options["preview"] else self.operation

    def list_steps(self, steps: Iterator[Step], describe: Callable[[Step], str], most: int | None) -> None:
        """Write the first ``most`` steps of a preview (None: all), a line each, under the name of their model."""
        section = ""
        for step in islice(steps, most):
            if section != (section := str(SECTIONS[step.model.name])):
                self.say(f"  {section}:")
            self.say(f"    {printable(describe(step))}")
        if next(steps, None) is not None:
            self.say("  …")

    @staticmethod
    def source(options: dict[str, Any]) -> str | IO[bytes]:
        """The path of the file, or standard input for ``-``. Raises OperationFailed if that is closed."""
        if options["input"] != "-":
            return str(options["input"])
        if sys.stdin is None:
            raise OperationFailed("Standard input is closed. Nothing was changed.")
        return sys.stdin.buffer


def failure_summary(operation: str, file: str | None, failure: OperationFailed, seconds: float) -> dict[str, Any]:
    """The JSON summary of a failure, with the keys that every summary has."""
    left = failure.error_count if isinstance(failure, ConflictsLeft) else 0
    closed = TouchedMonths(failure.months).summary() if isinstance(failure, MonthsAreClosed) else {}
    return summary_of(
        operation,
        ok=None if isinstance(failure, NotKnown) else False,
        file=file,
        undecided=left,
        conflicts=left,
        seconds=round(seconds, 3),
        message=str(failure),
        errors=[error.as_dict() for error in failure.errors],
        error_count=failure.error_count,
        **closed,
    )


def _drop(stream: TextIO | None) -> None:
    """Send a broken output to the null device: what is left in its buffer would fail again when the process ends."""
    if stream is not None:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _failure_text(failure: OperationFailed) -> str:
    """The sentence of the failure, and below it what is wrong with the file."""
    lines = [printable(str(failure))]
    if str(failure.errors[0]) != str(failure):
        for section, errors in by_section(failure.errors):
            lines += [f"  {section}:"] if section else []
            lines += [f"  {'  ' if section else ''}{printable(told(error))}" for error in errors]
        if failure.error_count > len(failure.errors):
            lines.append(f"  … and {failure.error_count - len(failure.errors):,} more")
    return "\n".join(lines)


def _unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    """Report an exception in a finalizer, unless it is an interruption: :meth:`_Interrupts.check` raises that again."""
    if unraisable.exc_type is not Interrupted:
        sys.__unraisablehook__(unraisable)


class _Interrupts:
    """A signal handler that raises Interrupted at the first signal, unless ``ignored`` is set."""

    def __init__(self) -> None:
        self.ignored = False
        self.received = False

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        if not self.ignored:
            self.received = self.ignored = True  # a second signal must not interrupt the cleaning up
            raise Interrupted

    def check(self) -> None:
        """Raise Interrupted again: Python drops an exception that is raised in a finalizer."""
        if self.received:
            raise Interrupted


@contextmanager
def _interruptible(for_good: bool) -> Iterator[_Interrupts]:
    """A block that signals interrupt. ``for_good``: after it they are ignored, so that the process ends in order.

    A signal that was ignored when the process started (``nohup``) stays ignored.
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
    """Clear the frames of an exception: a cursor that they hold half-read must be closed before its connection."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:  # a failure may name itself as its cause
        chain.append(link)
        traceback.clear_frames(link.__traceback__)
        link = link.__cause__ or link.__context__


@contextmanager
def _progress(quiet: bool, interrupts: _Interrupts) -> Iterator[Progress]:
    """A display of progress on standard error: a live bar on a terminal, elsewhere at most one line a second.

    If it cannot be written, the work goes on without it.
    """
    with _no_display() if quiet or sys.stderr is None else _bar() if sys.stderr.isatty() else _lines() as display:

        def progress(phase: str, done: int, total: int | None, /) -> None:
            interrupts.check()
            if phase == Phase.COMMIT:
                interrupts.ignored = True  # the point of no return
            elif phase == Phase.WAIT:
                interrupts.ignored = False  # a person may stop waiting for the catalogue: the backup is whole
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
                sys.stderr.write(f"{capfirst(phase_label(phase))}{amount}\n")
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
                bars.reset(task, description=capfirst(phase_label(phase)))
                shown = phase
            bars.update(task, completed=done, total=total)

        yield move


def counted(number: int, singular: str, plural: str) -> str:
    """The number with the noun that fits it."""
    return f"{number:,} {singular if number == 1 else plural}"


def moment_argument(text: str) -> dt.datetime:
    """The moment, in UTC, that an argument names: a date or a date and time, in TIME_ZONE unless it names a zone.

    Raises ArgumentTypeError if it is neither, or in the future.
    """
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
    """The day that an argument names, as YYYY-MM-DD. Raises ArgumentTypeError if it names none."""
    try:
        return dt.date.fromisoformat(text).isoformat()
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a date like 2026-11-01") from None


def file_name(text: str) -> str:
    """The path of a file that an argument names. Raises ArgumentTypeError for a blank one and for ``folder/``."""
    if not text:
        raise ArgumentTypeError("a file's name cannot be empty")
    if text.endswith("/"):
        raise ArgumentTypeError(f"{text!r} is a folder, not a file")
    return text
