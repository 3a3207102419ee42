"""The Django project: settings from the environment, routes, and the entry points of web servers."""

__version__ = "0.1.0"
