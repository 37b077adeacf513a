"""Why a file gives no picture, in a sentence a person can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class ImagingError(Exception):
    """A file cannot be read. `reason` is a plain sentence without the file's name, so that the caller can
    say which file; `code` is a stable word for programs."""

    code = "unreadable"

    def __init__(self, reason: str, *, code: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        if code:
            self.code = code


class NotAnImage(ImagingError):
    """The bytes are no format that we read."""

    code = "not_an_image"


class DamagedFile(ImagingError):
    """The format is right, the content is truncated or contradicts itself."""

    code = "damaged"


class UnsupportedEncoding(ImagingError):
    """A format or compression that no decoder here reads."""

    code = "unsupported_encoding"


class TooLarge(ImagingError):
    """Decoding would need more memory or time than one file may have."""

    code = "too_large"


class NoSuchFrame(ImagingError, IndexError):
    """The file is sound but has no such frame, tile or level."""

    code = "no_such_frame"


class DecoderUnavailable(ImagingError):
    """The decoding process could not be started, or was stopped for memory that others needed: the machine's fault,
    not the file's. Worth a retry."""

    code = "decoder_unavailable"


@contextmanager
def only_imaging_errors() -> Iterator[None]:
    """The libraries below raise some forty types on malformed input. They end here."""
    try:
        yield
    except ImagingError:
        raise
    except MemoryError as error:
        raise TooLarge("Decoding this file needs more memory than one file may have.") from error
    except RecursionError as error:
        raise DamagedFile("The file's structure is nested too deeply to be genuine.") from error
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise NotAnImage("The file cannot be opened.", code="not_found") from error
    except Exception as error:
        raise DamagedFile("The file is damaged: its content contradicts itself.") from error
