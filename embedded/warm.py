"""`python -m embedded.warm GATE -m MODULE ARGUMENTS`: load the libraries, wait for the file GATE, then run the module.

Half of what a web server needs to start is code that does not change while somebody works on ours. Under bin/dev one
process has loaded it and waits; a change opens its gate, and it loads what is ours as it stands then.
"""

from __future__ import annotations

import contextlib
import importlib
import runpy
import sys
import time
from pathlib import Path

#: None of these reads the settings, so none loads a module of ours before the gate opens.
LIBRARIES = (
    "celery.app.base",
    "django.contrib.auth.hashers",
    "django.core.handlers.asgi",
    "django.db.backends.postgresql.base",
    "django.forms",
    "django.template.backends.django",
    "django.test.client",
    "httpx",
    "jinja2",
    "jsonschema",
    "kombu.transport.redis",
    "markdown_it",
    "numpy",
    "psycopg_pool",
    "pydantic.main",
    "requests",
    "rich.console",
    "rich.traceback",
    "structlog",
    "uvicorn.protocols.http.httptools_impl",
    "uvloop",
    "yaml",
)
_LOOK_SECONDS = 0.02


def main(arguments: list[str]) -> None:
    """Wait at the gate, then become the module."""
    gate, _, module, *rest = arguments
    for library in LIBRARIES:
        # One that a hospital's set does not bring costs its time later, and only then.
        with contextlib.suppress(ImportError):
            importlib.import_module(library)
    while not Path(gate).exists():
        time.sleep(_LOOK_SECONDS)
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
