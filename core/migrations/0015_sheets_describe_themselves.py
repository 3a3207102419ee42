import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('core', '0014_sheets_by_operations'),
    ]

    operations = [
        migrations.AlterField(
            model_name='uploadlog',
            name='operation',
            field=models.ForeignKey(help_text='Its check or import, whichever is the last.', on_delete=django.db.models.deletion.PROTECT, related_name='+', to='core.operation'),
        ),
        *(
            migrations.RemoveField(model_name='uploadlog', name=name)
            for name in ('former_operation_id', 'state', 'done', 'total', 'message', 'finished_at', 'task_id')
        ),
    ]
