"""Every model of the project is declared as part of a backup, or left out with a reason."""

from __future__ import annotations

from django.apps import apps

from core.models import TIME_FIELDS
from core.register.declared import LEFT_OUT, SCHEMA

NOT_CONTENT = {"created_at", "updated_at"}


def test_every_model_is_declared_or_left_out_with_a_reason() -> None:
    declared = {model.label for model in SCHEMA}
    there = {model._meta.label for model in apps.get_models()}
    assert declared | set(LEFT_OUT) == there
    assert not declared & set(LEFT_OUT)
    assert all(len(reason.split()) > 3 for reason in LEFT_OUT.values())


def test_every_column_of_a_declared_model_is_content_or_a_timestamp() -> None:
    for model in SCHEMA:
        django = apps.get_model(model.label)
        sources = {field.source for field in model.all_fields.values()}
        columns = {field.name for field in django._meta.concrete_fields if not field.primary_key}
        assert columns == sources | NOT_CONTENT
        assert not django._meta.local_many_to_many


def test_declared_lengths_and_choices_are_those_of_the_columns() -> None:
    for model in SCHEMA:
        django = apps.get_model(model.label)
        for field in model.all_fields.values():
            column = django._meta.get_field(field.source)
            if field.references is None:
                assert field.type.nullable is column.null
                if hasattr(field.type, "max_length"):
                    assert field.type.max_length == column.max_length
                if hasattr(field.type, "values"):
                    assert set(field.type.values) == {value for value, _label in column.choices}


def test_what_merges_whole() -> None:
    records = SCHEMA["attendance_records"]
    assert {name: set(members) for name, members in records.units.items()} == {
        "name": {"ep_name"},
        "shift": {"shift"},
        "day": {"status", "overstay", *TIME_FIELDS},
        "overtime": {"overtime", "overtime_to_mandays"},
    }
    assert records.key_names == ("company_name", "date", "ep_no")
