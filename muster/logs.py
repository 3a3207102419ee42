"""The log file, which the web server, the worker and every command share."""

import fcntl
import logging
import logging.handlers
import os
from typing import IO

from recordsync.errors import printable


class LineFormatter(logging.Formatter):
    """Writes each message on one line. A name in it cannot start another line or control the terminal that shows it."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = printable(record.message)
        return super().formatMessage(record)


class SharedRotatingFileHandler(logging.handlers.RotatingFileHandler):
    """A rotating log file that several processes may write to at once.

    Python's own handler assumes that it is alone: a process would go on writing to the file that another has
    renamed. This handler follows the name, and only the process that holds a lock rotates.
    """

    def __init__(self, filename: str, maxBytes: int, backupCount: int) -> None:
        super().__init__(filename, maxBytes=maxBytes, backupCount=backupCount, encoding="utf-8", delay=True)

    def shouldRollover(self, record: logging.LogRecord) -> bool:
        if self.stream and not self._is_current(self.stream):
            self.stream.close()
            self.stream = self._open()
        return bool(super().shouldRollover(record))

    def doRollover(self) -> None:
        with open(f"{self.baseFilename}.lock", "a", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.stream and self._is_current(self.stream):
                super().doRollover()

    def handleError(self, record: logging.LogRecord) -> None:
        """Ignore the error: a full disk or a folder without write permission must not hide the output of a command.

        A file whose closing failed is closed all the same. The next message opens it again.
        """
        if self.stream and self.stream.closed:
            self.stream = None

    def _is_current(self, stream: IO[str]) -> bool:
        """Whether the open file still has the name of the log."""
        try:
            return os.path.samestat(os.fstat(stream.fileno()), os.stat(self.baseFilename))
        except FileNotFoundError:
            return False
