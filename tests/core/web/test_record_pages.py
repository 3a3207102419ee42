"""One record by hand, in two tabs: whoever comes second keeps what they typed, and sees what is saved."""

from __future__ import annotations

import datetime as dt
import json
import logging
import re
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from core.attendance.records import RecordService
from core.models import AttendanceRecord, Company, User
from tests.builders.people import DAY, World, make_world

pytestmark = pytest.mark.django_db(databases=["default", "jobs", "history"])


@pytest.fixture
def world() -> World:
    return make_world()


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def fields(page: Any) -> dict[str, str]:
    """What the form of a page sends if nobody touches it."""
    form = page.context["form"]
    return {bound.html_name: "" if bound.value() is None else str(bound.value()) for bound in form}


def beside(page: Any) -> dict[str, str]:
    """What stands below the fields of a page's form."""
    found = re.findall(r'id="id_(\w+)_helptext"><span class="muster-beside">(.*?)</span>', page.content.decode())
    return {name: re.sub("<[^>]*>", "", text) for name, text in found}


def saved_elsewhere(world: World, **values: Any) -> None:
    record = AttendanceRecord.objects.get(pk=world.record.pk)
    RecordService(world.people["root"]).change(record.pk, record.updated_at, values)


def edit(world: World) -> str:
    return reverse("edit_record", args=[world.record.pk])


def test_what_was_typed_stays_and_what_is_saved_stands_beside_it(world: World) -> None:
    admin = signed_in(world.people["admin"])
    form = fields(admin.get(edit(world)))
    saved_elsewhere(world, ep_name="Meena R. Rao", shift="N", in_time=dt.time(22))
    page = admin.post(edit(world), form | {"shift": "NIGHT", "out_time": "06:00:00", "overtime": "1:30"})
    assert page.status_code == 409
    assert "Nothing of yours was saved." in page.content.decode()
    shown = fields(page)
    assert (shown["shift"], shown["in_time"], shown["out_time"]) == ("NIGHT", "09:02", "06:00")
    assert (shown["ep_name"], shown["overtime"]) == ("Meena R. Rao", "01:30")
    assert beside(page) == {
        "ep_name": "Somebody changed this. It was: Meena Rao",
        "shift": "Saved now: N",
        "in_time": "Saved now: 22:00",
        "out_time": "Saved now: 18:31:05",
        "overtime": "Saved now: —",
    }
    assert page.context["collision"].conflicts == ("shift", "day")
    marked = {name for name, field in page.context["form"].fields.items() if "muster-both" in str(field.widget.attrs)}
    assert marked == {"shift", "in_time", "out_time"}

    taken = admin.post(edit(world), shown | {"take": "day", "in_time": "nonsense"})
    assert taken.status_code == 200
    shown = fields(taken)
    assert (shown["shift"], shown["in_time"], shown["out_time"]) == ("NIGHT", "22:00", "18:31:05")
    assert set(beside(taken)) == {"shift", "overtime"}
    record = AttendanceRecord.objects.get(pk=world.record.pk)
    assert record.shift == "N", "nothing is saved by looking"
    assert admin.post(edit(world), shown).status_code == 302
    record.refresh_from_db()
    assert (record.ep_name, record.shift, record.overtime) == ("Meena R. Rao", "NIGHT", 90)
    assert (record.in_time, record.out_time) == (dt.time(22), dt.time(18, 31, 5))


def test_it_collides_again_with_what_was_saved_while_they_looked_at_both(world: World) -> None:
    admin = signed_in(world.people["admin"])
    form = fields(admin.get(edit(world)))
    saved_elsewhere(world, shift="N")
    second = fields(admin.post(edit(world), form | {"shift": "mine"}))
    saved_elsewhere(world, status="A")
    third = admin.post(edit(world), second)
    assert third.status_code == 409
    assert beside(third) == {"shift": "Saved now: N", "status": "Somebody changed this. It was: Present"}
    assert third.context["collision"].conflicts == (), "they had seen the other shift"
    assert admin.post(edit(world), fields(third)).status_code == 302
    record = AttendanceRecord.objects.get(pk=world.record.pk)
    assert (record.shift, record.status) == ("mine", "A")


def test_who_typed_what_somebody_saved_already_is_told_so(world: World) -> None:
    admin = signed_in(world.people["admin"])
    form = fields(admin.get(edit(world)))
    saved_elsewhere(world, shift="N")
    page = admin.post(edit(world), form | {"shift": "N"}, follow=True)
    assert "The record of A001 on 2026-11-20 had these values already." in page.content.decode()


def test_a_record_that_was_deleted_meanwhile_can_be_added_again(world: World) -> None:
    admin, url = signed_in(world.people["admin"]), edit(world)
    form = fields(admin.get(url)) | {"overtime": "2:00", "in_time": "9:5x"}
    AttendanceRecord.objects.filter(pk=world.record.pk).delete()
    page = admin.post(url, form)
    assert page.status_code == 409
    text = page.content.decode()
    assert "This record was deleted while you were editing it." in text
    assert f'action="{reverse("add_record")}"' in text
    again = fields(page)
    assert (again["ep_no"], again["date"], again["company"]) == ("A001", "2026-11-20", str(world.own.pk))
    assert (again["ep_name"], again["overtime"], again["in_time"]) == ("Meena Rao", "2:00", "9:5x")
    assert admin.post(reverse("add_record"), again | {"in_time": "09:05"}).status_code == 302
    record = AttendanceRecord.objects.get(ep_no="A001", date=DAY)
    assert (record.overtime, record.in_time, record.shift) == (120, dt.time(9, 5), "GEN")

    page = admin.post(url, form | {"in_time": "08:00"})
    assert page.status_code == 409
    assert "was deleted and added again" in page.content.decode()
    assert f'action="{reverse("edit_record", args=[record.pk])}"' in page.content.decode()
    assert beside(page) == {"in_time": "Saved now: 09:05"}
    Company.objects.filter(pk=world.own.pk).update(name="Asha & Sons")
    record.delete()
    assert admin.post(url, form).status_code == 404, "of no company of theirs any more, as far as is known"
    page = signed_in(world.people["root"]).post(url, form)
    assert page.status_code == 409
    assert fields(page)["overtime"] == "2:00"


def test_what_is_not_theirs_does_not_exist_whatever_they_claim_to_have_seen(world: World) -> None:
    other = signed_in(world.people["other_admin"])
    form = fields(signed_in(world.people["root"]).get(edit(world)))
    for url in (edit(world), reverse("delete_record", args=[world.record.pk])):
        assert other.post(url, form).status_code == 404
    assert AttendanceRecord.objects.filter(pk=world.record.pk).exists()


NONSENSE = ["", "{}", "[]", "null", "\0", "[" * 10_000, '{"ep_name": 5}', "9" * 5_000, json.dumps({"status": "X"})]


@pytest.mark.untraced
@pytest.mark.parametrize("base", NONSENSE, ids=range(len(NONSENSE)))
def test_a_form_that_does_not_know_what_was_seen_shows_all_that_differs(world: World, base: str) -> None:
    admin = signed_in(world.people["admin"])
    form = fields(admin.get(edit(world)))
    saved_elsewhere(world, shift="N")
    page = admin.post(edit(world), form | {"base": base, "status": "A"})
    assert page.status_code == 409
    assert beside(page) == {"shift": "Saved now: N", "status": "Saved now: Present"}
    record = AttendanceRecord.objects.get(pk=world.record.pk)
    assert (record.shift, record.status) == ("N", "P")


def test_what_was_seen_and_does_not_fit_its_checksum_is_not_known(world: World) -> None:
    """As where something between the browser and here has changed it."""
    admin = signed_in(world.people["admin"])
    form = fields(admin.get(edit(world))) | {"status": "A"}
    seen = json.loads(form["base"])
    saved_elsewhere(world, shift="N")
    for base in (seen | {"shift": "N"}, {name: seen[name] for name in seen if name != "checksum"}):
        page = admin.post(edit(world), form | {"base": json.dumps(base)})
        assert beside(page) == {"shift": "Saved now: N", "status": "Saved now: Present"}
        assert page.context["collision"].conflicts == ("shift", "day")
    page = admin.post(edit(world), form)
    assert page.context["collision"].conflicts == ()


def test_text_of_two_lines_that_nobody_touched_is_not_theirs(world: World) -> None:
    AttendanceRecord.objects.filter(pk=world.record.pk).update(ep_name="Meena\r\n Rao")
    admin = signed_in(world.people["admin"])
    form = fields(admin.get(edit(world))) | {"ep_name": "Meena Rao", "status": "A"}  # as a browser sends it
    saved_elsewhere(world, ep_name="Somebody else")
    page = admin.post(edit(world), form)
    assert fields(page)["ep_name"] == "Somebody else"
    assert page.context["collision"].conflicts == ()


def test_one_that_is_there_already_is_shown_beside_what_was_typed(world: World) -> None:
    admin = signed_in(world.people["admin"])
    typed = {"company": str(world.own.pk), "ep_no": "A001", "date": "2026-11-20", "status": "A", "shift": "<b>"}
    page = admin.post(reverse("add_record"), typed)
    assert page.status_code == 409
    assert "already has a record of A001 on 2026-11-20. Nothing was saved." in page.content.decode()
    assert (fields(page)["status"], fields(page)["shift"]) == ("A", "<b>")
    assert beside(page)["status"] == "Saved now: Present"
    assert f'href="{edit(world)}?back=' in page.content.decode()
    assert f'formaction="{edit(world)}" name="instead"' in page.content.decode()
    other = admin.post(edit(world), fields(page) | {"instead": "yes"})
    assert other.status_code == 200
    assert (fields(other)["status"], beside(other)["shift"]) == ("A", "Saved now: GEN")
    assert AttendanceRecord.objects.get(pk=world.record.pk).status == "P"
    assert admin.post(edit(world), fields(other)).status_code == 302
    assert AttendanceRecord.objects.get(pk=world.record.pk).shift == "<b>"


def test_who_deletes_a_record_that_changed_sees_what_changed(world: World) -> None:
    admin = signed_in(world.people["admin"])
    url = reverse("delete_record", args=[world.record.pk])
    form = fields(admin.get(url))
    saved_elsewhere(world, status="L", overtime=60)
    page = admin.post(url, form)
    assert page.status_code == 409
    assert page.context["changes"] == [("status", "Present", "Leave"), ("overtime", None, "01:00")]
    assert admin.post(url, fields(page)).status_code == 302
    assert not AttendanceRecord.objects.filter(pk=world.record.pk).exists()
    assert "This record was deleted already." in admin.post(url, form, follow=True).content.decode()
    assert admin.post(url, {}).status_code == 404


def test_a_time_with_a_fraction_is_refused_by_its_name(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """The form checks what the database would refuse, and can say so: a failed check is a warning in the log."""
    admin = signed_in(world.people["admin"])
    page = admin.post(edit(world), fields(admin.get(edit(world))) | {"in_time": "09:00:00.5"})
    assert "Write a time of 24 hours" in page.content.decode()
    root = signed_in(world.people["root"])
    form = {"status": "P", "in_time": "09:00:00.5"}
    page = root.post(f"/admin/core/attendancerecord/{world.record.pk}/change/", form)
    assert "Write a time of 24 hours" in page.content.decode()
    world.record.in_time = dt.time(9, 0, 0, 500_000)
    with pytest.raises(ValidationError, match=r"A time has whole seconds\."):
        world.record.validate_constraints()
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING and one.name.startswith("django.db")]
