"""The Django project: settings from the environment, routes, and the entry points of web servers."""

__version__ = "0.1.0"

SMALL_BODY_BYTES = 256 * 1024
"""The largest body of a request that is no upload: received before anybody asks who sends it."""
