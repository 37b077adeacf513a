"""`python -m embedded.translations`: compile every message catalogue, without GNU gettext on the machine."""

from __future__ import annotations

import sys

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from embedded.state import REPOSITORY


def main() -> int:
    """Compile every catalogue; 1 where one has an error, which is named."""
    for source in sorted((REPOSITORY / "cad_platform" / "locale").glob("*/LC_MESSAGES/*.po")):
        language = source.parents[1].name
        with source.open("rb") as catalogue_file:
            catalogue = read_po(catalogue_file, locale=language, abort_invalid=True)
        errors = [(message, error) for message, found in catalogue.check() for error in found]
        for message, error in errors:
            print(f"{source.relative_to(REPOSITORY)}:{message.lineno}: {error}", file=sys.stderr)
        if errors:
            return 1
        fresh = source.with_suffix(".mo.new")
        with fresh.open("wb") as compiled:
            write_mo(compiled, catalogue)
        fresh.replace(source.with_suffix(".mo"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
