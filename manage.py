#!/usr/bin/env python
"""Muster's command line: ``manage.py help`` lists what it can do."""

import os
import signal
import sys


def unraisable(happened: "sys.UnraisableHookArgs") -> None:
    """An interruption that comes in a finalizer, where Python cannot raise it, ends the program all the same."""
    if happened.exc_type is KeyboardInterrupt:
        os.write(2, b"Interrupted.\n")
        os._exit(1)
    sys.__unraisablehook__(happened)


if __name__ == "__main__":
    # Stopped before it has begun, a command ends in one word; from then on it says itself what was done.
    sys.unraisablehook = unraisable
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "muster.settings")
        try:
            execute_from_command_line(sys.argv)
        except ImproperlyConfigured as error:
            sys.exit(f"Error: {error}")
    except KeyboardInterrupt:
        sys.exit("Interrupted.")
