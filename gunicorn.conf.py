"""How the web server runs. gunicorn reads this in the folder where it is started: ``gunicorn muster.wsgi``.

What is given on its command line goes before.
"""

import sys
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

sys.path.insert(0, str(Path(__file__).parent))  # gunicorn does so only when it has read this

from muster import environment as env

try:
    bind = f"127.0.0.1:{env.number('PORT', 8000, largest=65535)}"
    proxies = env.networks("TRUSTED_PROXIES")
except ImproperlyConfigured as error:
    sys.exit(f"Error: {error}")
workers = 2
threads = 4
worker_connections = 500  # a process may have 1,024 open files, and each connection keeps what it has sent in memory
worker_class = "muster.server.Worker"
graceful_timeout = 3
control_socket_disable = True
if proxies:  # else gunicorn's own: this machine, or FORWARDED_ALLOW_IPS
    forwarded_allow_ips = ",".join(map(str, proxies))
