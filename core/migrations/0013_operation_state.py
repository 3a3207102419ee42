from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('core', '0012_upload_task'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='operation',
            name='operation_outcome',
        ),
        migrations.RenameField(
            model_name='operation',
            old_name='outcome',
            new_name='state',
        ),
        migrations.AlterField(
            model_name='operation',
            name='state',
            field=models.CharField(choices=[('waiting', 'Waiting'), ('running', 'Running'), ('succeeded', 'Succeeded'), ('failed', 'Failed'), ('cancelled', 'Cancelled')], default='running', max_length=10, verbose_name='outcome'),
        ),
        migrations.AddIndex(
            model_name='operation',
            index=models.Index(fields=['state', 'started_at'], name='operation_state'),
        ),
    ]
