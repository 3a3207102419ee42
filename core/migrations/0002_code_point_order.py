"""On PostgreSQL the text of the natural keys sorts by code point, as it does in files, in Python and on SQLite.

Only there: ``db_collation="C"`` on the fields would name a collation that SQLite does not have.
"""

from typing import Any

from django.db import migrations

COLUMNS = (("core_company", "name", 255), ("core_attendancerecord", "ep_no", 50))


def set_collation(schema_editor: Any, collation: str) -> None:
    if schema_editor.connection.vendor != "postgresql":
        return
    for table, column, length in COLUMNS:
        schema_editor.execute(f'ALTER TABLE {table} ALTER COLUMN {column} TYPE varchar({length}) COLLATE {collation}')


def forwards(apps: Any, schema_editor: Any) -> None:
    set_collation(schema_editor, '"C"')


def backwards(apps: Any, schema_editor: Any) -> None:
    set_collation(schema_editor, 'pg_catalog."default"')


class Migration(migrations.Migration):
    dependencies = [("core", "0001_initial")]

    operations = [migrations.RunPython(forwards, backwards)]
