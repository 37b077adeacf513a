"""A person's table of known studies: read by the laboratory's reader, its mistakes said in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_noop

from cad_platform.core.sentences import Sentences

_TABLE = Sentences(
    {
        "line %(line)s: no column %(name)s": gettext_noop("line %(line)s: there is no column %(name)s"),
        "line %(line)s: column %(place)s has no name": gettext_noop(
            "line %(line)s: column %(place)s has no name"
        ),
        "line %(line)s: column %(name)s stands there twice": gettext_noop(
            "line %(line)s: column %(name)s stands there twice"
        ),
        "line %(line)s: %(values)s values under %(columns)s columns": gettext_noop(
            "line %(line)s: %(values)s values under %(columns)s columns"
        ),
        "line %(line)s: not UTF-8; save the table as CSV UTF-8": gettext_noop(
            "line %(line)s: not UTF-8; save the table as CSV UTF-8"
        ),
        # What Python's csv reader says.
        "line %(line)s: unexpected end of data": gettext_noop(
            "line %(line)s: a quotation mark is not closed"
        ),
        "line %(line)s: '%(delimiter)s' expected after '\"'": gettext_noop(
            "line %(line)s: a quotation mark stands within a value"
        ),
    }
)


class TableRefused(ValueError):
    """The table cannot be read; `reasons` are sentences in the language in use, each with its line."""

    def __init__(self, mistakes: tuple[str, ...]) -> None:
        self.reasons = tuple(_TABLE.words(mistake) or mistake for mistake in mistakes)
        super().__init__("\n".join(self.reasons))


def decoded(content: bytes) -> str:
    """The text of a table's file. Raises `TableRefused` where it is not UTF-8."""
    from inference.evaluation import table as spreadsheet

    try:
        return spreadsheet.decoded(content)
    except spreadsheet.TableError as error:
        raise TableRefused(error.mistakes) from None


def read_rows(text: str, *needed: str) -> list[tuple[int, Mapping[str, str]]]:
    """Rows with their lines, values by column (`inference.evaluation.table.rows_of`). Raises `TableRefused`."""
    from inference.evaluation import table as spreadsheet

    try:
        return spreadsheet.rows_of(text, *needed)
    except spreadsheet.TableError as error:
        raise TableRefused(error.mistakes) from None
