"""The forms of backups and restores, and of the backup log."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core import moments
from core.backups import catalogue, parents
from core.backups.jobs import BackupRequest
from core.backups.parents import ParentChoice
from core.backups.scope import unfit
from core.models import Backup, Company, Kind
from core.operations.traits import UNAUDITED
from core.operations.wording import FIELD_NAMES, UNIT_NAMES
from core.preview.filters import FIELDS, UNITS
from core.register.database import DEFAULT
from core.register.declared import Selection
from core.restores.incoming import Mode
from core.restores.jobs import Comes
from core.web.forms.shared import DateInput, Styled
from core.web.merges import strategies

_CHOICES = 100
"""How many of the newest backups the form offers."""
_PARENTS = 20
"""How many of the newest backups the form offers to continue."""


class StyledForm(Styled, forms.Form):
    """A form without a model, in the style of the others."""


def _day(label: Any, **options: Any) -> forms.DateField:
    """A field for a day whose midnight exists in every time zone and every database."""
    bounds = [MinValueValidator(dt.date(1900, 1, 1)), MaxValueValidator(dt.date(2999, 12, 31))]
    return forms.DateField(label=label, required=False, widget=DateInput(), validators=bounds, **options)


_FOR = "for:"
"""Before the id of an installation, in the choice of what a backup continues."""


class BackupForm(StyledForm):
    """The backup to take: its type, what it continues, its part of the register, its compression."""

    backup_type = forms.ChoiceField(
        label=_("What"),
        choices=[("full", _("Full: everything")), ("incremental", _("Incremental: what changed since"))],
        initial="full",
    )
    continues = forms.ChoiceField(
        label=_("Changed since"),
        required=False,
        help_text=_("For an incremental backup. It holds exactly what changed since then, deletions included."),
    )
    since = _day(
        _("or since a day"),
        help_text=_(
            "By the dates that records bear, which a wrong clock makes false. Such a file tells no deletions, and no "
            "other continues it."
        ),
    )
    companies = forms.ModelMultipleChoiceField(
        label=_("Only these companies"), queryset=Company.objects.order_by("name"), required=False,
        to_field_name="name",
        help_text=_("Choose none for all companies."),
    )  # fmt: skip
    date_from = forms.DateField(label=_("First day"), required=False, widget=DateInput())
    date_to = forms.DateField(label=_("Last day"), required=False, widget=DateInput())
    compression = forms.ChoiceField(
        label=_("File"), required=False, choices=[("", ".json"), ("gzip", ".json.gz"), ("zstd", ".json.zst")]
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = catalogue.continuable(DEFAULT)[: _PARENTS + 1]
        last = f"{_('The last backup')}, {moments.moment(rows[0].taken_at)}" if rows else _("The last backup")
        installations = sorted(parents.known_installations(DEFAULT).items(), key=lambda known: known[1].casefold())
        field = self.fields["continues"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [
            ("", last),
            *((f"{_FOR}{pk}", _("What %(name)s is known to have") % {"name": name}) for pk, name in installations),
            *((str(row.pk), _short_name(row)) for row in rows[1:]),
        ]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        asked = self._asked(data)
        if data.get("since") and data.get("backup_type") == "full":
            self.add_error("since", _("A full backup holds everything: it has no starting date."))
        elif asked != ParentChoice() and (false := unfit(data.get("backup_type", ""), data.get("since"), None, asked)):
            self.add_error("continues", false)
        is_part = data.get("companies") or data.get("date_from") or data.get("date_to")
        if is_part and data.get("backup_type") == "incremental" and not data.get("since"):
            self.add_error(
                "since", _("An incremental backup of a part of the register needs a day. A full one of it needs none.")
            )
        if data.get("since") and data["since"] > timezone.localdate():
            self.add_error("since", _("This day is in the future."))
        if data.get("date_from") and data.get("date_to") and data["date_from"] > data["date_to"]:
            self.add_error("date_to", _("The last day is before the first."))
        return data

    def request(self) -> BackupRequest:
        """The backup that the person asks for. Only for a valid form."""
        data = self.cleaned_data
        since = data["since"] and timezone.make_aware(dt.datetime.combine(data["since"], dt.time()))
        names = [company.name for company in data["companies"]] or None
        first, last = (data[name] and data[name].isoformat() for name in ("date_from", "date_to"))
        selection = Selection(names, first, last) if names or first or last else None
        asked = self._asked(data)
        compression = data["compression"] or None
        return BackupRequest(
            data["backup_type"], since or None, selection, compression, asked.parent, asked.installation
        )

    def _asked(self, data: dict[str, Any]) -> ParentChoice:
        """What the person asks to continue."""
        chosen = data.get("continues") or ""
        if chosen.startswith(_FOR):
            return ParentChoice(installation=chosen.removeprefix(_FOR))
        return ParentChoice(parent=chosen or None)


class RestoreForm(StyledForm):
    """The file to restore, what becomes of the register, and who wins where both sides differ."""

    file = forms.FileField(
        label=_("Backup file to upload"),
        required=False,
        allow_empty_file=True,
        help_text=_("Keep your own copy: the uploaded file is deleted after it is restored, or after a day."),
    )
    backup = forms.ChoiceField(label=_("or a backup from the catalogue"), required=False)
    mode = forms.ChoiceField(
        label=_("What becomes of this register"),
        required=False,
        widget=forms.RadioSelect,
        choices=[
            (Mode.MERGE.value, _("Merge the backup into it: what changed here stays")),
            (Mode.EXACT.value, _("Make it exactly as the backup: what the backup does not have is deleted here")),
        ],
        initial=Mode.MERGE.value,
    )
    strategy = forms.ChoiceField(
        label=_("Where both sides differ"),
        choices=strategies(Comes.FILE),
        initial="manual",
        help_text=_("It can be changed in the preview. Nothing is written until you apply it there."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = Backup.objects.exclude(file="").order_by("-taken_at")
        rows = list(stored[:_CHOICES])
        chosen = self["backup"].value()
        if chosen and chosen not in {str(row.pk) for row in rows} and _is_uuid(chosen):
            rows += stored.filter(pk=chosen)  # an older backup, chosen in the catalogue
        field = self.fields["backup"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", "—"), *((str(row.pk), _backup_name(row)) for row in rows)]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if not data.get("file") and not data.get("backup"):
            self.add_error("file", _("Choose a file to upload, or a backup from the catalogue."))
        if data.get("file") and data.get("backup"):
            self.add_error("file", _("Choose a file to upload or a backup from the catalogue, not both."))
        return data


def _short_name(backup: Backup) -> str:
    what = f"{backup.get_backup_type_display()}, {moments.moment(backup.taken_at)}"
    return f"{what}: {backup.file}" if backup.file else what


def _backup_name(backup: Backup) -> str:
    what = f"{backup.get_backup_type_display()}, {moments.moment(backup.taken_at)}"
    return f"{what}, {backup.installation_name} ({backup.records_count:,}): {backup.file}"


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


FILTER_FIELDS = ("kind", "company", "ep_no", "date_from", "date_to", "field", "unit")
"""The filters of a preview, by name."""


class PreviewFilterForm(StyledForm):
    """The filters of a preview: which lines to show."""

    kind = forms.ChoiceField(
        label=_("What happens"),
        required=False,
        choices=[
            ("", _("Everything")),
            ("add", _("Added")),
            ("update", _("Updated")),
            ("delete", _("Deleted")),
            ("conflict", _("In conflict")),
        ],
    )
    company = forms.CharField(label=_("Company"), required=False, max_length=255, strip=False)
    ep_no = forms.CharField(label=_("Employee number"), required=False, max_length=50, strip=False)
    date_from = forms.DateField(label=_("From"), required=False, widget=DateInput())
    date_to = forms.DateField(label=_("To"), required=False, widget=DateInput())
    field = forms.ChoiceField(
        label=_("Field that changes"),
        required=False,
        choices=[("", _("Any")), *((name, FIELD_NAMES[name]) for name in FIELDS)],
    )
    unit = forms.ChoiceField(
        label=_("Differs in"),
        required=False,
        choices=[("", _("Anything")), *((name, UNIT_NAMES[name]) for name in UNITS)],
    )
    undecided = forms.BooleanField(label=_("Only what is not decided"), required=False)


class BackupLogFilterForm(StyledForm):
    """The filters of the backup log: which rows to show."""

    operation = forms.ChoiceField(
        label=_("What"),
        required=False,
        choices=[("", _("Everything")), *((kind.value, kind.label) for kind in Kind if kind not in UNAUDITED)],
    )
    actor = forms.CharField(label=_("Who"), required=False, max_length=150)
    result = forms.ChoiceField(
        label=_("Result"),
        required=False,
        choices=[("", _("Any")), ("success", _("Succeeded")), ("failure", _("Failed"))],
    )
    date_from = _day(_("From"))
    date_to = _day(_("To"))
