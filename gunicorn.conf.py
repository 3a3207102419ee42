"""The settings of the web server. gunicorn reads them in the folder where it is started: ``gunicorn muster.wsgi``.

Options on its command line override them.
"""

import sys
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

sys.path.insert(0, str(Path(__file__).parent))  # gunicorn does this only after it has read this file

from muster import environment as env

try:
    bind = f"127.0.0.1:{env.number('PORT', 8000, largest=65535)}"
    proxies = env.networks("TRUSTED_PROXIES")
except ImproperlyConfigured as error:
    sys.exit(f"Error: {error}")
workers = 2
threads = 4
worker_connections = 500  # a process may have 1,024 open files, and what a connection sends is kept in memory
worker_class = "muster.server.Worker"
graceful_timeout = 3
control_socket_disable = True
if proxies:  # otherwise gunicorn's default: this machine, or FORWARDED_ALLOW_IPS
    forwarded_allow_ips = ",".join(map(str, proxies))
