"""The Django project: settings from the environment, routes, and the entry points of web servers."""

__version__ = "0.1.0"

SMALL_BODY_BYTES = 256 * 1024
"""The largest request body, in bytes, that is received before anybody checks who sends it. Only uploads are larger."""
