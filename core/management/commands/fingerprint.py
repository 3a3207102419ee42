"""``manage.py fingerprint`` prints what two people compare to tell whether their registers hold the same."""

from __future__ import annotations

import datetime as dt
from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import CommandError, CommandParser

from core import moments
from core.history.fingerprint import OPERATION, Fingerprint, take_fingerprint
from core.management.console import ServiceCommand, counted
from core.operations.wording import proof_code
from recordsync.errors import printable
from recordsync.system.progress import Progress

EXAMPLES = """\
examples:
  manage.py fingerprint
      of everything: equal on two installations if both hold the same companies, records and closed months
  manage.py fingerprint --list
      and of each company and of all closings of months, to find what differs
  manage.py fingerprint --company "ABC Corp"
      of one company and of each of its months, to find the month that differs
  manage.py fingerprint --month 2026-11
      of one month, company by company
  manage.py fingerprint --company "ABC Corp" --month 2026-11
      of one company's month
  manage.py fingerprint --json > here.json
      whole digests of everything, of each company and of each of its months, for a script

People compare the ten characters. They are of what the records say, and not of when they were entered or changed: they
are the same on SQLite and on PostgreSQL. Nothing is written.

exit status: 0 done, 1 failed (no fingerprint was made), 2 wrong usage
"""


class Command(ServiceCommand):
    help = "Print a fingerprint of the register, to tell whether two installations hold the same."
    operation = OPERATION
    interrupted = "Interrupted. No fingerprint was made."
    takes_paths = True  # --company may be no UTF-8, as for a backup
    examples = EXAMPLES

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--company",
            action="append",
            metavar="NAME",
            help="only this company: as a whole, and each of its months",
        )
        parser.add_argument("--month", type=_month, metavar="YYYY-MM", help="only this month, company by company")
        parser.add_argument(
            "--list",
            action="store_true",
            help="add a line for each company and one for all closings of months (--company and --month do so anyway)",
        )

    def unwritten(self, options: dict[str, Any]) -> str:
        return "The fingerprint could not be written out to its end."

    def run(self, progress: Progress, **options: Any) -> dict[str, Any]:
        companies, month = options["company"] or [None], options["month"]
        if len(companies) > 1:  # as it may for a backup
            raise CommandError("--company may be given once: a fingerprint is of one company, or of all.", returncode=2)
        (company,) = companies
        is_part = company is not None or month is not None
        with_parts = is_part or options["list"] or options["json"]
        result = take_fingerprint(company, month, with_parts=with_parts, progress=progress)
        if not options["json"]:
            self.say(_heading(result, company, month))
            for part in result.parts:
                if is_part or part.month is None:  # of everything, each company is enough
                    records = counted(part.records, "record", "records")
                    self.say(f"  {proof_code(part.digest)}  {_name(part.company, part.month)}: {records}")
            if options["list"] and result.closings is not None:
                digest, count = result.closings
                self.say(f"  {proof_code(digest)}  {counted(count, 'closing of a month', 'closings of months')}")
        return result.summary()


def _heading(result: Fingerprint, company: str | None, month: str | None) -> str:
    """The line that says what the fingerprint is of, and when it was taken."""
    subject = f"of {_name(company, month)}" if result.digest is None else proof_code(result.digest)
    amount = counted(result.records, "attendance record", "attendance records")
    if company is None:
        amount = f"{counted(result.companies, 'company', 'companies')}, {amount}"
    return f"Fingerprint {subject}: {amount}, as of {moments.moment(result.taken_at, seconds=True)}."


def _name(company: str | None, month: str | None) -> str:
    """A company, a month, or a company's month."""
    return ", ".join(printable(text) for text in (company, month) if text is not None)


def _month(text: str) -> str:
    """The month that an argument names, as YYYY-MM. Raises ArgumentTypeError if it names none."""
    try:
        if dt.date.fromisoformat(f"{text}-01").isoformat() == f"{text}-01":
            return text
    except ValueError:
        pass
    raise ArgumentTypeError(f"{text!r} is not a month like 2026-11")
