"""How the web server runs. gunicorn reads this in the folder where it is started: ``gunicorn muster.wsgi``.

What is given on its command line goes before.
"""

import os

bind = f"127.0.0.1:{os.environ.get('PORT') or 8000}"
workers = 2
threads = 4
worker_class = "muster.server.Worker"
graceful_timeout = 3
control_socket_disable = True
if os.environ.get("TRUSTED_PROXIES", "").strip():  # else gunicorn's own: this machine, or FORWARDED_ALLOW_IPS
    forwarded_allow_ips = os.environ["TRUSTED_PROXIES"]
