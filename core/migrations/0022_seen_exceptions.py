import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

from core.models import ExceptionKind, length_between


class Migration(migrations.Migration):
    dependencies = [("core", "0021_what_merges_are_based_on")]

    operations = [
        migrations.CreateModel(
            "SeenException",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(choices=ExceptionKind.choices, max_length=30)),
                (
                    "subject",
                    models.CharField(
                        help_text="The employee number; the name, if that has two numbers.", max_length=255
                    ),
                ),
                (
                    "day",
                    models.DateField(blank=True, help_text="None if the exception is of no single day.", null=True),
                ),
                ("checksum", models.CharField(help_text="SHA-256 of what was looked at.", max_length=64)),
                ("reason", models.CharField(max_length=255, verbose_name="reason")),
                ("seen_by", models.CharField(help_text="Kept when the account is deleted.", max_length=150)),
                ("seen_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "company",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="core.company",
                    ),
                ),
            ],
            options={
                "ordering": ["-seen_at"],
                "indexes": [models.Index(fields=["day", "company"], name="seenexception_day")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("company", "kind", "subject", "checksum"), name="seenexception_once"
                    ),
                    length_between("reason", 1, 255, "seenexception_reason_length"),
                ],
            },
        ),
    ]
