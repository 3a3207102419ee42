"""What is done about a sheet becomes an operation, of which its state is told: each sheet gets the one it had last."""

import django.db.models.deletion
from django.db import migrations, models

UPDATED = 'The program was updated before it finished. Nothing was changed.'
PUT_AWAY = {
    'It was put away. Nothing was changed.': 'by_somebody',
    'Nobody decided about it. Nothing was changed.': 'undecided',
    'You sent newer sheets, and this one was put away. Nothing was changed.': 'newer_sent',
}
ENDED = {
    'waiting': 'failed',
    'checking': 'failed',
    'checked': 'succeeded',
    'queued': 'failed',
    'applying': 'failed',
    'imported': 'succeeded',
    'failed': 'failed',
    'put_away': 'cancelled',
}


def carry_over(apps, schema_editor):
    alias = schema_editor.connection.alias
    operations = apps.get_model('core', 'Operation').objects.using(alias)
    for upload in apps.get_model('core', 'UploadLog').objects.using(alias).order_by('created_at').iterator():
        upload.date_order = upload.summary.pop('date_order', None) or ''
        imported = operations.filter(pk=upload.former_operation_id, kind='import').first()
        # Of an import that had begun, its own row and the audit trail say how it ended; nobody else does.
        if imported is not None and upload.state != 'checked':
            upload.operation = imported
            if upload.state == 'put_away' and imported.state != 'cancelled':
                upload.put_away = PUT_AWAY.get(upload.message, 'by_somebody')
        else:
            is_at_work = upload.state in ('waiting', 'checking', 'queued', 'applying')
            ended = upload.finished_at or upload.created_at
            upload.operation = operations.create(
                # Not an import: none was begun, and the audit trail is told of those that failed.
                kind='import' if upload.state == 'imported' else 'check_sheet',
                state=ENDED[upload.state],
                message='' if upload.state in ('checked', 'put_away') else UPDATED if is_at_work else upload.message,
                result={'look_again': upload.message} if upload.state == 'checked' and upload.message else {},
                actor_id=upload.actor_id,
                actor_name=upload.actor_name,
                filename=upload.filename,
                done=upload.done,
                total=upload.total,
                phase_started_at=upload.created_at,
                started_at=upload.created_at,
                heartbeat_at=ended,
                finished_at=ended,
            )
            if upload.state == 'put_away':
                upload.put_away = PUT_AWAY.get(upload.message, 'by_somebody')
        upload.save(using=alias)


def carry_back(apps, schema_editor):
    """Sheets keep their files, and can be tried again."""
    alias = schema_editor.connection.alias
    uploads = apps.get_model('core', 'UploadLog').objects.using(alias)
    for upload in uploads.select_related('operation').iterator():
        is_imported = upload.operation.kind == 'import' and upload.operation.state == 'succeeded'
        is_put_away = upload.put_away or upload.operation.state == 'cancelled'
        upload.state = 'imported' if is_imported else 'put_away' if is_put_away else 'failed'
        upload.message = '' if is_imported else UPDATED
        upload.finished_at = upload.operation.finished_at or upload.created_at
        upload.save(using=alias)


class Migration(migrations.Migration):

    dependencies = [
        ('core', '0013_operation_state'),
    ]

    operations = [
        migrations.RenameField(
            model_name='uploadlog',
            old_name='operation_id',
            new_name='former_operation_id',
        ),
        migrations.AddField(
            model_name='uploadlog',
            name='operation',
            field=models.ForeignKey(help_text='Its check or import, whichever is the last.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='core.operation'),
        ),
        migrations.AddField(
            model_name='uploadlog',
            name='date_order',
            field=models.CharField(blank=True, default='', help_text='Chosen for dates that prove no order.', max_length=10),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='uploadlog',
            name='put_away',
            field=models.CharField(blank=True, choices=[('by_somebody', 'It was put away. Nothing was changed.'), ('undecided', 'Nobody decided about it. Nothing was changed.'), ('newer_sent', 'You sent newer sheets, and this one was put away. Nothing was changed.')], default='', max_length=20),
            preserve_default=False,
        ),
        migrations.RunPython(carry_over, carry_back, hints={'model_name': 'uploadlog'}),
    ]
