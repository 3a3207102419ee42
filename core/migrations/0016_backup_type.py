# The type of a backup (full, incremental) has the name that it has in its file: operations are of kinds.

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('core', '0015_sheets_describe_themselves'),
    ]

    operations = [
        migrations.RenameField(model_name='backup', old_name='kind', new_name='backup_type'),
        migrations.AlterField(
            model_name='backup',
            name='backup_type',
            field=models.CharField(choices=[('full', 'Full'), ('incremental', 'Incremental')], max_length=12, verbose_name='kind'),
        ),
    ]
