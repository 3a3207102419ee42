"""What everybody gets at every URL: the table that :mod:`tests.core.web.test_access` holds the project to.

A new URL needs an entry here under its name. Answers are given in the order of :data:`tests.builders.people.WHO`:
nobody, user1, admin, the admin of another company, root. ``LOGIN`` is a redirect to the sign-in page. A POST carries
``data`` (nothing unless given); a form that comes back with errors answers 200.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from core.models import Operation, UploadLog
from recordsync.models import Snapshot
from tests.builders.people import DAY, World
from tests.builders.uploads import an_upload
from tests.running.snapshots import snapshot, tree

LOGIN: Final = "login"
Answer = int | str
Answers = tuple[Answer, Answer, Answer, Answer, Answer]


def _nothing(world: World) -> dict[str, Any]:
    return {}


def _record(world: World) -> dict[str, Any]:
    return {"pk": world.record.pk}


def _person(world: World) -> dict[str, Any]:
    return {"company": world.own.pk, "number": world.record.ep_no}


def _days(world: World) -> dict[str, Any]:
    """A bulk edit of one day."""
    day = f"{world.own.pk} {world.record.date} {world.record.ep_no}"
    return {"days": [day], "doing": "status", "status": "A"}


def _company(world: World) -> dict[str, Any]:
    return {"pk": world.own.pk}


def _month(world: World) -> dict[str, Any]:
    return {"company": world.own.pk, "first": DAY.replace(day=1)}


def _blank_month(world: World) -> dict[str, Any]:
    """A month without records, which nobody can close."""
    return {"company": world.own.pk, "first": DAY.replace(year=DAY.year - 2, day=1)}


def _day(world: World) -> dict[str, Any]:
    return {**_month(world), "day": DAY.day, "number": world.record.ep_no}


def _supervisor(world: World) -> dict[str, Any]:
    return {"pk": world.people["user1"].pk}


@dataclass(frozen=True)
class Access:
    get: Answers
    post: Answers
    kwargs: Callable[[World], dict[str, Any]] = field(default=_nothing)
    """Of the URL. What it names belongs to the company ``own``."""
    data: Callable[[World], dict[str, Any]] = field(default=_nothing)
    """Of the POST."""


def everybody(answer: Answer) -> Answers:
    """Whoever is signed in."""
    return (LOGIN, answer, answer, answer, answer)


def theirs(answer: Answer) -> Answers:
    """Whoever sees the company concerned; to others it does not exist."""
    return (LOGIN, answer, answer, 404, answer)


def root_only(answer: Answer) -> Answers:
    return (LOGIN, 403, 403, 403, answer)


def editors(answer: Answer) -> Answers:
    """root and administrators, each in their own scope."""
    return (LOGIN, 403, answer, answer, answer)


def owners(answer: Answer) -> Answers:
    """root and the administrator of the company concerned; to another's it does not exist."""
    return (LOGIN, 403, answer, 404, answer)


def _upload(world: World) -> dict[str, Any]:
    """A sheet of the own company's that was imported, with nothing refused."""
    admin = world.people["admin"]
    upload = UploadLog.objects.filter(actor_id=admin.pk).first() or an_upload(
        actor_id=admin.pk, company_id=world.own.pk
    )
    return {"pk": upload.pk}


def _operation(world: World) -> dict[str, Any]:
    """One that is waiting."""
    return {"pk": Operation.objects.using("jobs").create(kind="check", state="running", actor_name="root").pk}


def _snapshot(world: World) -> dict[str, Any]:
    """The last one of a chain of two."""
    rows = Snapshot.objects.order_by("order")
    if not rows.exists():
        first = snapshot("default", tree("default", {("Own", "2026-11", "15"): ["1"]}))
        snapshot("default", tree("default", {("Own", "2026-11", "15"): ["2"]}), [first])
    return {"pk": rows[1].pk}


def _absent(world: World) -> dict[str, Any]:
    """A backup or preview that is not there."""
    return {"pk": uuid.UUID(int=1)}


NOT_ALLOWED: Final[Answers] = (405, 405, 405, 405, 405)

ROUTES: Final[dict[str, Access]] = {
    "backup_data": Access(get=root_only(200), post=root_only(200)),
    "download_backup": Access(get=root_only(404), post=NOT_ALLOWED, kwargs=_absent),
    "change_backup": Access(get=NOT_ALLOWED, post=root_only(404), kwargs=_absent),
    "backup_logs": Access(get=root_only(200), post=NOT_ALLOWED),
    "restore_data": Access(get=root_only(200), post=root_only(200)),
    "preview_restore": Access(get=root_only(302), post=root_only(302), kwargs=_absent),
    "apply_restore": Access(get=root_only(302), post=root_only(302), kwargs=_absent),
    "history": Access(get=root_only(200), post=NOT_ALLOWED),
    "snapshot": Access(get=root_only(200), post=NOT_ALLOWED, kwargs=_snapshot),
    "restore_snapshot": Access(get=NOT_ALLOWED, post=root_only(302), kwargs=_snapshot),
    "undo_operation": Access(get=NOT_ALLOWED, post=root_only(302), kwargs=_operation),
    "check_again": Access(get=NOT_ALLOWED, post=root_only(302), kwargs=_operation),
    "operation": Access(get=root_only(200), post=NOT_ALLOWED, kwargs=_operation),
    "cancel_operation": Access(get=NOT_ALLOWED, post=root_only(302), kwargs=_operation),
    "operation_changes": Access(get=root_only(404), post=NOT_ALLOWED, kwargs=_operation),
    "operation_errors": Access(get=root_only(200), post=NOT_ALLOWED, kwargs=_operation),
    "dashboard": Access(get=everybody(200), post=(405, 405, 405, 405, 405)),
    "roll": Access(get=everybody(302), post=NOT_ALLOWED),
    "roll_month": Access(get=theirs(200), post=NOT_ALLOWED, kwargs=_month),
    "roll_day": Access(get=theirs(200), post=NOT_ALLOWED, kwargs=_day),
    "close_month": Access(get=owners(200), post=owners(409), kwargs=_blank_month),
    "reopen_month": Access(get=owners(200), post=owners(409), kwargs=_month),  # it is not closed
    "roll_print": Access(get=theirs(200), post=NOT_ALLOWED, kwargs=_month),
    "roll_workbook": Access(get=theirs(200), post=NOT_ALLOWED, kwargs=_month),
    "login": Access(get=(200, 302, 302, 302, 302), post=(200, 302, 302, 302, 302)),
    "logout": Access(get=(405, 405, 405, 405, 405), post=(302, 302, 302, 302, 302)),
    "change_password": Access(get=everybody(200), post=everybody(200)),
    "attendance_export": Access(get=everybody(200), post=(405, 405, 405, 405, 405)),
    "export_workbook": Access(get=NOT_ALLOWED, post=everybody(302)),
    "exported_workbook": Access(get=everybody(404), post=NOT_ALLOWED, kwargs=_absent),
    "upload": Access(get=editors(200), post=editors(200)),
    "upload_template": Access(get=editors(200), post=(405, 405, 405, 405, 405)),
    "upload_logs": Access(get=editors(200), post=(405, 405, 405, 405, 405)),
    "upload_detail": Access(get=owners(200), post=(405, 405, 405, 405, 405), kwargs=_upload),
    "upload_apply": Access(get=(405, 405, 405, 405, 405), post=owners(302), kwargs=_upload),
    "upload_again": Access(get=(405, 405, 405, 405, 405), post=owners(302), kwargs=_upload),
    "upload_dates": Access(get=(405, 405, 405, 405, 405), post=owners(302), kwargs=_upload),
    "upload_cancel": Access(get=(405, 405, 405, 405, 405), post=owners(302), kwargs=_upload),
    "upload_refused": Access(get=owners(404), post=(405, 405, 405, 405, 405), kwargs=_upload),
    "attendance_list": Access(get=everybody(200), post=(405, 405, 405, 405, 405)),
    "add_record": Access(get=editors(200), post=editors(200)),
    "edit_record": Access(get=owners(200), post=owners(200), kwargs=_record),
    # Nobody saw which state it was made from.
    "delete_record": Access(get=owners(200), post=owners(409), kwargs=_record),
    "bulk_edit": Access(get=NOT_ALLOWED, post=(LOGIN, 403, 200, 403, 200), data=_days),
    "delete_all": Access(get=root_only(200), post=root_only(200)),
    "exceptions": Access(get=everybody(200), post=NOT_ALLOWED),
    "exception_counts": Access(
        get=everybody(200), post=NOT_ALLOWED, kwargs=lambda _world: {"first": DAY.replace(day=1)}
    ),
    # No exception is named.
    "exception": Access(get=everybody(302), post=(LOGIN, 403, 302, 302, 302)),
    # To another company's administrator it does not exist.
    "person": Access(get=(LOGIN, 200, 200, 404, 200), post=NOT_ALLOWED, kwargs=_person),
    "companies": Access(get=root_only(200), post=root_only(200)),
    "rename_company": Access(get=root_only(200), post=root_only(200), kwargs=_company),
    "delete_company": Access(get=root_only(200), post=root_only(200), kwargs=_company),
    "users": Access(get=editors(200), post=(405, 405, 405, 405, 405)),
    "add_user": Access(get=editors(200), post=editors(200)),
    "edit_user": Access(get=owners(200), post=owners(200), kwargs=_supervisor),
}
