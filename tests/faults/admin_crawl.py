"""The administration site asked for what nobody should ask for, played in one process.

Run by :mod:`tests.faults.test_admin_site` inside an installation; prints each answer that is a fault of the server, and
how many answers of which status there were.
"""

from __future__ import annotations

import html
import itertools
import random
import re
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

from django.contrib.admin import site
from django.contrib.contenttypes.models import ContentType
from django.test import Client

from core.models import Backup, BackupLog, Operation, Seal, User
from tests.builders.people import World, make_world

Asked = tuple[str, str, dict[str, Any]]

NUMBERS = ("0", "-1", "1", "01", "9" * 12, "9223372036854775808", "9" * 30, "1.5", "1e9", "٣", "NaN", "None", "true")
TEXTS = (
    "",
    "\0",
    "a\0b",
    "x" * 5_000,
    "'\"\\%_",
    "(",
    "\ud7ff\ue000",
    "😀",
    "%",
    "_",
    "a_5Fb",
    "1,2",
    "[]",
    "\r\n",
    "../..",
)
DAYS = ("2026-13-45", "0000-00-00", "99999-01-01", "2026-11-20T25:61:61", "0001-01-01", "9999-12-31")
VALUES = (*NUMBERS, *TEXTS, *DAYS)
FIELDS = (
    "id", "pk", "date", "company", "company__name", "status", "role", "is_active", "password", "created_at", "kind",
    "version", "success", "state", "started_at", "installation_name", "selection", "nope", "user__username",
    "attendance_records__ep_no", "__", "",
)  # fmt: skip
LOOKUPS = (
    "", "__exact", "__in", "__isnull", "__gte", "__lt", "__range", "__regex", "__year", "__date", "__contains",
    "__nope", "__id__exact",
)  # fmt: skip
OWN = ("q", "p", "o", "all", "e", "_facets", "_popup", "_to_field", "_changelist_filters")
"""Parameters that the site's lists read themselves."""


def quoted(text: object) -> str:
    return quote(str(text), safe="")


def keys_of(world: World) -> dict[str, object]:
    """A row of each model."""
    keys = {
        "company": world.own.pk,
        "attendancerecord": world.record.pk,
        "user": world.people["root"].pk,
        "backup": uuid.UUID(int=1),
        "backuplog": BackupLog.objects.get().pk,
        "seal": Seal.objects.get().pk,
        "operation": uuid.UUID(int=2),
    }
    assert {model._meta.model_name for model in site._registry} == set(keys)
    return keys


def filters(world: World) -> Iterator[Asked]:
    """Every lookup of many fields."""
    for model, key in keys_of(world).items():
        for field, lookup, value in itertools.product(FIELDS, LOOKUPS, (key, *VALUES)):
            yield "GET", f"/admin/core/{model}/?{urlencode({field + lookup: value})}", {}


def addresses(world: World) -> Iterator[Asked]:
    """Every page of every model, with ids that are there and cannot be, and every parameter."""
    for model, key in keys_of(world).items():
        base = f"/admin/core/{model}/"
        pages = ("", "change/", "delete/", "history/", "password/")
        urls = [f"{base}{quoted(pk)}/{page}" for pk in (key, *VALUES) for page in pages]
        urls += [f"{base}?{urlencode({name: value})}" for name in OWN for value in VALUES]
        yield from (("GET", url, {}) for url in (base, f"{base}add/", *urls))
    kinds = [str(one.pk) for one in ContentType.objects.all()]
    for kind, pk in itertools.product((*kinds, *VALUES), VALUES):
        yield "GET", f"/admin/r/{quoted(kind)}/{quoted(pk)}/", {}
    whole = {"app_label": "core", "model_name": "user", "field_name": "company", "term": "a", "page": "1"}
    for name, value in itertools.product(whole, VALUES):
        yield "GET", f"/admin/autocomplete/?{urlencode(whole | {name: value})}", {}
    for value in VALUES:
        yield "GET", f"/admin/{quoted(value)}/", {}
        yield "GET", f"/admin/login/?{urlencode({'next': value})}", {}


def forms(world: World) -> Iterator[Asked]:
    """What is sent to the pages that save, with one field that cannot be."""
    own, record, person = world.own.pk, world.record.pk, world.people["admin"].pk
    password = {"usable_password": "true", "password1": "x", "password2": "x"}
    day = {"status": "P", "ep_name": "", "shift": "", "in_time": "09:00", "overstay": "", "overtime": "1"}
    name = {"username": "x", "role": "root", "company": str(own), "first_name": "", "assigned_date_from": ""}
    good: dict[str, dict[str, Any]] = {
        "/admin/core/company/add/": {"name": "x"},
        f"/admin/core/company/{own}/change/": {"name": "x"},
        f"/admin/core/company/{own}/delete/": {"post": "yes"},
        "/admin/core/attendancerecord/add/": {"company": own, "ep_no": "x", "date": "2026-11-20", **day},
        f"/admin/core/attendancerecord/{record}/change/": day,
        "/admin/core/user/add/": name | password,
        f"/admin/core/user/{person}/change/": name,
        f"/admin/core/user/{person}/password/": password,
    }
    for url, data in good.items():
        for field, value in itertools.product((*data, "_popup", "_to_field", "_continue", "next"), VALUES):
            yield "POST", url, data | {field: value}
    chosen = {"action": "delete_selected", "_selected_action": "0", "index": "0"}
    for model, value in itertools.product(("company", "attendancerecord", "user", "operation"), VALUES):
        base = f"/admin/core/{model}/"
        yield from (("POST", base, chosen | {field: value}) for field in chosen)
        yield "POST", base, chosen | {"_selected_action": [value, "0"], "post": "yes"}
        yield "POST", f"{base}?{urlencode({'q': value})}", chosen | {"select_across": "1"}
        yield "POST", f"{base}{quoted(value)}/delete/", {"post": "yes"}


def main(seed: int, number: int) -> None:
    """Follow every link of the lists; then ask for so many of each kind, chosen by the seed; 0: all."""
    world = make_world()
    Backup.objects.create(
        id=uuid.UUID(int=1), installation_id=uuid.uuid4(), installation_name="Site A", backup_type="full", size=1,
        digest="0" * 64, companies_count=1, records_count=1, taken_at="2026-11-20T00:00:00Z",
    )  # fmt: skip
    BackupLog.objects.create(actor_name="root", operation="backup_full", operation_id=uuid.uuid4(), success=True)
    Seal.objects.create(company=world.own, month="2026-10-01", closed_by="x", closed_as="x", digest="0" * 64)
    Operation.objects.create(id=uuid.UUID(int=2), kind="backup_full", actor_name="root", state="failed", log_id=1)
    client = Client(raise_request_exception=False, headers={"host": "localhost"})
    client.force_login(world.people["root"])
    for model in keys_of(world):
        for offered in re.findall(r'href="(\?[^"]*)"', client.get(f"/admin/core/{model}/").content.decode()):
            answer = client.get(f"/admin/core/{model}/{html.unescape(offered)}")
            if answer.status_code != 200:
                print("FAULT", answer.status_code, model, offered)
    groups = [[*filters(world)], [*addresses(world)], [*forms(world)]]
    asked = [one for group in groups for one in (random.Random(seed).sample(group, number) if number else group)]
    statuses: Counter[int] = Counter()
    for method, url, data in asked:
        answer = client.get(url) if method == "GET" else client.post(url, data)
        statuses[answer.status_code] += 1
        if answer.status_code >= 500:
            print("FAULT", answer.status_code, method, url[:200], str(data)[:200])
    print("ASKED", sum(statuses.values()), dict(statuses))
    assert User.objects.filter(role="root", is_active=True).exists()
