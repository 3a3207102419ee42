from django.db import migrations


def keep_blocks_as_they_are(apps, schema_editor):
    """Have PostgreSQL store blocks outside their rows and not compress them: they are frames of zstd."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE recordsync_block ALTER COLUMN data SET STORAGE EXTERNAL")


class Migration(migrations.Migration):
    dependencies = [("recordsync", "0002_history")]

    operations = [
        # It runs where the table of blocks is.
        migrations.RunPython(keep_blocks_as_they_are, migrations.RunPython.noop, hints={"model_name": "block"}),
    ]
