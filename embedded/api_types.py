"""`frontend/src/api_types.ts`: the platform's JSON answers as TypeScript types, made from its OpenAPI file.

`python -m embedded.api_types` writes the file, with `--check` it says whether the committed one is what would be
written; `bin/test` asks that, so that an answer cannot change without the front end's types."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from embedded import bootstrap
from embedded.package_managers import NODE, PYTHON
from embedded.state import REPOSITORY

TYPES = REPOSITORY / "frontend" / "src" / "api_types.ts"
_HEADER = "// Made by `npm run types` from the platform's OpenAPI file. Not to be edited.\n\n"
#: Nothing is connected to; the settings only want to be complete.
_SETTINGS_ONLY = {
    "CAD_SECRET_KEY": "for-the-schema-only",
    "DATABASE_URL": "postgresql://schema@/schema",
    "CAD_BROKER_URL": "redis://127.0.0.1/0",
}


def made() -> str:
    """The types as they follow from the platform's code now.

    Raises
    ------
    subprocess.CalledProcessError
        The platform makes no schema, or the schema no types; what it said stands on the error output.
    """
    with tempfile.TemporaryDirectory(prefix="cad-types-") as folder:
        schema, types = Path(folder) / "openapi.json", Path(folder) / "api_types.ts"
        spectacular = [str(PYTHON), "manage.py", "spectacular", "--format", "openapi-json"]
        settings = ["--custom-settings", "cad_platform.api.page_schema.SETTINGS"]
        subprocess.run(
            [*spectacular, *settings, "--fail-on-warn", "--file", str(schema)],
            cwd=REPOSITORY,
            env={**os.environ, **_SETTINGS_ONLY, "CAD_STATE_DIR": folder},
            check=True,
        )
        document = json.loads(schema.read_text())
        # What is asked where stands in the code that asks; the types are of the answers.
        schema.write_text(json.dumps(_without_titles({**document, "paths": {}})))
        node = str(NODE / "bin" / "node")
        generator = bootstrap.FRONTEND / "node_modules" / "openapi-typescript" / "bin" / "cli.js"
        options = ["--root-types", "--root-types-no-schema-prefix", "--default-non-nullable", "false"]
        subprocess.run(
            [node, str(generator), str(schema), "--output", str(types), *options],
            cwd=bootstrap.FRONTEND,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        return _HEADER + types.read_text()


def _without_titles(node: Any) -> Any:
    """Pydantic gives every field a title that only says its name again."""
    if isinstance(node, dict):
        return {
            name: _without_titles(value)
            for name, value in node.items()
            if not (name == "title" and isinstance(value, str))
        }
    return [_without_titles(value) for value in node] if isinstance(node, list) else node


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m embedded.api_types", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail where the file would change"
    )
    options = parser.parse_args(arguments)
    types = made()
    if not options.check:
        TYPES.write_text(types)
        return 0
    if TYPES.exists() and TYPES.read_text() == types:
        return 0
    print(
        f"{TYPES.relative_to(REPOSITORY)} is not what the API says: npm run types (in frontend/) writes it."
    )
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
