from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("core", "0020_what_a_backup_continues")]

    operations = [
        migrations.AddField(
            "backuplog",
            "records_only_here",
            models.BigIntegerField(default=0, help_text="Changed on this side alone, and kept."),
        ),
        migrations.AddField(
            "backuplog",
            "records_in_conflict",
            models.BigIntegerField(default=0, help_text="Changed on both sides."),
        ),
        migrations.AddField(
            "backuplog",
            "base",
            models.TextField(blank=True, help_text="What a merge was based on, and why."),
        ),
    ]
