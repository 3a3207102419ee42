from zlib import crc32

from django.db import migrations, models


def prove_blocks(apps, schema_editor):
    """Note the checksum of what is said of each block that is there."""
    blocks = apps.get_model("recordsync", "Block").objects.using(schema_editor.connection.alias)
    said = blocks.values_list("digest", "raw_sha256", "size", "count")
    rows = [(crc32("{} {} {} {}".format(*row).encode()), row[0]) for row in said.iterator()]
    if rows:
        with schema_editor.connection.cursor() as cursor:
            cursor.executemany("UPDATE recordsync_block SET crc32 = %s WHERE digest = %s", rows)


class Migration(migrations.Migration):
    dependencies = [("recordsync", "0004_keys_of_any_length")]

    operations = [
        migrations.AddField("block", "crc32", models.BigIntegerField(null=True)),
        # It runs where the table of blocks is.
        migrations.RunPython(prove_blocks, migrations.RunPython.noop, hints={"model_name": "block"}),
        migrations.AlterField(
            "block",
            "crc32",
            models.BigIntegerField(help_text="CRC-32 of digest, raw_sha256, size and count, with a space between them."),
        ),
    ]
