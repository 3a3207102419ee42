#!/usr/bin/env python
"""Muster's command line. ``manage.py help`` lists the commands."""

import gc
import os
import signal
import sys
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def stop_at_once(number: int, frame: FrameType | None) -> None:
    """End the process. Before a command begins there is nothing to clean up, and an exception would break imports."""
    os.write(2, b"Interrupted.\n")
    os._exit(1)


def refuse_what_is_not_utf_8(command: str, arguments: list[str]) -> None:
    """End the process if an argument is not UTF-8, which no database could store.

    The message does not repeat the argument: it may be a password.
    """
    for position, argument in enumerate(arguments, 1):
        try:
            argument.encode()
        except UnicodeEncodeError:
            sys.stderr.write(f"Error: argument {position} of {command} is not text in UTF-8. Nothing was done.\n")
            sys.exit(2)


def main() -> None:
    gc.disable()  # imports live as long as the process, and looking for garbage in them takes a fifth of the start
    # A signal that was ignored when the process started (nohup) stays ignored.
    before = {n: signal.getsignal(n) for n in SIGNALS if signal.getsignal(n) != signal.SIG_IGN}
    for number in before:
        signal.signal(number, stop_at_once)

    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import BaseCommand, ManagementUtility

    class Utility(ManagementUtility):
        def fetch_command(self, subcommand: str) -> BaseCommand:
            command = super().fetch_command(subcommand)
            gc.freeze()
            gc.set_threshold(50_000)  # commands hold thousands of rows at a time, and none is part of a cycle
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
