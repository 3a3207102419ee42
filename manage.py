#!/usr/bin/env python
"""Muster's command line: ``manage.py help`` lists what it can do."""

import gc
import os
import signal
import sys
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def stop_at_once(number: int, frame: FrameType | None) -> None:
    """Before a command has begun there is nothing to clean up, and imports do not survive an exception."""
    os.write(2, b"Interrupted.\n")
    os._exit(1)


def refuse_what_is_not_utf_8(command: str, arguments: list[str]) -> None:
    """No database could store it. It is not repeated: it may be a password."""
    for position, argument in enumerate(arguments, 1):
        try:
            argument.encode()
        except UnicodeEncodeError:
            sys.stderr.write(f"Error: argument {position} of {command} is not text in UTF-8. Nothing was done.\n")
            sys.exit(2)


def main() -> None:
    gc.disable()  # what is imported lives as long as the process: looking for garbage in it is a fifth of the start
    # What the process was started to ignore (nohup) stays ignored.
    before = {n: signal.getsignal(n) for n in SIGNALS if signal.getsignal(n) != signal.SIG_IGN}
    for number in before:
        signal.signal(number, stop_at_once)

    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import BaseCommand, ManagementUtility

    class Utility(ManagementUtility):
        def fetch_command(self, subcommand: str) -> BaseCommand:
            command = super().fetch_command(subcommand)
            gc.freeze()
            gc.set_threshold(50_000)  # thousands of rows at a time are held, and none of them is part of a cycle
            gc.enable()
            if not getattr(command, "takes_paths", False):
                refuse_what_is_not_utf_8(subcommand, self.argv[2:])
            if not getattr(command, "handles_signals", False):
                for number, handler in before.items():
                    signal.signal(number, handler)
            return command

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "muster.settings")
    try:
        Utility(sys.argv).execute()
    except ImproperlyConfigured as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
