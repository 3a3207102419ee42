"""What is merged into the register, in the words of its pages: a backup, a snapshot, or the undoing of something."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from core.operations.closed import ClosedChoice
from core.operations.errors import LazyText, sentences
from core.operations.results import told_counts
from core.operations.wording import SECTIONS
from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SEALS
from core.restores.jobs import Comes
from recordsync.history.relation import Kinship
from recordsync.merge import Counts, Strategy


@dataclass(frozen=True)
class Words:
    """What pages call that which comes, as against what is here."""

    heading: LazyText
    """Of its column."""
    base: LazyText
    """The heading of the column of what both had."""
    base_note: LazyText
    take: LazyText
    take_all: LazyText
    take_there: LazyText
    """The same for what was decided before, on a button."""
    taken: LazyText
    wins: LazyText


WORDS: Final[Mapping[Comes, Words]] = {
    Comes.FILE: Words(
        heading=gettext_lazy("Backup"),
        base=gettext_lazy("Both had"),
        base_note=gettext_lazy("before either changed it"),
        take=gettext_lazy("Take the backup’s"),
        take_all=gettext_lazy("Take all of the backup’s"),
        take_there=gettext_lazy("Take the backup’s there, too"),
        taken=gettext_lazy("the backup’s is taken"),
        wins=gettext_lazy("The backup wins every difference"),
    ),
    Comes.SNAPSHOT: Words(
        heading=gettext_lazy("Snapshot"),
        base=gettext_lazy("Both had"),
        base_note=gettext_lazy("before either changed it"),
        take=gettext_lazy("Take the snapshot’s"),
        take_all=gettext_lazy("Take all of the snapshot’s"),
        take_there=gettext_lazy("Take the snapshot’s there, too"),
        taken=gettext_lazy("the snapshot’s is taken"),
        wins=gettext_lazy("The snapshot wins every difference"),
    ),
    Comes.UNDO: Words(
        heading=gettext_lazy("Before it"),
        base=gettext_lazy("After it"),
        base_note=gettext_lazy("which is being undone"),
        take=gettext_lazy("Take it as it was before"),
        take_all=gettext_lazy("Take all of it as it was before"),
        take_there=gettext_lazy("Take it as it was before there, too"),
        taken=gettext_lazy("it becomes as it was before"),
        wins=gettext_lazy("All of it becomes as it was before"),
    ),
}
KEPT: Final = gettext_lazy("what is here is kept")


def strategies(comes: Comes) -> list[tuple[str, LazyText]]:
    """Who wins where both sides differ, with the words for it."""
    return [
        (Strategy.MANUAL.value, gettext_lazy("Decide each difference by hand")),
        (Strategy.BACKUP_WINS.value, WORDS[comes].wins),
        (Strategy.DATABASE_WINS.value, gettext_lazy("What is here wins every difference")),
    ]


class CountedRow(NamedTuple):
    """What becomes of one model's records, counted apart. ``kept``: those in conflict, or of a month that is kept
    closed, that stay as they are here. ``closed``: those of closed months that change, or would."""

    name: LazyText
    added: int
    updated: int
    deleted: int
    only_here: int
    same: int
    kept: int
    undecided: int
    conflicts: int
    closed: int

    @classmethod
    def of(cls, name: LazyText, counts: Counts) -> CountedRow:
        return cls(
            name,
            counts.added + counts.created,
            counts.updated,
            counts.deleted + counts.absent_deleted,
            counts.only_here,
            counts.skipped,
            counts.kept + counts.absent_kept - counts.only_here,
            counts.undecided + counts.absent_undecided,
            counts.conflicts,
            counts.sealed,
        )

    @property
    def came(self) -> int:
        """How many take what comes."""
        return self.added + self.updated + self.deleted


def rows(models: Mapping[str, Counts]) -> list[CountedRow]:
    """The rows of the table that counts what a merge does: attendance records first."""
    in_order = sorted(told_counts(models), key=lambda one: one[0] != ATTENDANCE_RECORDS.name)
    return [CountedRow.of(SECTIONS.get(name, name), counts) for name, counts in in_order]


def counts_in(models: Mapping[str, Any]) -> dict[str, Counts]:
    """The counts in the result of an operation, by model. A count that this version does not know is left out."""
    known = {field.name for field in fields(Counts)}
    return {
        name: Counts(**{one: number for one, number in counts.items() if one in known})
        for name, counts in models.items()
    }


class Clause(NamedTuple):
    """A part of a sentence. ``show``: the address of what somebody has to decide, on the page of a preview; blank: it
    says something else."""

    text: str
    show: str = ""


@dataclass(frozen=True)
class Told:
    """A merge as one sentence tells it. ``origin``: the name of where it comes from; blank: it is not known.

    ``is_whole``: whether the person may know how much there is in the register. ``closed``: what a person has decided
    about closed months.
    """

    comes: Comes
    origin: str
    is_own: bool
    is_exact: bool
    models: Mapping[str, Counts]
    strategy: Strategy
    kinship: Kinship | None
    is_whole: bool
    closed: ClosedChoice | None = None

    @property
    def records(self) -> CountedRow:
        return CountedRow.of("", self.models.get(ATTENDANCE_RECORDS.name, Counts()))

    @property
    def companies(self) -> CountedRow:
        return CountedRow.of("", self.models.get(COMPANIES.name, Counts()))

    @property
    def seals(self) -> CountedRow:
        return CountedRow.of("", self.models.get(SEALS.name, Counts()))

    @property
    def _rows(self) -> Sequence[CountedRow]:
        return self.records, self.companies, self.seals

    @property
    def of_closed(self) -> int:
        """How many records, and seals, of closed months change or would."""
        return sum(counts.sealed for counts in self.models.values())

    @property
    def is_merged(self) -> bool:
        """Whether it was merged here before, so that nothing of it is taken, or it came from here, and nothing differs
        from it."""
        return self.kinship is Kinship.MERGED and not self.changes

    @property
    def is_fast_forward(self) -> bool:
        """Whether the register becomes as what comes, because that has all that is here."""
        return (
            self.kinship is Kinship.AHEAD
            and not self.is_exact
            and any(row.came for row in self._rows)
            and not self.of_closed
            and not any(row.only_here or row.conflicts for row in self._rows)
        )

    @property
    def changes(self) -> int:
        """How many records, companies and seals it changes, or would if all were decided so."""
        return sum(row.came + row.conflicts for row in self._rows) + self.of_closed

    def clauses(self, *, is_done: bool = False) -> Iterator[Clause]:
        """The parts of the sentence that says with numbers what it does, or what it did."""
        records = self.records
        yield Clause(self._came(records, is_done=is_done))
        if self.is_whole:
            if records.only_here:
                text = ngettext(
                    "%(n)s changed only here and stays", "%(n)s changed only here and stay", records.only_here
                )
                yield Clause(text % {"n": f"{records.only_here:,}"})
            text = ngettext("%(n)s is the same", "%(n)s are the same", records.same)
            yield Clause(text % {"n": f"{records.same:,}"})
        if records.closed and self.closed is None:
            text = ngettext("%(n)s is of a closed month", "%(n)s are of closed months", records.closed)
            yield Clause(text % {"n": f"{records.closed:,}"}, "#closed")
        elif records.closed and self.closed is ClosedChoice.KEEP:
            text = ngettext(
                "%(n)s of a closed month stays as it is", "%(n)s of closed months stay as they are", records.closed
            )
            yield Clause(text % {"n": f"{records.closed:,}"})
        undecided = records.undecided + self.companies.undecided
        if self.closed is None:
            undecided -= records.closed
        if undecided:
            text = ngettext("%(n)s needs you", "%(n)s need you", undecided)
            yield Clause(text % {"n": f"{undecided:,}"}, "?undecided=on#lines")
        decided = records.conflicts + self.companies.conflicts - undecided
        if decided and is_done:
            text = ngettext("%(n)s was in conflict", "%(n)s were in conflict", decided)
            yield Clause(text % {"n": f"{decided:,}"})
        elif decided:
            yield Clause(self._decided(decided))

    def _came(self, row: CountedRow, *, is_done: bool) -> str:
        if not row.came and is_done:
            return _("Nothing went back") if self.comes is Comes.UNDO else _("Nothing came")
        if not row.came:
            return _("Nothing goes back") if self.comes is Comes.UNDO else _("Nothing comes")
        if self.comes is Comes.UNDO and is_done:
            text = ngettext(
                "%(n)s went back to what it was (%(what)s)", "%(n)s went back to what they were (%(what)s)", row.came
            )
        elif self.comes is Comes.SNAPSHOT and is_done:
            text = ngettext(
                "%(n)s came from the snapshot (%(what)s)", "%(n)s came from the snapshot (%(what)s)", row.came
            )
        elif is_done and (self.is_own or not self.origin):
            text = ngettext("%(n)s came from the backup (%(what)s)", "%(n)s came from the backup (%(what)s)", row.came)
        elif self.comes is Comes.UNDO:
            text = ngettext(
                "%(n)s goes back to what it was (%(what)s)", "%(n)s go back to what they were (%(what)s)", row.came
            )
        elif self.comes is Comes.SNAPSHOT:
            text = ngettext(
                "%(n)s comes from the snapshot (%(what)s)", "%(n)s come from the snapshot (%(what)s)", row.came
            )
        elif self.is_own or not self.origin:
            text = ngettext("%(n)s comes from the backup (%(what)s)", "%(n)s come from the backup (%(what)s)", row.came)
        else:
            text = ngettext("%(n)s came from %(origin)s (%(what)s)", "%(n)s came from %(origin)s (%(what)s)", row.came)
        return text % {"n": f"{row.came:,}", "origin": self.origin, "what": _what(row)}

    def _decided(self, number: int) -> str:
        if self.strategy is Strategy.MANUAL:
            text = ngettext("%(n)s is decided", "%(n)s are decided", number)
        elif self.strategy is Strategy.DATABASE_WINS:
            text = ngettext(
                "%(n)s differs, where what is here is kept", "%(n)s differ, where what is here is kept", number
            )
        else:
            text = ngettext("%(n)s differs, where %(taken)s", "%(n)s differ, where %(taken)s", number)
        return text % {"n": f"{number:,}", "taken": WORDS[self.comes].taken}

    @property
    def of_others(self) -> str:
        """Sentences about the companies and the closed months; blank if none of them changes."""
        told = ((COMPANIES, _what(self.companies)), (SEALS, _what(self.seals)))
        return sentences(*(f"{SECTIONS[model.name]}: {what}." for model, what in told if what))

    @property
    def deletions(self) -> str:
        """A sentence that says how many records are deleted here, and why; blank if none is."""
        number = self.records.deleted
        if not number:
            return ""
        if self.comes is Comes.UNDO:
            text = ngettext(
                "%(n)s record will be deleted here: it was not there before.",
                "%(n)s records will be deleted here: they were not there before.",
                number,
            )
        elif self.is_exact:
            text = ngettext(
                "%(n)s record will be deleted here: %(what)s does not have it.",
                "%(n)s records will be deleted here: %(what)s does not have them.",
                number,
            )
        elif self.origin and not self.is_own:
            text = ngettext(
                "%(n)s record will be deleted here: deleted at %(origin)s.",
                "%(n)s records will be deleted here: deleted at %(origin)s.",
                number,
            )
        else:
            text = ngettext(
                "%(n)s record will be deleted here: deleted in the backup.",
                "%(n)s records will be deleted here: deleted in the backup.",
                number,
            )
        what = _("the snapshot") if self.comes is Comes.SNAPSHOT else _("the backup")
        return text % {"n": f"{number:,}", "origin": self.origin, "what": what}

    @property
    def since(self) -> str:
        """A sentence that says how much has changed here since it was merged."""
        if number := self.records.only_here:
            text = ngettext(
                "%(n)s record changed here since. Nothing to do.",
                "%(n)s records changed here since. Nothing to do.",
                number,
            )
        elif number := self.companies.only_here:
            text = ngettext(
                "%(n)s company changed here since. Nothing to do.",
                "%(n)s companies changed here since. Nothing to do.",
                number,
            )
        else:
            return _("nothing changed here since. Nothing to do.")
        return text % {"n": f"{number:,}"}


def _what(row: CountedRow) -> str:
    parts = (
        (row.added, _("%(n)s added")),
        (row.updated, _("%(n)s updated")),
        (row.deleted, _("%(n)s deleted")),
    )
    return ", ".join(text % {"n": f"{number:,}"} for number, text in parts if number)
