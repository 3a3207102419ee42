"""The register (companies, accounts, attendance) and the account kept of its backups.

Every model here is either declared in :mod:`core.register` as part of a backup or listed there as
left out, with the reason; a test holds that.

Timestamps use ``default=timezone.now`` and explicit values, never ``auto_now``: bulk writes would
replace an explicit ``auto_now_add`` value and would never refresh an ``auto_now`` one.
"""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterable
from typing import Any, ClassVar, Self

from django.conf import settings
from django.contrib.auth.hashers import make_password, verify_password
from django.contrib.auth.models import AbstractUser, AnonymousUser, UserManager
from django.db import DEFAULT_DB_ALIAS, Error, models
from django.db.models import F, Q
from django.db.models.functions import Length
from django.db.models.lookups import Exact, GreaterThanOrEqual, LessThanOrEqual
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core import moments
from recordsync.model.fields import MAX_MINUTES
from recordsync.system.transactions import writing


class AsWritten(models.Func):
    """A date or time column as the database itself would write it, in its own SQL.

    Compared with the column it says that a time has no fraction, and on SQLite, where both are text, that
    the text is a day ``YYYY-MM-DD`` or a time ``HH:MM:SS``. Only built-in functions, so that ``sqlite3`` and
    ``psql`` can evaluate the constraint.
    """

    arity = 1

    def __init__(self, column: str, kind: str) -> None:
        """``kind``: ``date`` or ``time``."""
        output_field = models.DateField() if kind == "date" else models.TimeField()
        super().__init__(models.F(column), output_field=output_field)
        self._kind = kind

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        # Adding no days turns 30 February into 2 March. What SQLite cannot read gives NULL, and a CHECK that is
        # NULL holds: then something else than the column stands for it.
        written = {"date": "date(%(expressions)s, '+0 days')", "time": "time(%(expressions)s)"}[self._kind]
        template = f"coalesce({written}, %(expressions)s || '!')"
        sql, parameters = self.as_sql(compiler, connection, template=template, **context)
        return sql, (*parameters, *parameters)  # a value that is checked before it is saved stands in it twice

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        precision = "(0)" if self._kind == "time" else ""
        return self.as_sql(compiler, connection, template=f"(%(expressions)s)::{self._kind}{precision}", **context)


def length_between(field: str, low: int, high: int, name: str) -> models.CheckConstraint:
    """A CHECK on a text's length in characters, which SQLite does not hold by itself."""
    length = Length(field)
    return models.CheckConstraint(
        condition=Q(GreaterThanOrEqual(length, low)) & Q(LessThanOrEqual(length, high)), name=name
    )


def one_of(field: str, values: Iterable[str], name: str) -> models.CheckConstraint:
    """A CHECK on a choice.

    Not ``IN``: of more than two values SQLite builds a table, anew for every row that is written (``OpenEphemeral`` in
    its bytecode), which took a third of an INSERT.
    """
    return models.CheckConstraint(condition=Q(*((field, value) for value in values), _connector=Q.OR), name=name)


class Installation(models.Model):
    """The one deployment that this database belongs to: a UUID that its backups carry, and a name."""

    only = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    id = models.UUIDField(default=uuid.uuid4, unique=True)
    name = models.CharField(max_length=100)

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=Q(only=1), name="installation_is_one_row")]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def current(cls, using: str = "default") -> Installation:
        """This database's installation; made on first use (one write).

        The environment's ``INSTALLATION_NAME`` wins over the stored name, and the machine's name
        stands in where nobody gave one.
        """
        defaults = {"name": (settings.INSTALLATION_NAME or socket.gethostname())[:100]}
        installation, _created = cls.objects.using(using).get_or_create(only=1, defaults=defaults)
        return installation._as_the_environment_names_it()

    @classmethod
    def without_writing(cls, using: str = "default") -> Installation:
        """As :meth:`current`, but one that was not made yet is not saved, and its id is good for nothing."""
        installation = cls.objects.using(using).filter(only=1).first() or cls(name=socket.gethostname()[:100])
        return installation._as_the_environment_names_it()

    def _as_the_environment_names_it(self) -> Self:
        if settings.INSTALLATION_NAME:
            self.name = settings.INSTALLATION_NAME[:100]
        return self


class CompanyQuerySet(models.QuerySet["Company"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        """The companies that this person may know of: root all, the others their own."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        return self if user.role == Role.ROOT else self.filter(pk=user.company_id)


class Company(models.Model):
    """A company whose attendance is kept. Its name is its natural key: renaming goes through a service."""

    name = models.CharField(_("name"), max_length=255, unique=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    updated_at = models.DateTimeField(_("updated"), default=timezone.now)

    objects = CompanyQuerySet.as_manager()

    class Meta:
        verbose_name_plural = _("companies")
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [length_between("name", 1, 255, "company_name_length")]

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    ROOT = "root", _("Root")
    ADMIN = "admin", _("Administrator")
    USER1 = "user1", _("Supervisor")


class MusterUserManager(UserManager["User"]):
    def create_superuser(
        self, username: str, email: str | None = None, password: str | None = None, **extra_fields: Any
    ) -> User:
        """A root account: what ``createsuperuser`` makes."""
        extra_fields.setdefault("role", Role.ROOT)
        return super().create_superuser(username, email, password, **extra_fields)


class User(AbstractUser):
    """An account. ``root`` reaches every company; ``admin`` and ``user1`` belong to one."""

    # Signing in must write nothing to this database, so that it works while a restore holds it.
    last_login = None

    role = models.CharField(_("role"), max_length=10, choices=Role, default=Role.USER1)
    company = models.ForeignKey(
        Company, models.PROTECT, verbose_name=_("company"), null=True, blank=True, related_name="users"
    )
    assigned_date_from = models.DateField(_("assigned from"), null=True, blank=True)
    assigned_date_to = models.DateField(_("assigned to"), null=True, blank=True)

    objects: ClassVar = MusterUserManager()

    def check_password(self, raw_password: str | None) -> bool:
        """Whether this is the password. A hash of an older kind is renewed, unless somebody holds the database just
        now: signing in waits for nobody."""
        is_right, is_old = verify_password(raw_password, self.password)
        if is_right and is_old:
            using, renewed = self._state.db or DEFAULT_DB_ALIAS, make_password(raw_password)
            try:
                with writing(using, [User], 0, alone=False):
                    is_stored = (
                        User.objects.using(using).filter(pk=self.pk, password=self.password).update(password=renewed)
                    )
            except Error:
                is_stored = 0
            if is_stored:
                self.password = renewed
        return is_right

    class Meta(AbstractUser.Meta):
        constraints: ClassVar = [
            one_of("role", Role.values, "user_role_is_known"),
            models.CheckConstraint(
                condition=Q(role=Role.ROOT) | Q(company__isnull=False),
                name="user_company_required",
                violation_error_message=_("An administrator or supervisor needs a company."),
            ),
        ]


class Status(models.TextChoices):
    PRESENT = "P", _("Present")
    ABSENT = "A", _("Absent")
    PUBLIC_HOLIDAY = "PH", _("Public holiday")
    WEEK_OFF = "WO", _("Week off")
    PARTIAL_DAY = "PD", _("Partial day")
    LEAVE = "L", _("Leave")
    HALF_DAY = "-0.5", _("Half day")
    FULL_DAY_LEAVE = "-1", _("Full-day leave")


TIME_FIELDS = ("in_time", "out_time", "in_time_2", "out_time_2", "in_time_3", "out_time_3")
MINUTE_FIELDS = ("overstay", "overtime", "overtime_to_mandays")


MISSING_PUNCH = (
    Q(in_time__isnull=False, out_time__isnull=True)
    | Q(in_time__isnull=True, out_time__isnull=False)
    | Q(in_time_2__isnull=False, out_time_2__isnull=True)
    | Q(in_time_2__isnull=True, out_time_2__isnull=False)
    | Q(in_time_3__isnull=False, out_time_3__isnull=True)
    | Q(in_time_3__isnull=True, out_time_3__isnull=False)
)
"""In without out, or out without in."""


class AttendanceQuerySet(models.QuerySet["AttendanceRecord"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        """The records in a person's scope, the one rule that every list, count, search and export goes through.

        root: all. admin: its company's. user1: its company's, within the assigned dates. Anybody else: none.
        """
        if not user.is_authenticated or not user.is_active:
            return self.none()
        if user.role == Role.ROOT:
            return self
        own = self.filter(company=user.company_id)
        if user.role == Role.USER1:
            if user.assigned_date_from:
                own = own.filter(date__gte=user.assigned_date_from)
            if user.assigned_date_to:
                own = own.filter(date__lte=user.assigned_date_to)
        return own

    def editable_by(self, user: User | AnonymousUser) -> Self:
        """Those of them that the person may change or delete: a supervisor only reads."""
        visible = self.visible_to(user)
        return visible if user.is_authenticated and user.role in (Role.ROOT, Role.ADMIN) else self.none()


class AttendanceRecord(models.Model):
    """One employee's day at one company. ``out_time`` before ``in_time`` is a night shift."""

    ep_no = models.CharField(_("employee number"), max_length=50)
    ep_name = models.CharField(_("employee name"), max_length=255, blank=True)
    company = models.ForeignKey(
        Company, models.PROTECT, verbose_name=_("company"), related_name="attendance_records", db_index=False
    )
    date = models.DateField(_("date"))
    shift = models.CharField(_("shift"), max_length=50, blank=True)
    status = models.CharField(_("status"), max_length=4, choices=Status)
    in_time = models.TimeField(_("in"), null=True, blank=True)
    out_time = models.TimeField(_("out"), null=True, blank=True)
    in_time_2 = models.TimeField(_("in (2)"), null=True, blank=True)
    out_time_2 = models.TimeField(_("out (2)"), null=True, blank=True)
    in_time_3 = models.TimeField(_("in (3)"), null=True, blank=True)
    out_time_3 = models.TimeField(_("out (3)"), null=True, blank=True)
    overstay = models.IntegerField(_("overstay, minutes"), null=True, blank=True)
    overtime = models.IntegerField(_("overtime, minutes"), null=True, blank=True)
    overtime_to_mandays = models.IntegerField(_("overtime to mandays, minutes"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    updated_at = models.DateTimeField(_("updated"), default=timezone.now)

    objects = AttendanceQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-date", "company", "ep_no"]
        indexes: ClassVar = [
            # Every index is written with every row that a restore or import adds: these are what the pages cannot do
            # without (benchmarks/RESULTS-pages.md). The list, newest first, and the dashboard, for every company or
            # for one; status and overstay are in them so that rows filtered by these are counted without being read.
            models.Index(fields=["date", "company", "status", "overstay"], name="attendance_day"),
            models.Index(fields=["company", "date", "status", "overstay"], name="attendance_company_day"),
            # Names are searched and sorted by it. Numbers are by the natural key, within each company.
            models.Index(fields=["ep_name", "date"], name="attendance_ep_name"),
            # Few rows each.
            models.Index(fields=["date"], name="attendance_missing_punch", condition=MISSING_PUNCH),
            models.Index(fields=["date", "overstay"], name="attendance_long_overstay", condition=Q(overstay__gte=180)),
            # What an incremental backup asks for, company by company.
            models.Index(fields=["company", "updated_at"], name="attendance_updated"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["company", "ep_no", "date"], name="attendance_natural_key"),
            one_of("status", Status.values, "attendance_status_is_known"),
            models.CheckConstraint(
                condition=Q(Exact(F("date"), AsWritten("date", "date"))), name="attendance_date_is_a_day"
            ),
            length_between("ep_no", 1, 50, "attendance_ep_no_length"),
            length_between("ep_name", 0, 255, "attendance_ep_name_length"),
            length_between("shift", 0, 50, "attendance_shift_length"),
            *(
                models.CheckConstraint(
                    condition=Q(**{f"{field}__isnull": True}) | Q(Exact(F(field), AsWritten(field, "time"))),
                    name=f"attendance_{field}_whole_seconds",
                    violation_error_message=_("A time has whole seconds."),
                )
                for field in TIME_FIELDS
            ),
            *(
                models.CheckConstraint(
                    condition=Q(**{f"{field}__isnull": True}) | Q(**{f"{field}__gte": 0, f"{field}__lte": MAX_MINUTES}),
                    name=f"attendance_{field}_range",
                    violation_error_message=_("Minutes are between 0 and 599,999 (9999:59)."),
                )
                for field in MINUTE_FIELDS
            ),
        ]

    def __str__(self) -> str:
        return f"{self.ep_no} {self.date}"


class Backup(models.Model):
    """The catalogue: one row for every backup file written here, or restored here from elsewhere.

    ``id`` is the id inside the file (a 1.0 file has none: there it follows from its bytes). Its ancestry
    (``parent``, ``merged``) proves what two installations once shared.
    """

    class Kind(models.TextChoices):
        FULL = "full", _("Full")
        INCREMENTAL = "incremental", _("Incremental")

    class Purpose(models.TextChoices):
        USER = "user", _("Taken by a person")
        SAFETY = "safety", _("Taken for safety")
        RECEIVED = "received", _("Received")

    id = models.UUIDField(primary_key=True)
    version = models.CharField(
        max_length=3, default="2.0", help_text="Of the file's format. A 1.0 file is in no ancestry."
    )
    installation_id = models.UUIDField()
    installation_name = models.CharField(max_length=100)
    parent = models.UUIDField(
        null=True, blank=True, help_text="The backup of the same installation that this one continues."
    )
    merged = models.JSONField(default=dict, help_text="Per other installation, its last backup restored before.")
    kind = models.CharField(max_length=12, choices=Kind)
    selection = models.JSONField(null=True, blank=True)
    since = models.DateTimeField(null=True, blank=True)
    file = models.CharField(
        max_length=255, blank=True, help_text="Name in the backups storage; blank if written elsewhere."
    )
    location = models.TextField(blank=True, help_text="Where it was written, if not to the storage.")
    size = models.BigIntegerField(help_text="Bytes of the file as stored.")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the uncompressed content, up to a trailer.")
    companies_count = models.BigIntegerField()
    records_count = models.BigIntegerField()
    deleted_count = models.BigIntegerField(default=0)
    taken_at = models.DateTimeField(help_text="Start of the snapshot.")
    created_by = models.CharField(max_length=150, blank=True)
    protected = models.BooleanField(default=False)
    verified_at = models.DateTimeField(null=True, blank=True)
    purpose = models.CharField(max_length=8, choices=Purpose, default=Purpose.USER)
    merged_at = models.DateTimeField(
        null=True, blank=True, help_text="When restoring it made it part of this register's ancestry."
    )

    class Meta:
        ordering: ClassVar = ["-taken_at"]
        indexes: ClassVar = [
            models.Index(fields=["installation_id", "-taken_at"], name="backup_by_installation"),
            models.Index(fields=["installation_id", "-merged_at"], name="backup_merged"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {moments.moment(self.taken_at)}"


class BackupLog(models.Model):
    """The audit trail: one row for every finished backup or restore, failed ones too."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, db_index=False)
    actor_name = models.CharField(max_length=150, help_text="Kept when the account is deleted.")
    operation = models.CharField(max_length=30)
    operation_id = models.UUIDField(unique=True, help_text="Of the Operation that this row accounts for.")
    filename = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    companies_count = models.BigIntegerField(default=0)
    records_count = models.BigIntegerField(default=0)
    records_added = models.BigIntegerField(default=0)
    records_updated = models.BigIntegerField(default=0)
    records_deleted = models.BigIntegerField(default=0)
    records_skipped = models.BigIntegerField(default=0)
    records_kept = models.BigIntegerField(default=0)
    success = models.BooleanField()
    error_message = models.TextField(blank=True)
    duration = models.FloatField(default=0, help_text="Seconds.")
    backup_id = models.UUIDField(null=True, blank=True)
    backup_type = models.CharField(max_length=12, blank=True)
    since = models.DateTimeField(null=True, blank=True)
    digest = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        indexes: ClassVar = [
            models.Index(fields=["user", "created_at"], name="backuplog_user_created"),
            models.Index(fields=["created_at"], name="backuplog_created"),
        ]

    def __str__(self) -> str:
        return f"{self.operation} {moments.moment(self.created_at)}"

    @property
    def left_out(self) -> int:
        """Of a sheet that was imported, the rows that were refused or repeat another: the counts do not have them."""
        if self.operation != "import":
            return 0
        return self.records_count - self.records_added - self.records_updated - self.records_skipped


class Operation(models.Model):
    """A waiting, running or finished backup, check or restore, with its progress and outcome.

    Lives in the jobs database (a restore holds the register's), so it names account, log and backup
    by plain values. The process that runs it holds the operation's lock, which the system releases
    when the process dies: "running" with a free lock means abandoned.
    """

    class Outcome(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        RUNNING = "running", _("Running")
        SUCCEEDED = "succeeded", _("Succeeded")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    kind = models.CharField(max_length=30)
    database = models.CharField(max_length=30, default="default", help_text="Alias of the register it works on.")
    phase = models.CharField(max_length=30, blank=True)
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(null=True)
    phase_started_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(default=timezone.now)
    heartbeat_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)
    cancel_requested = models.BooleanField(default=False)
    outcome = models.CharField(max_length=10, choices=Outcome, default=Outcome.RUNNING)
    message = models.TextField(blank=True)
    actor_id = models.BigIntegerField(null=True)
    actor_name = models.CharField(max_length=150)
    filename = models.TextField(blank=True)
    log_id = models.BigIntegerField(null=True, help_text="Its row in the audit trail, once that is written.")
    task_id = models.UUIDField(null=True, help_text="Its row in the queue, if a worker runs it.")
    parameters = models.JSONField(default=dict, help_text="What was asked for, for the worker that runs it.")
    result = models.JSONField(default=dict, help_text="What came of it, for the page that shows it.")

    class Meta:
        ordering: ClassVar = ["-started_at"]
        indexes: ClassVar = [models.Index(fields=["outcome", "started_at"], name="operation_outcome")]

    def __str__(self) -> str:
        return f"{self.kind} {moments.moment(self.started_at)}"

    @property
    def seconds(self) -> float:
        """From its start to its end, the wait for others and the commit included; so far, of one without an end."""
        return max(0.0, ((self.finished_at or timezone.now()) - self.started_at).total_seconds())


class UploadQuerySet(models.QuerySet["UploadLog"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        """root: all. admin: those for its own company. Anybody else: none."""
        if not user.is_authenticated or not user.is_active or user.role not in (Role.ROOT, Role.ADMIN):
            return self.none()
        return self if user.role == Role.ROOT else self.filter(company_id=user.company_id)


class UploadLog(models.Model):
    """A sheet that somebody sent to be imported: from its check to what became of it.

    Lives in the jobs database, like :class:`Operation`, so it names account and company by plain values.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting to be checked")
        CHECKING = "checking", _("Being checked")
        CHECKED = "checked", _("Waiting for a decision")
        QUEUED = "queued", _("Waiting to be imported")
        APPLYING = "applying", _("Being imported")
        IMPORTED = "imported", _("Imported")
        FAILED = "failed", _("Not imported")
        PUT_AWAY = "put_away", _("Put away")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    actor_id = models.BigIntegerField()
    actor_name = models.CharField(max_length=150)
    company_id = models.BigIntegerField(null=True, help_text="The only company it may concern; null: any.")
    filename = models.CharField(max_length=255)
    file = models.CharField(max_length=255, help_text="Name in the uploads storage; blank once it is not needed.")
    refused_file = models.CharField(max_length=255, blank=True, help_text="The refused rows, in the same storage.")
    size = models.BigIntegerField()
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(null=True)
    message = models.TextField(blank=True, help_text="Why it was not imported, or has to be looked at again.")
    plan = models.CharField(max_length=64, blank=True, help_text="Digest of what was previewed.")
    summary = models.JSONField(default=dict, help_text="Counts, the first bad cells and the first changes.")
    operation_id = models.UUIDField(null=True)
    task_id = models.UUIDField(null=True, help_text="The row in the queue of what it waits for.")

    objects = UploadQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        indexes: ClassVar = [
            models.Index(fields=["-created_at"], name="uploadlog_created"),
            models.Index(fields=["company_id", "-created_at"], name="uploadlog_company_created"),
        ]

    def __str__(self) -> str:
        return self.filename

    @property
    def is_at_work(self) -> bool:
        """Whether its page should be looked at again soon."""
        return self.state in (self.State.WAITING, self.State.CHECKING, self.State.QUEUED, self.State.APPLYING)

    @property
    def is_waiting(self) -> bool:
        """Whether a worker has still to begin."""
        return self.state in (self.State.WAITING, self.State.QUEUED)

    @property
    def may_be_tried_again(self) -> bool:
        """Whether it failed for what is no fault of the sheet, which is kept."""
        return self.state == self.State.FAILED and bool(self.file)

    @property
    def to_import(self) -> int:
        """How many rows its check found new or changed."""
        return int(self.summary.get("added", 0) + self.summary.get("updated", 0))
