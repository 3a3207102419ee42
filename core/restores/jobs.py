"""Restores in the background: check and preview a file, then apply what was previewed and decided."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from enum import StrEnum
from functools import reduce
from operator import or_
from typing import IO, Any, TypedDict, cast

from django.core.files.storage import storages
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from core.models import JOBS, AttendanceRecord, Backup, Company, Kind, Operation, Role, User
from core.operations import holding, recovery
from core.operations import queue as jobs
from core.operations import run as operations
from core.operations.closed import ClosedChoice, MonthsAreClosed, TouchedMonths
from core.operations.errors import (
    NOTHING_CHANGED,
    DataMoved,
    NotKnown,
    OperationFailed,
    RegisterBusy,
    as_failure,
    shown_error,
)
from core.operations.run import Actor, Run
from core.operations.traits import WRITERS
from core.preview import changes as preview_changes
from core.preview import folders as preview_folders
from core.preview import stored as stored_preview
from core.preview import writing
from core.preview.lines import Line
from core.preview.stored import StoredPreview
from core.register.closed import standing_seals
from core.register.database import DEFAULT, Register
from core.register.declared import ATTENDANCE_RECORDS
from core.restores import merging
from core.restores.closed import described
from core.restores.incoming import BaseChoice, Mode, snapshot_name
from core.restores.large_deletions import Large
from core.restores.merging import ConfirmationNeeded, DecidedPlan
from core.restores.restore_service import Restorable, RestoreService
from core.restores.undo import How, Undo, may_undo, undo_of
from recordsync.errors import LockTimeout
from recordsync.merge import Counts, Strategy
from recordsync.models import HeadMove, Snapshot
from recordsync.system import locks

_UPLOAD = "upload"
_NO_UPLOAD = ("backup", "snapshot", "undo")
"""The parameters of an operation that name what is merged, where that is no upload."""
_SUBMITTING = "submitting-a-restore"
"""The name of the lock under which a restore looks whether another one waits or runs, and is then submitted."""
_SECONDS_TO_SUBMIT = 10


class Comes(StrEnum):
    """What a check, a restore or an undo merges into the register."""

    FILE = "file"
    SNAPSHOT = "snapshot"
    UNDO = "undo"


def what_comes(operation: Operation) -> Comes:
    """What an operation merges into the register."""
    for one in (Comes.UNDO, Comes.SNAPSHOT):
        if operation.parameters.get(one.value):
            return one
    return Comes.FILE


def how_undone(operation: Operation) -> How | None:
    """How an operation undoes another one; None: it does not."""
    undone = operation.parameters.get("undo")
    return How(undone["how"]) if undone else None


def sweep() -> None:
    """Remove uploads and previews that nobody has touched for a day."""
    busy = Operation.objects.using(JOBS).filter(state__in=jobs.OPEN).values_list("id", "parameters")
    previews = {str(parameters.get("preview", "")) for _pk, parameters in busy}
    preview_folders.remove_abandoned({str(pk) for pk, _parameters in busy} | previews)


def sweep_changes() -> None:
    """Remove the lists of changes of restores that ended longer ago than :data:`preview_changes.CHANGES_KEPT`, and of
    restores that did not succeed."""
    old = preview_changes.changes_before(timezone.now() - preview_folders.ABANDONED)
    kept = timezone.now() - preview_changes.CHANGES_KEPT
    wanted = Q(state=Operation.State.SUCCEEDED, finished_at__gte=kept) | Q(state__in=jobs.OPEN)
    for pk in old - set(Operation.objects.using(JOBS).filter(wanted, pk__in=old).values_list("pk", flat=True)):
        preview_changes.changes_file(pk).unlink(missing_ok=True)


def receive(chunks: Iterable[bytes], limit: int) -> uuid.UUID:
    """The id that the check of an uploaded file will have. Writes the file into a folder of its own.

    Raises :class:`OperationFailed` where the file is empty or larger than ``limit`` bytes, or the disk is full.
    """
    pk = uuid.uuid4()
    size = 0
    try:
        folder = preview_folders.new_folder(pk)
        with (folder / _UPLOAD).open("xb") as out:
            for chunk in chunks:
                size += len(chunk)
                if size > limit:
                    raise too_large(limit)
                out.write(chunk)
        if not size:
            raise OperationFailed(_("The file is empty. Nothing was changed. Choose another one."))
    except Exception as error:
        preview_folders.remove(pk)
        raise as_failure(error, NOTHING_CHANGED) from error
    return pk


def too_large(limit: int) -> OperationFailed:
    """The failure that says that a file has more than ``limit`` bytes."""
    return OperationFailed(
        _(
            "The file is larger than this server takes (%(limit)s bytes). Nothing was changed. Whoever runs it can "
            "raise MUSTER_MAX_UPLOAD_BYTES, or restore the file with the command restore_data."
        )
        % {"limit": f"{limit:,}"}
    )


def submit_check(
    actor: Actor,
    strategy: Strategy,
    *,
    uploaded: uuid.UUID | None = None,
    name: str = "",
    backup: Backup | None = None,
    snapshot: Snapshot | None = None,
    undo: Undo | None = None,
    base: BaseChoice = BaseChoice.ANCESTRY,
    mode: Mode = Mode.MERGE,
) -> Operation:
    """The waiting operation that checks and previews what is to be merged. Writes to the jobs database.

    ``uploaded`` and ``name``: a file that was received; ``backup``: one of the catalogue; ``snapshot``: one of the
    history; ``undo``: what an operation did. ``base``, ``mode``: see :mod:`core.restores.incoming`.
    """
    if uploaded is None:
        uploaded = uuid.uuid4()
        preview_folders.new_folder(uploaded)
    if backup is not None:
        name = backup.file
    elif snapshot is not None:
        name = snapshot_name(snapshot)
    elif undo is not None:
        name = undo.name
    return jobs.submit(
        Kind.CHECK,
        actor,
        pk=uploaded,
        filename=name[:255],
        parameters={
            "strategy": strategy.value,
            "backup": backup and backup.file,
            "snapshot": snapshot and snapshot.pk,
            "undo": undo and undo.parameters,
            "base": base.value,
            "mode": mode.value,
        },
    )


def again_with(
    actor: Actor, checked: uuid.UUID, *, base: BaseChoice = BaseChoice.ANCESTRY, mode: Mode = Mode.MERGE
) -> Operation:
    """The waiting operation that checks again what a check was of, with another base or in another mode. Writes to the
    jobs database. Raises as :func:`check_again`. ``checked``: the id of the check."""
    return _submit_again(actor, checked, {"base": base.value, "mode": mode.value, "earlier": None})


def check_again(actor: Actor, preview: StoredPreview) -> Operation:
    """The waiting operation that checks a preview's file again, after the register has changed. Writes to the jobs
    database. Decisions about lines that are still the same are carried over.

    Raises :class:`OperationFailed` where the new folder cannot be made.
    """
    return _submit_again(actor, preview.pk, {"strategy": preview.strategy.value, "earlier": str(preview.pk)})


def _submit_again(actor: Actor, checked: uuid.UUID, changed: Mapping[str, str | None]) -> Operation:
    earlier = Operation.objects.using(JOBS).get(pk=checked)
    pk = uuid.uuid4()
    try:
        folder = preview_folders.new_folder(pk)
        if not any(earlier.parameters.get(name) for name in _NO_UPLOAD):
            (folder / _UPLOAD).hardlink_to(preview_folders.folder_of(checked) / _UPLOAD)
    except OSError as error:
        preview_folders.remove(pk)
        raise as_failure(error, NOTHING_CHANGED) from error
    return jobs.submit(
        Kind.CHECK,
        actor,
        register=Register(earlier.database),
        pk=pk,
        filename=earlier.filename,
        parameters=earlier.parameters | changed,
    )


def check(operation: Operation) -> None:
    """Check the whole file of a waiting operation and store its preview. What is wrong with the file goes into the
    operation's result. Raises :class:`OperationFailed`."""
    pk = operation.pk
    try:
        with operations.running(
            Kind.CHECK,
            operations.actor_of(operation),
            Register(operation.database),
            operation=operation,
        ) as run:
            folder = preview_folders.folder_of(pk)
            service = RestoreService(operation=operation)
            with _source(operation.pk, operation) as source, (folder / "items").open("w+b") as items:
                try:
                    preview = service.preview_changes(
                        source,
                        operation.parameters["strategy"],
                        **_chosen(operation),
                        progress_callback=run,
                        items=items,
                    )
                except OperationFailed as failure:
                    errors = [shown_error(error) for error in failure.errors]
                    operation.result = {
                        "errors": errors if failure.helps is None else [],
                        "error_count": failure.error_count,
                        "helps": failure.helps,
                    }
                    raise
                operation.result = {"warnings": list(preview.warnings)}
                writing.write(pk, preview, run)
            if earlier := operation.parameters.get("earlier"):
                _carry_over(uuid.UUID(earlier), pk)
    except BaseException as error:
        if getattr(error, "helps", None) is None:  # otherwise the file may be checked again
            preview_folders.remove(pk)
        raise


def may_see(user: User, operation: Operation) -> bool:
    """Whether a person may see a check, a restore or an undo, and decide its preview: root any; an administrator the
    undo of an own import or bulk edit (:func:`core.restores.undo.may_undo`) that they asked for. Reads the history."""
    if not user.is_active or user.role == Role.ROOT:
        return user.is_active
    undone = operation.parameters.get("undo")
    if operation.kind not in (Kind.CHECK, Kind.UNDO) or operation.actor_id != user.pk or not undone:
        return False
    register = Register(operation.database)
    move = register.rows(HeadMove).filter(pk=undone["move"]).first()
    return move is not None and may_undo(user, move, register)


def decided(pk: uuid.UUID) -> int:
    """How many differences are decided in a preview; 0 where the preview is not there any more."""
    try:
        with stored_preview.opened(pk) as preview:
            return preview.decided
    except stored_preview.PreviewGone:
        return 0


def _carry_over(earlier: uuid.UUID, pk: uuid.UUID) -> None:
    """Carry the decisions of an earlier preview over to a new one, if the earlier one is still there."""
    with (
        suppress(stored_preview.PreviewGone),
        stored_preview.opened(earlier) as before,
        stored_preview.opened(pk) as now,
    ):
        now.carry_over(before)


def to_confirm(preview: StoredPreview, register: Register = DEFAULT) -> list[Large] | None:
    """What somebody has to confirm before a preview is applied, as it is decided now
    (:func:`core.restores.merging.to_confirm`). Counts rows."""
    return merging.to_confirm(preview.base, preview.plan.size, preview.deleted_by_company(), register)


def closed_of(preview: StoredPreview, register: Register = DEFAULT) -> TouchedMonths:
    """The closed months that a preview changes, or would, as it is decided now. Reads the seals, if there are any."""
    months = preview.sealed_months()
    return TouchedMonths(described(months, standing_seals(register)) if months else (), preview.closed)


def choose_closed(preview: StoredPreview, choice: ClosedChoice) -> None:
    """Decide about all closed months of a preview. Raises what :meth:`StoredPreview.choose_closed` raises, and
    OperationFailed where an exact restore is to keep them."""
    merging.require_possible(choice, is_exact=preview.base.is_exact)
    preview.choose_closed(choice)


def submit_apply(
    actor: Actor, preview: StoredPreview, register: Register = DEFAULT, *, is_confirmed: bool = False
) -> Operation:
    """The waiting operation that applies a preview as it is decided now. Writes to the jobs database.

    ``is_confirmed``: whether the person has confirmed it, where there is anything :func:`to_confirm`.

    Raises :class:`core.operations.closed.MonthsAreClosed` where nobody has decided about closed months,
    :class:`OperationFailed` where conflicts are undecided or the preview is being applied already,
    :class:`core.restores.merging.ConfirmationNeeded` where that is not confirmed,
    :class:`core.preview.decisions.DecidedMeanwhile` where somebody has decided something since it was opened, and
    :class:`RegisterBusy` where another operation that writes is waiting or running. Of two requests at the same
    moment, only one succeeds.
    """
    if (closed := closed_of(preview, register)).undecided:
        raise MonthsAreClosed.of(closed.months, _("Say first whether they stay closed."))
    if preview.strategy is Strategy.MANUAL and preview.undecided:
        raise OperationFailed(
            _(
                "%(count)s differences are not decided yet. Nothing was changed. Decide them, or choose who wins them "
                "all."
            )
            % {"count": f"{preview.undecided:,}"}
        )
    if not is_confirmed and to_confirm(preview, register) is not None:
        raise ConfirmationNeeded(
            _("Nobody has confirmed this."),
            undone=NOTHING_CHANGED,
            then=_("Look at what it deletes and changes, and confirm it."),
        )
    recovery.settle_accounts()
    checked = Operation.objects.using(JOBS).get(pk=preview.pk)
    try:
        with locks.held(_SUBMITTING, JOBS, wait=_SECONDS_TO_SUBMIT):
            _require_alone(register)
            operation = uuid.uuid4()
            preview.apply_by(operation)
            return jobs.submit(
                Kind.UNDO if checked.parameters.get("undo") else Kind.RESTORE,
                actor,
                register=register,
                pk=operation,
                filename=checked.filename,
                parameters={
                    **{name: checked.parameters.get(name) for name in ("base", "mode", *_NO_UPLOAD)},
                    "preview": str(preview.pk),
                    "version": preview.version,
                },
            )
    except LockTimeout as error:
        raise RegisterBusy(_("Somebody else is asking for a restore. Nothing was changed. Try again.")) from error


def _require_alone(register: Register) -> None:
    """Raises RegisterBusy, which says who runs what, where another operation that writes is waiting or running."""
    others = Operation.objects.using(JOBS).filter(state__in=jobs.OPEN, kind__in=WRITERS, database=register.alias)
    other = others.order_by("started_at").first()
    if other is not None:
        raise holding.busy(other, NOTHING_CHANGED)


def apply(operation: Operation) -> None:
    """Apply the preview of a waiting operation in one transaction, then remove it. The list of its changes is kept.

    Raises :class:`OperationFailed`.
    """
    pk = uuid.UUID(operation.parameters["preview"])
    changes = preview_changes.changes_file(operation.pk)
    try:
        with stored_preview.opened(pk) as preview, _source(pk, operation) as source, ExitStack() as stack:
            if preview.version != operation.parameters["version"]:
                raise OperationFailed(
                    _("Something was decided after this restore was asked for. Nothing was changed. Look at it again.")
                )

            def prepare(run: Run) -> DecidedPlan:
                counts = preview_changes.write_changes(preview, changes, run)
                operation.result = _expected(preview, counts) | closed_of(preview, run.register).summary()
                operation.save(using=JOBS, update_fields=["result"])
                listed = stack.enter_context(preview_changes.read_changes(operation.pk))
                return DecidedPlan(counts, listed, closed_of(preview, run.register))

            RestoreService(operation=operation).restore_backup(
                source, preview.strategy.value, **_chosen(operation), preview=preview, prepare=prepare
            )
    except NotKnown:  # it may have been committed, and then its list of changes is needed
        raise
    except Exception as error:
        changes.unlink(missing_ok=True)
        with stored_preview.opened(pk) as preview:  # so that it can be applied again
            preview.apply_by(None)
        if isinstance(error, DataMoved):
            operation.result = {"moved": True}
            operation.save(using=JOBS, update_fields=["result"])
        raise
    preview_folders.remove(pk)


def look_up(lines: Sequence[Line], register: Register = DEFAULT) -> None:
    """Set ``changed_at`` of each line whose record is in the register to when the record changed last. Reads the
    register."""
    records = {line.key: line for line in lines if line.model is ATTENDANCE_RECORDS and line.ours_is_there}
    names = {company for company, _day, _ep_no in records}
    ids = dict(register.rows(Company).filter(name__in=names).values_list("name", "pk"))
    by_key = {(ids[key[0]], *key[1:]): line for key, line in records.items() if key[0] in ids}
    if by_key:
        keys = [Q(company_id=company, date=day, ep_no=ep_no) for company, day, ep_no in by_key]
        rows = register.rows(AttendanceRecord).filter(reduce(or_, keys)).order_by()
        for company, day, ep_no, changed_at in rows.values_list("company_id", "date", "ep_no", "updated_at"):
            by_key[company, day.isoformat(), ep_no].changed_at = changed_at


def free_if_ended(preview: StoredPreview) -> None:
    """Let a preview be decided and applied again if its restore was cancelled or killed."""
    if not preview.applying:
        return
    recovery.settle_accounts()
    if not Operation.objects.using(JOBS).filter(pk=preview.applying, state__in=jobs.OPEN).exists():
        preview.apply_by(None)


def _expected(preview: StoredPreview, counts: Mapping[str, Counts]) -> dict[str, Any]:
    """The result of the restore if it succeeds: it applies the plan that was counted."""
    return {
        "models": {name: asdict(model_counts) for name, model_counts in counts.items()},
        "companies": preview.results_by_company(),
        "strategy": preview.strategy.value,
        "base": asdict(preview.base),
        "origin": preview.origin.name,
        "installation": preview.origin.installation,
        "taken_at": preview.origin.taken_at,
        "warnings": preview.warnings,
    }


class _Chosen(TypedDict):
    """What was chosen beside the strategy."""

    base: str
    mode: str


def _chosen(operation: Operation) -> _Chosen:
    known = operation.parameters
    return {"base": known.get("base") or BaseChoice.ANCESTRY, "mode": known.get("mode") or Mode.MERGE}


@contextmanager
def _source(pk: uuid.UUID, operation: Operation) -> Iterator[Restorable]:
    """What is merged: an undo, a snapshot, the operation's file of the catalogue, or the upload with this id."""
    register = Register(operation.database)
    stored = operation.parameters.get("backup")
    if undo := operation.parameters.get("undo"):
        yield undo_of(register.rows(HeadMove).get(pk=undo["move"]), register, How(undo["how"]))
    elif snapshot := operation.parameters.get("snapshot"):
        yield register.rows(Snapshot).get(pk=snapshot)
    elif stored:
        with storages["backups"].open(stored, "rb") as file:
            yield cast("IO[bytes]", Named(file, operation.filename))
    else:
        with (preview_folders.folder_of(pk) / _UPLOAD).open("rb") as file:
            yield cast("IO[bytes]", Named(file, operation.filename))


class Named:
    """An open file with the name that people know it by."""

    def __init__(self, file: Any, name: str) -> None:
        self._file = file
        self.name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._file, attribute)
