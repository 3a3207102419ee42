from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("recordsync", "0003_blocks_as_they_are")]

    operations = [
        migrations.AlterField("dirty", "parent", models.TextField()),
        migrations.AlterField("leaf", "parent", models.TextField()),
    ]
