import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models
from django.db.models import F, Q
from django.db.models.lookups import Exact

from core.models import AsWritten, length_between


class Migration(migrations.Migration):
    dependencies = [("core", "0022_seen_exceptions")]

    operations = [
        migrations.CreateModel(
            "Seal",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("month", models.DateField(help_text="Its first day.", verbose_name="month")),
                ("closed_at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="closed")),
                (
                    "closed_by",
                    models.CharField(
                        help_text="Kept when the account is deleted.", max_length=150, verbose_name="closed by"
                    ),
                ),
                (
                    "closed_as",
                    models.CharField(
                        help_text="The name that the company had, of which the digest is.", max_length=255
                    ),
                ),
                (
                    "digest",
                    models.CharField(help_text="SHA-256 of the month's node when it was closed.", max_length=64),
                ),
                ("reopened_at", models.DateTimeField(blank=True, null=True, verbose_name="reopened")),
                ("reopened_by", models.CharField(blank=True, max_length=150, verbose_name="reopened by")),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="created")),
                ("updated_at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="updated")),
                (
                    "company",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="seals",
                        to="core.company",
                        verbose_name="company",
                    ),
                ),
            ],
            options={
                "ordering": ["company", "month", "closed_at"],
                "constraints": [
                    models.UniqueConstraint(fields=("company", "month", "closed_at"), name="seal_natural_key"),
                    models.CheckConstraint(
                        condition=Q(Exact(F("month"), AsWritten("month", "date"))), name="seal_month_is_a_day"
                    ),
                    length_between("closed_by", 1, 150, "seal_closed_by_length"),
                    length_between("closed_as", 1, 255, "seal_closed_as_length"),
                    length_between("digest", 64, 64, "seal_digest_length"),
                    length_between("reopened_by", 0, 150, "seal_reopened_by_length"),
                ],
            },
        ),
    ]
