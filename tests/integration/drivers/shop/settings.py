"""Django's settings for django_session.py, which passes on where to connect to."""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

_STEP, _URI, *_FLAGS = sys.argv[1:]
_PARTS = urlsplit(_URI)

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": _PARTS.hostname,
        "PORT": _PARTS.port,
        "USER": _PARTS.username,
        "NAME": _PARTS.path[1:],
        "OPTIONS": {"server_side_binding": "server-side" in _FLAGS},
    }
}
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.postgres",
    "django.contrib.admin",
    "tests.integration.drivers.shop",
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SECRET_KEY = "tests"
USE_TZ = True
