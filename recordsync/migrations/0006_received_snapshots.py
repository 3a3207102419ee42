from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("recordsync", "0005_proven_blocks")]

    operations = [
        migrations.AddField(
            "snapshot",
            "is_merge",
            models.BooleanField(default=False, help_text="Whether it says its tree only."),
        ),
        migrations.AddField(
            "snapshot",
            "received_at",
            models.DateTimeField(null=True, help_text="When it first came in a file."),
        ),
        migrations.AlterField(
            "snapshot",
            "says",
            models.JSONField(null=True, help_text="Null: only its digest is known, because no file of it came here."),
        ),
        migrations.AlterField(
            "snapshot",
            "tree",
            models.CharField(max_length=64, blank=True, help_text="The digest of the tree's root, if it is known."),
        ),
        migrations.AlterField(
            "snapshot",
            "installation",
            models.UUIDField(null=True, help_text="Which installation took it; null: a merge, or not known."),
        ),
    ]
