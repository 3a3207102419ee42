"""The entry point of asynchronous web servers."""

import os

from django.core.asgi import get_asgi_application

from core.checks import require_static_files

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "muster.settings")
os.environ.setdefault("LOG_LEVEL", "INFO")  # a server tells what it does; see LOGGING

application = get_asgi_application()
require_static_files()
