"""The page that takes backups, and the catalogue."""

from __future__ import annotations

import hashlib
import logging
import uuid
from pathlib import PurePath
from typing import Any

from django.contrib import messages
from django.core.files.storage import storages
from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.backups import catalogue, parents
from core.backups import jobs as backup_jobs
from core.models import Backup
from core.operations import recovery
from core.operations.errors import OperationFailed, as_failure
from core.operations.run import Actor
from core.register.database import DEFAULT
from core.restores import verification
from core.web import typed
from core.web.decorators import role_required
from core.web.forms.backups import BackupForm
from core.web.views.operations import failed
from core.web.views.request import signed_in

logger = logging.getLogger(__name__)
_BACKUPS_ON_A_PAGE = 25


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(["root"], keeps_typed=True)
def backup_data_view(request: HttpRequest) -> HttpResponse:
    """The page with the catalogue, what an incremental backup would continue, and a form. A POST queues a backup."""
    recovery.settle_accounts()
    form = BackupForm(request.POST or None)
    if request.method == "POST" and not typed.is_only_shown(request) and form.is_valid():
        operation = backup_jobs.submit_backup(Actor.of(signed_in(request)), form.request())
        return redirect("operation", pk=operation.pk)
    page = Paginator(Backup.objects.order_by("-taken_at"), _BACKUPS_ON_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "form": form,
        "last": parents.next_parent(DEFAULT),
        "page": page,
        "entries": catalogue.entries(list(page)),
    }
    return render(request, "backup_data.html", context)


@require_safe
@role_required(["root"])
def download_backup_view(request: HttpRequest, pk: uuid.UUID) -> HttpResponseBase:
    """The file of a backup, streamed. The catalogue gives its name, never the request."""
    backup = get_object_or_404(Backup.objects.exclude(file=""), pk=pk)
    try:
        file = storages["backups"].open(backup.file, "rb")
    except FileNotFoundError as error:
        logger.warning("The file of backup %s (%s) does not exist", backup.pk, backup.file)
        raise Http404 from error
    except OSError as error:
        failed(request, as_failure(error, _("Nothing was downloaded.")))
        return redirect("backup_data")
    logger.info("%s downloads the backup %s", request.user.get_username(), backup.file)
    return FileResponse(file, as_attachment=True, filename=PurePath(backup.file).name)


@require_POST
@role_required(["root"])
def change_backup_view(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Verifies, protects, unprotects or deletes a file of the catalogue, as the form says. Asks before it deletes."""
    backup = get_object_or_404(Backup.objects.exclude(file=""), pk=pk)
    actor = Actor.of(signed_in(request))
    action = request.POST.get("action")
    try:
        if action == "verify":
            return redirect("operation", pk=verification.submit_verify(actor, backup).pk)
        if action in ("protect", "unprotect"):
            backup_jobs.set_protected(backup, action == "protect")
        elif action == "delete":
            lost = _lost_with(backup)
            confirmed = request.POST.get("confirmed")
            if confirmed != lost["fingerprint"]:
                backup_jobs.require_deletable(backup)
                if confirmed:
                    messages.warning(
                        request, _("The backup or its files have changed meanwhile. Nothing was deleted. Look again.")
                    )
                return render(request, "confirm_delete_backup.html", lost)
            if backup_jobs.delete(backup, actor):
                text = _("Deleted the file %(file)s.")
            else:
                text = _("The file %(file)s did not exist any more. The catalogue now says that it is deleted.")
            messages.success(request, text % {"file": backup.file})
    except OperationFailed as error:
        failed(request, error)
    return redirect("backup_data")


def _lost_with(backup: Backup) -> dict[str, Any]:
    """What a person should know before they delete the file. ``fingerprint`` stands for all of it in the form."""
    (entry,) = catalogue.entries([backup])
    losses = {
        "is_only_full": catalogue.is_only_full(backup),
        "is_next_parent": parents.next_parent(DEFAULT) == backup,
        "previews": backup_jobs.open_previews(backup),
        "continuing": catalogue.continued_by(backup),
    }
    warns = any(losses.values()) or backup.purpose == Backup.Purpose.SAFETY
    fingerprint = hashlib.sha256(repr([entry.is_there, losses]).encode()).hexdigest()
    return {"backup": backup, "entry": entry, "warns": warns, "fingerprint": fingerprint, **losses}
