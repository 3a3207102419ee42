"""``manage.py seed_demo`` fills an empty register with invented records that look real."""

from __future__ import annotations

import datetime as dt
from argparse import ArgumentTypeError
from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandError, CommandParser

from core.demo.generator import DemoPlan
from core.demo.service import DEMO_PASSWORD, DemoAccount, DemoResult, DemoService
from core.demo.shapes import MANY, YEAR
from core.management.console import ServiceCommand, day_argument
from core.models import Kind, Role
from recordsync.system.progress import Progress

EXAMPLES = f"""\
examples:
  manage.py seed_demo
      four months of a contractors' register: 12 companies of 15 to 60 people, 48,000 attendance records
  manage.py seed_demo --companies 3 --records 5000 --if-empty
      a smaller register, unless there are companies already
  manage.py seed_demo --companies 104 --records 1000000
      a year of very many companies of very different sizes
  manage.py seed_demo --seed 7 --until 2026-10-31
      always the same register, whenever and wherever it is made

The register must be empty, or a demo register that nobody has changed; that is replaced. All people and
companies are invented, and so are the few mistakes of people who keep a register by hand. Up to {MANY} companies
have a staff of 15 to 60 people each, and the register covers as many days up to --until as the records are
enough for, 14 to {YEAR}; if there are more records, the companies are larger. With more companies, most of them are
small, and it covers {YEAR} days. Each day is entered in the evening of the day itself (UTC), never in the future.

If they are missing, the command makes the accounts root, admin (of the first company) and user1 (who sees its
last 90 days). It refuses to give them the well-known default password if DEBUG is off and ALLOWED_HOSTS lets
other machines in.

exit status: 0 done (or --if-empty and not empty), 1 failed (nothing was changed), 2 wrong usage
"""

_ROLES = {Role.ROOT: "every company", Role.ADMIN: "administrator of {}", Role.USER1: "supervisor of {}"}


class Command(ServiceCommand):
    help = "Fill an empty register with invented companies, people and attendance, and make demo accounts."
    operation = Kind.SEED_DEMO.value
    examples = EXAMPLES

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--companies", type=_count, default=12, metavar="N", help="how many (default: 12)")
        parser.add_argument("--records", type=_count, default=48_000, metavar="N", help="how many (default: 48000)")
        parser.add_argument(
            "--seed",
            type=int,
            default=1,
            help="another number makes another register (default: 1); the same --seed, --companies, --records and "
            "--until make the same register",
        )
        parser.add_argument(
            "--until",
            type=day_argument,
            metavar="DATE",
            help="the last day (default: yesterday in UTC, the last day that is over)",
        )
        parser.add_argument("--if-empty", action="store_true", help="do nothing if the register is not empty")
        parser.add_argument(
            "--password", type=_password, help=f"the password of the accounts that it makes (default: {DEMO_PASSWORD})"
        )

    def run(self, progress: Progress, **options: Any) -> dict[str, Any]:
        until = dt.date.fromisoformat(options["until"]) if options["until"] else _yesterday()
        try:
            plan = DemoPlan(options["companies"], options["records"], options["seed"], until)
        except ValueError as error:
            raise CommandError(str(error), returncode=2) from error
        result = DemoService().seed(
            plan, if_empty=options["if_empty"], password=options["password"], progress_callback=progress
        )
        if not options["json"]:
            self._tell(result)
        return result.summary()

    def unwritten(self, options: dict[str, Any]) -> str:
        return "The command is done, but its summary could not be written."

    def _tell(self, result: DemoResult) -> None:
        plan = result.plan
        if result.seeded:
            self.say(
                f"Made {plan.companies:,} companies and {plan.records:,} attendance records up to {plan.until} "
                f"(seed {plan.seed}) in {result.seconds:.1f} s."
            )
        self._tell_accounts(result.accounts)

    def _tell_accounts(self, accounts: Sequence[DemoAccount]) -> None:
        if accounts:
            self.say("Demo accounts:")
        for account in accounts:
            password = f"password {account.password}" if account.password else "its password was changed"
            self.say(f"  {account.username:<6} {password:<24} {_reach(account)}")


def _reach(account: DemoAccount) -> str:
    """What the account may see."""
    text = _ROLES[Role(account.role)].format(account.company)
    first, last = account.assigned
    return f"{text}, {first} to {last}" if first and last else text


def _yesterday() -> dt.date:
    return dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def _password(text: str) -> str:
    if not text:
        raise ArgumentTypeError("a password cannot be empty")
    return text
