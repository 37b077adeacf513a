"""What every deployment shares. Addresses and secrets come from the environment (docs/operations.md)."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF
from django.utils.translation import gettext_lazy as _
from kombu import Exchange, Queue

from cad_platform.config.settings.environment import (
    REPOSITORY,
    database,
    listed,
    networks,
    number,
    required,
    state_dir,
    value,
    whole,
)
from cad_platform.core.queues import MAINTENANCE, QUEUES

BASE_DIR = REPOSITORY
STATE_DIR = state_dir()
DATA_DIR = value("CAD_DATA_DIR") or str(REPOSITORY.parent / "shared" / "data")
LABORATORY_PYTHON = value("CAD_LABORATORY_PYTHON") or sys.executable
MODEL_STORE = Path(value("CAD_MODEL_STORE") or REPOSITORY / "model_store").absolute()

SECRET_KEY = required("CAD_SECRET_KEY")
DEBUG = False
ALLOWED_HOSTS = listed("CAD_ALLOWED_HOSTS")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "pgtrigger",
    "pghistory",
    "csp",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "cad_platform.core",
    "cad_platform.accounts",
    "cad_platform.audit",
    "cad_platform.patients",
    "cad_platform.studies",
    "cad_platform.modelserver",
    "cad_platform.registry",
    "cad_platform.analysis",
    "cad_platform.reading",
    "cad_platform.reporting",
    "cad_platform.quality",
    "cad_platform.delivery",
    "cad_platform.learning",
    "cad_platform.records",
    "cad_platform.web",
    "cad_platform.api",
    "cad_platform.operations",
    "cad_platform.demo",
]

MIDDLEWARE = [
    "cad_platform.web.client_address.ClientAddressMiddleware",
    "cad_platform.web.middleware.RequestIdMiddleware",
    "cad_platform.web.middleware.PlainQueryMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "cad_platform.web.middleware.LocalTimeMiddleware",
    "cad_platform.web.session_guard.SessionGuardMiddleware",
    "cad_platform.web.middleware.HistoryContextMiddleware",
    "cad_platform.web.middleware.ErrorPageMiddleware",
]

ROOT_URLCONF = "cad_platform.config.urls"
ASGI_APPLICATION = "cad_platform.config.asgi.application"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "cad_platform" / "web" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "cad_platform.web.context.page",
            ],
        },
    }
]

# --- database -----------------------------------------------------------------------------------------
# The application's role owns no table; migrations, backup and restore run as the owner.
OWNER_COMMANDS = {
    *("migrate", "makemigrations", "sqlmigrate", "pgtrigger"),
    *("backup", "restore"),
}
_as_owner = len(sys.argv) > 1 and sys.argv[1] in OWNER_COMMANDS
DATABASE_URL = required("DATABASE_URL")
DATABASE_OWNER_URL = value("CAD_DATABASE_OWNER_URL") or DATABASE_URL
DATABASES = {"default": database(DATABASE_OWNER_URL if _as_owner else DATABASE_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
#: The role that `migrate` grants the application's rights to.
DATABASE_APP_ROLE = str(database(DATABASE_URL)["USER"])

# --- accounts -----------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_ADAPTER = "cad_platform.accounts.adapter.AccountAdapter"
ACCOUNT_FORMS = {
    "login": "cad_platform.accounts.sign_in_forms.SignInForm",
    "change_password": "cad_platform.accounts.sign_in_forms.ChangePasswordForm",  # pragma: allowlist secret
}
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
#: Wrong passwords are counted by `accounts.sign_in_limits`: shared by all replicas, and no limit for a whole address.
ACCOUNT_RATE_LIMITS = {"login_failed": None, "login": None}
#: Administrators belong to no site: their workplaces are locked after so many minutes; 0 for never.
IDLE_LOCK_MINUTES = whole("CAD_IDLE_LOCK_MINUTES")
#: After an administrator's reset a person's signing rests for so long (ADR 34); 0 for not at all.
SIGNING_REST_HOURS = number("CAD_SIGNING_REST_HOURS")
SESSION_COOKIE_AGE = int(timedelta(hours=10).total_seconds())
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "cad_platform.web.session_guard.csrf_failure"
# Two copies on one host differ only in the port, which cookies do not know.
SESSION_COOKIE_NAME = f"cad_session_{value('CAD_PORT')}"
CSRF_COOKIE_NAME = f"cad_csrf_{value('CAD_PORT')}"

#: Reverse proxies whose `X-Forwarded-*` headers are believed: addresses and networks. Nobody else's are.
TRUSTED_PROXIES = networks("CAD_TRUSTED_PROXIES")

# --- the browser --------------------------------------------------------------------------------------
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        # Viewers position their canvases with style attributes; no style sheet may be inline.
        "style-src-attr": ["'unsafe-inline'"],
        "img-src": [SELF, "data:", "blob:"],
        "worker-src": [SELF, "blob:"],
        "connect-src": [SELF],
        "font-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "frontend" / "dist"] if (BASE_DIR / "frontend" / "dist").is_dir() else []
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
LOCALE_PATHS = [BASE_DIR / "cad_platform" / "locale"]
TIME_ZONE = value("CAD_TIME_ZONE")
USE_I18N = True
USE_TZ = True

# --- files --------------------------------------------------------------------------------------------
BACKUP_KEY_FILE = value("CAD_BACKUP_KEY_FILE")
DRILL_DATABASE_URL = value("CAD_DRILL_DATABASE_URL")
STORAGE_URL = value("CAD_STORAGE_URL") or f"file://{STATE_DIR / 'objects'}"
#: How much of a bucket may be kept on the local disk.
STORAGE_CACHE_BYTES = whole("CAD_STORAGE_CACHE_BYTES")
#: A study that is still arriving is complete when nothing of it has come for so long.
STUDY_QUIET_SECONDS = number("CAD_STUDY_QUIET_SECONDS")
#: A file that no row names is left alone for so long: somebody may be about to name it.
COLLECT_AFTER_SECONDS = whole("CAD_COLLECT_AFTER_SECONDS")
#: Uploads are received here; on the same file system as local storage, so that moving is a rename.
UPLOAD_DIR = STATE_DIR / "uploads"
UPLOAD_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
FILE_UPLOAD_TEMP_DIR = str(UPLOAD_DIR)
#: Decoded frames and thumbnails: can be made again, are kept while they fit.
DERIVED_CACHE_DIR = STATE_DIR / "cache" / "derived"
DERIVED_CACHE_BYTES = whole("CAD_DERIVED_CACHE_BYTES")
MAX_UPLOAD_BYTES = whole("CAD_MAX_UPLOAD_BYTES")
#: Address space of the process that measures an acceptance.
ACCEPTANCE_MEMORY_BYTES = whole("CAD_ACCEPTANCE_MEMORY_BYTES")
#: Kept free on the disk of UPLOAD_DIR; a body that would eat into it is refused before it is read.
DISK_RESERVE_BYTES = whole("CAD_DISK_RESERVE_BYTES")
#: A sender that is silent for so long, or slower than the rate after that time, is answered 408.
BODY_IDLE_SECONDS = number("CAD_BODY_IDLE_SECONDS")
BODY_MIN_BYTES_PER_SECOND = number("CAD_BODY_MIN_BYTES_PER_SECOND")
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_621_440
DATA_UPLOAD_MAX_NUMBER_FILES = 2000

# --- work ---------------------------------------------------------------------------------------------
BROKER_URL = required("CAD_BROKER_URL")
CELERY_BROKER_URL = BROKER_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_SOFT_TIME_LIMIT = 3300
CELERY_TASK_TIME_LIMIT = 3600
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # Above the hard limit, or a long slide would be handed out twice.
    "visibility_timeout": 2 * CELERY_TASK_TIME_LIMIT,
    "socket_connect_timeout": 3,
    "socket_timeout": 15,
    "socket_keepalive": True,
    "health_check_interval": 10,
    # In the order of CELERY_TASK_QUEUES, where a worker serves several.
    "queue_order_strategy": "priority",
    "global_keyprefix": value("CAD_BROKER_PREFIX"),
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_QUEUES = [Queue(name, Exchange(name), routing_key=name) for name in QUEUES]
CELERY_TASK_ROUTES = ["cad_platform.core.queues.route"]
CELERY_TASK_DEFAULT_QUEUE = MAINTENANCE
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE = {
    # Expires, so that sweeps do not pile up behind long jobs.
    "sweep-jobs": {"task": "analysis.sweep", "schedule": timedelta(seconds=5), "options": {"expires": 5}},
    # Readers do the same when they look; this saves them the wait.
    "keep-worklist": {
        "task": "reading.keep_worklist",
        "schedule": timedelta(seconds=15),
        "options": {"expires": 15},
    },
    "verify-audit": {"task": "audit.verify", "schedule": timedelta(days=1)},
    "purge-outbox": {"task": "operations.purge_outbox", "schedule": timedelta(hours=1)},
    "collect-files": {"task": "studies.collect_files", "schedule": timedelta(minutes=30)},
    # Nothing to do but after an update; a slice takes 5 seconds.
    "describe-again": {
        "task": "studies.describe_again",
        "schedule": timedelta(seconds=30),
        "options": {"expires": 30},
    },
    "purge-sign-in-counts": {"task": "accounts.purge_sign_in_counts", "schedule": timedelta(hours=1)},
    # Measures what the alerts' rules watch.
    "watch-models": {
        "task": "quality.watch",
        "schedule": timedelta(minutes=5),
        "options": {"expires": 300},
    },
    "test-devices": {
        "task": "quality.test_devices",
        "schedule": timedelta(hours=1),
        "options": {"expires": 3600},
    },
    "run-known-cases": {
        "task": "quality.run_known_cases",
        "schedule": timedelta(hours=1),
        "options": {"expires": 3600},
    },
    # Each signed verdict every thirty days.
    "repeat-acceptances": {"task": "quality.repeat_acceptances", "schedule": timedelta(days=1)},
    "expire-idempotent-answers": {
        "task": "api.expire_idempotent_answers",
        "schedule": timedelta(hours=1),
    },
}
CELERY_BEAT_SCHEDULE_FILENAME = str(STATE_DIR / "celerybeat-schedule")

MODEL_SERVER = value("CAD_MODEL_SERVER")  # or "inprocess"


#: The fleet as far as it stands in the environment (`modelserver.discovery`): addresses, or names that lead to several
#: (`dns+http://torchserve:8080`). The others are in their order, one for each address or one for all.
TORCHSERVE_URLS = listed("CAD_TORCHSERVE_URL")
TORCHSERVE_MANAGEMENT_URLS = listed("CAD_TORCHSERVE_MANAGEMENT_URL")
#: Where their counters are read (`/metrics`), in the order of the addresses.
TORCHSERVE_METRICS_URLS = listed("CAD_TORCHSERVE_METRICS_URL")
#: Files that each TorchServe's tokens are renewed in; `{host}` stands for a host's name or number.
TORCHSERVE_KEY_FILES = listed("CAD_TORCHSERVE_KEY_FILE")
#: Certificates of a hospital's own authority.
TORCHSERVE_CA_FILE = value("CAD_TORCHSERVE_CA_FILE")
#: A plain token, for hosts without such a file.
TORCHSERVE_TOKEN = value("CAD_TORCHSERVE_TOKEN")
#: Calls at a time from one process to one host.
TORCHSERVE_CONCURRENCY = whole("CAD_TORCHSERVE_CONCURRENCY")
#: A worker holds a job for so long at a time and renews it every third of that.
JOB_LEASE_SECONDS = whole("CAD_JOB_LEASE_SECONDS")
#: Attempts that the job itself spoilt; those that found the model server away do not count.
JOB_MAX_ATTEMPTS = whole("CAD_JOB_MAX_ATTEMPTS")
#: One attempt may take so long; below Celery's own limits, which are the last resort.
JOB_DEADLINE_SECONDS = number("CAD_JOB_DEADLINE_SECONDS")
#: After so long a wait a job gets its turn by age: one claim in five, whatever is more urgent.
JOB_AGED_AFTER = timedelta(minutes=number("CAD_JOB_AGED_AFTER_MINUTES"))
#: For so long a job waits for a model server that is away.
JOB_PATIENCE = timedelta(hours=number("CAD_JOB_PATIENCE_HOURS"))

#: Priority → seconds after which one that still waits makes the platform degraded (`/readyz`).
QUEUE_ALERT_SECONDS = {
    name.strip(): float(seconds)
    for name, _colon, seconds in (each.partition("=") for each in listed("CAD_QUEUE_ALERT_SECONDS"))
}
#: Who scrapes `/metrics` brings it as a bearer token; empty: administrators alone may read them.
METRICS_TOKEN = value("CAD_METRICS_TOKEN")
OTLP_ENDPOINT = value("CAD_OTLP_ENDPOINT").rstrip("/")

# --- other systems ------------------------------------------------------------------------------------
#: Where others reach the platform, for addresses in what is sent to them.
PUBLIC_URL = value("CAD_PUBLIC_URL") or f"http://127.0.0.1:{value('CAD_PORT')}"
#: `host[:port]` over https, `http://host[:port]` without: the only ones that webhooks may lead to.
WEBHOOK_ALLOWED_HOSTS = listed("CAD_WEBHOOK_ALLOWED_HOSTS")
#: Tries before an event is given up; with the pauses in between the last is after about 15 hours.
WEBHOOK_MAX_ATTEMPTS = whole("CAD_WEBHOOK_MAX_ATTEMPTS")

#: `smtp://host:port`, `smtp+tls://` (STARTTLS) or `smtps://`, with `user:password@` where it asks; empty for none.
MAIL_SERVER = value("CAD_MAIL_SERVER")
MAIL_FROM = value("CAD_MAIL_FROM")
#: The only domains that alerts are sent to by e-mail.
MAIL_ALLOWED_DOMAINS = [each.lower() for each in listed("CAD_MAIL_ALLOWED_DOMAINS")]

# --- API ----------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "cad_platform.api.authentication.BearerTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "EXCEPTION_HANDLER": "cad_platform.api.problems.exception_handler",
    # Counted for all replicas together; pixels, thumbnails and tiles apart, of which a viewer asks for many.
    "DEFAULT_THROTTLE_CLASSES": ["cad_platform.api.throttles.CallerThrottle"],
    "DEFAULT_THROTTLE_RATES": {
        "token": value("CAD_API_RATE"),
        "image": value("CAD_IMAGE_RATE"),
    },
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Breast-imaging CAD platform",
    "DESCRIPTION": "Studies in, analyses and signed reports out. Research software, not a medical device.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",  # pydantic's schemas are JSON Schema 2020-12
    "POSTPROCESSING_HOOKS": [],  # choices stay where they are used
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# Every history row declares what the application may do with it.
PGHISTORY_BASE_MODEL = "cad_platform.core.models.Event"

CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    # What replicas of the web server count together (`api.throttles`). Nothing fails where it is away.
    "shared": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": BROKER_URL,
        "KEY_PREFIX": f"{CELERY_BROKER_TRANSPORT_OPTIONS['global_keyprefix']}cache",
        "OPTIONS": {"socket_connect_timeout": 0.5, "socket_timeout": 0.5},
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "cad_platform.operations.logging.JsonFormatter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["console"], "level": value("CAD_LOG_LEVEL")},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "httpx": {"level": "WARNING"},
        "pydicom": {"level": "ERROR"},
    },
}

SILENCED_SYSTEM_CHECKS: list[str] = []
