"""The entry point of web servers (``gunicorn muster.wsgi``)."""

import gc
import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

from core.checks import require_static_files
from muster.databases import keep_readable

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "muster.settings")
os.environ.setdefault("LOG_LEVEL", "INFO")  # a server logs what it does; see LOGGING

application = get_wsgi_application()
require_static_files()
keep_readable()

# A page of many rows sets off a full collection of garbage, which would go through the whole program as well: 60 ms.
# What is loaded by now stays, so it is left out. The addresses load the pages.
get_resolver().url_patterns  # noqa: B018 - to read it loads them
gc.collect()
gc.freeze()
