"""The entry point of web servers (``gunicorn muster.wsgi``)."""

import os

from django.core.wsgi import get_wsgi_application

from core.checks import require_static_files
from muster.databases import keep_readable

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "muster.settings")
os.environ.setdefault("LOG_LEVEL", "INFO")  # a server logs what it does; see LOGGING

application = get_wsgi_application()
require_static_files()
keep_readable()
