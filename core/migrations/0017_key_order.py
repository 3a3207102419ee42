from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('core', '0016_backup_type'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='attendancerecord',
            name='attendance_company_day',
        ),
        migrations.RemoveConstraint(
            model_name='attendancerecord',
            name='attendance_natural_key',
        ),
        migrations.AddConstraint(
            model_name='attendancerecord',
            constraint=models.UniqueConstraint(fields=('company', 'date', 'ep_no'), name='attendance_natural_key'),
        ),
        migrations.AddIndex(
            model_name='attendancerecord',
            index=models.Index(fields=['company', 'ep_no', 'date'], name='attendance_employee'),
        ),
    ]
