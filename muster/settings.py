"""The settings, from environment variables. Their defaults make a local run work (``make run``).

Where a local run and a server need different values, the default is the safe one: DEBUG is off, only requests to this
machine are answered, and HTTPS is required as soon as ALLOWED_HOSTS names another host.
"""

import datetime as dt
from pathlib import Path
from typing import Any
from urllib.parse import quote

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from muster import SMALL_BODY_BYTES, __version__
from muster import environment as env

BASE_DIR = Path(__file__).resolve().parent.parent

# What this installation keeps on disk, unless other settings say where: databases, backups, secret key, log, static
# files.
DATA_DIR = Path(env.text("DATA_DIR", str(BASE_DIR / "var"))).absolute()
try:
    DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    SECRET_KEY = env.text("SECRET_KEY") or env.secret_key(DATA_DIR)
except OSError as error:
    raise ImproperlyConfigured(f"The folder DATA_DIR ({DATA_DIR}) cannot be used: {error.strerror}.") from error

DEBUG = env.flag("DEBUG")

# --- The register's settings

MUSTER_VERSION = __version__  # named in every backup file
INSTALLATION_NAME = env.text("INSTALLATION_NAME")  # blank: the machine's name
INSTALLATION_COLOURS = ["orange", "olive", "green", "teal", "blue", "indigo", "violet", "pink", "brown"]  # colours.css
INSTALLATION_COLOUR = env.choice("INSTALLATION_COLOUR", INSTALLATION_COLOURS)  # blank: one that follows from its id
BACKUP_DIR = Path(env.text("BACKUP_DIR", str(DATA_DIR / "backups"))).absolute()
MUSTER_MAX_FILE_BYTES = env.number("MUSTER_MAX_FILE_BYTES", 8 * 1024**3)  # of a backup file, decompressed
MUSTER_MAX_SHEET_UPLOAD_BYTES = env.number("MUSTER_MAX_SHEET_UPLOAD_BYTES", 100 * 1024**2)  # of a sheet to import
MUSTER_MAX_SHEET_BYTES = env.number("MUSTER_MAX_SHEET_BYTES", 1024**3)  # of a workbook (XLSX), unpacked
MUSTER_MAX_UPLOAD_BYTES = env.number("MUSTER_MAX_UPLOAD_BYTES", 2 * 1024**3)  # of an uploaded backup file
MUSTER_REFERENCE_STORE = env.flag("MUSTER_REFERENCE_STORE")  # Django's ORM instead of each database's own SQL
# How long to wait for another restore or import. Databases count it in milliseconds, up to 2^31.
LOCK_WAIT_SECONDS = env.number("LOCK_WAIT_SECONDS", 30, largest=2_000_000)
SAVE_WAIT_SECONDS = env.number("SAVE_WAIT_SECONDS", 4, largest=60)  # the same, while a person waits for a page

# --- Databases (see muster.routers and recordsync.routers)

_local_file = f"sqlite:///{quote(str(DATA_DIR / 'muster.sqlite3'))}"
_register = env.database("DATABASE_URL", env.text("DATABASE_URL", _local_file))

DATABASES: dict[str, dict[str, Any]] = {
    "default": _register,
    "jobs": env.database_beside("JOBS_DATABASE_URL", _register, "jobs"),
    "history": env.database_beside("HISTORY_DATABASE_URL", _register, "history"),
}
DATABASE_VARIABLES = {"default": "DATABASE_URL", "jobs": "JOBS_DATABASE_URL", "history": "HISTORY_DATABASE_URL"}
DATABASE_ROUTERS = ["recordsync.routers.HistoryRouter", "muster.routers.JobsRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

env.refuse_one_for_two({DATABASE_VARIABLES[alias]: config for alias, config in DATABASES.items()}, "DATABASE_URL")
JOBS_SHARE_DATABASE = env.is_same(DATABASES["jobs"], _register)
HISTORY_SHARE_DATABASE = env.is_same(DATABASES["history"], _register)

# --- The history of the register

RECORDSYNC_SCHEMA = "core.register.declared.SCHEMA"
RECORDSYNC_HISTORY = {"default": "history"}
HISTORY_KEEP = env.number("HISTORY_KEEP", 100, smallest=1)  # the last snapshots; those that left in files stay as well

# --- Application

INSTALLED_APPS = [
    "core.apps.CoreConfig",
    "core.apps.RootAdminConfig",
    "recordsync.apps.RecordSyncConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "axes",
    "csp",
    "django_tasks",
    "django_tasks_db",
]

MIDDLEWARE = [
    "core.web.bodies.BodyLimitMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "core.web.middleware.PageMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "muster.urls"
WSGI_APPLICATION = "muster.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}

# --- Accounts

AUTH_USER_MODEL = "core.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "dashboard"
CSRF_FAILURE_VIEW = "core.web.typed.csrf_failure"
LOGOUT_REDIRECT_URL = "login"

# After five wrong passwords for one name from one address, there is a wait of a quarter of an hour
# (core.accounts.sign_in). The counts are in the jobs database, so that people can sign in while a restore holds the
# register.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_FAILURE_LIMIT = 5
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_COOLOFF_TIME = dt.timedelta(minutes=15)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_HANDLER = "core.accounts.sign_in.SignInHandler"
AXES_CLIENT_IP_CALLABLE = "core.accounts.sign_in.client_address"
AXES_LOCKOUT_CALLABLE = "core.web.views.accounts.locked_out"
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

# --- Who may reach it, and how

_LOCAL_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS = env.names("ALLOWED_HOSTS") or _LOCAL_HOSTS
CSRF_TRUSTED_ORIGINS = env.names("CSRF_TRUSTED_ORIGINS")

# The servers in front, whose X-Forwarded-For gives the address of the visitor (core.accounts.sign_in.client_address).
TRUSTED_PROXIES = env.networks("TRUSTED_PROXIES")

# A proxy in front that ends HTTPS says so in X-Forwarded-Proto, which gunicorn believes from the addresses
# in TRUSTED_PROXIES; without these, from this machine, or from those in its own variable FORWARDED_ALLOW_IPS.
HTTPS = env.flag("HTTPS", default=not set(ALLOWED_HOSTS) <= set(_LOCAL_HOSTS))
SECURE_SSL_REDIRECT = HTTPS
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = env.number("HSTS_SECONDS", 30 * 24 * 3600) if HTTPS else 0
SILENCED_SYSTEM_CHECKS = [
    # HSTS for sub-domains and the browsers' preload list bind a whole domain, so its owner has to decide on them.
    "security.W005",
    "security.W021",
]
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],  # Bootstrap's icons
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

# --- Language and time

LANGUAGE_CODE = "en"
USE_I18N = True
USE_TZ = True
TIME_ZONE = env.zone("TIME_ZONE", "UTC")
FORMAT_MODULE_PATH = "muster.formats"

# --- Files

DATA_UPLOAD_MAX_MEMORY_SIZE = SMALL_BODY_BYTES  # of a form, without its files
FILE_UPLOAD_TEMP_DIR = DATA_DIR / "incoming"  # files that are being received

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STORAGES = {
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
    "backups": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {
            "location": BACKUP_DIR,
            "base_url": None,  # never served: downloads go through a view that checks the account
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    },
    "uploads": {  # sheets that people sent, until they are imported
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {
            "location": DATA_DIR / "uploads",
            "base_url": None,
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    },
}

# --- Logging
#
# Everything from INFO goes to a file in DATA_DIR, tracebacks included. Servers (wsgi, and the worker in Procfile)
# set LOG_LEVEL to INFO and so write it to standard error as well, where their supervisor collects it. A command writes
# only its own output, unless LOG_LEVEL asks for more.

LOG_LEVEL = env.choice("LOG_LEVEL", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
_handlers = ["file", "console"] if LOG_LEVEL else ["file"]
_level = "DEBUG" if LOG_LEVEL == "DEBUG" else "INFO"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "muster.logs.LineFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s [%(process)d] %(message)s",
            "datefmt": "%Y-%m-%dT%H:%M:%S%z",
        },
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "level": LOG_LEVEL or "WARNING", "formatter": "line"},
        "file": {
            "class": "muster.logs.SharedRotatingFileHandler",
            "filename": str(DATA_DIR / "muster.log"),
            "maxBytes": 10 * 1024**2,
            "backupCount": 5,
            "formatter": "line",
        },
    },
    "loggers": {
        "core": {"handlers": _handlers, "level": _level, "propagate": False},
        "recordsync": {"handlers": _handlers, "level": _level, "propagate": False},
        "django": {"handlers": _handlers, "level": "INFO", "propagate": False},
        "axes": {"handlers": _handlers, "level": "WARNING", "propagate": False},
        "psycopg": {"handlers": _handlers, "level": "WARNING", "propagate": False},
        "django_tasks": {"handlers": _handlers, "level": _level, "propagate": False},
        "django_tasks_db": {"handlers": _handlers, "level": _level, "propagate": False},
    },
    "root": {"handlers": ["console"], "level": "WARNING"},
}
