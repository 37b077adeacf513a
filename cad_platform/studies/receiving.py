"""From posted files and a `study` part to one consistent study, or to the reasons why there is none.

Nothing here touches the database.
"""

from __future__ import annotations

from collections.abc import Sequence

from cad_platform.core.errors import FieldError, FileOutcome, Invalid
from cad_platform.studies.describing import PostedFile, describe_each, refusal
from cad_platform.studies.merging import Merge
from cad_platform.studies.post import ImagePart, StudyPost
from cad_platform.studies.received import ReceivedStudy
from imaging.errors import ImagingError


def assemble(post: StudyPost, files: Sequence[PostedFile], charset: str = "") -> ReceivedStudy:
    """Describe every file in the sandbox and merge the post over the headers.

    Parameters
    ----------
    post
        What the sender says; it overrides the headers.
    files
        Complete on disk. Two may have the same name.
    charset
        Of the site's devices, for headers that name none; empty where nobody has said.

    Raises
    ------
    UnsupportedMedia
        No file can be taken, and the first is no image that is read here (415).
    PayloadTooLarge
        No file can be taken, and the first decodes to more than one image may have (413).
    Invalid
        No file can be taken, or something is wrong with a field, or the files that can be taken contradict each
        other; each is named (422).
    Unavailable
        The decoders are busy or away (503).
    """
    parts = _parts(post, files)
    found = describe_each(files, charset)
    refused = {place: each for place, each in enumerate(found) if isinstance(each, ImagingError)}
    if len(refused) == len(files):
        raise refusal(
            [outcome_of_refusal(file, refused[place]) for place, file in enumerate(files)],
            [(file, refused[place]) for place, file in enumerate(files)],
        )
    return Merge(post, tuple(files), parts, found, refused=refused).result()


def outcome_of_refusal(file: PostedFile, error: ImagingError) -> FileOutcome:
    return FileOutcome(file.name, "refused", error.reason)


def _parts(post: StudyPost, files: Sequence[PostedFile]) -> dict[int, ImagePart]:
    """What the study part says of each file, by the file's place.

    Raises
    ------
    Invalid
        There is no file, or a part that means none of them, or several, or one that another part means too.
    """
    if not files:
        raise Invalid("The post has no file.", errors=(FieldError("At least one file is needed.", "files"),))
    parts: dict[int, ImagePart] = {}
    errors: list[FieldError] = []
    for number, part in enumerate(post.images):
        meant = [
            place
            for place, file in enumerate(files)
            if part.file in (None, file.name) and part.index in (None, place)
        ]
        why, where = "", "file"
        if part.file is None and part.index is None:
            why = "Say which file is meant: `file` or `index`."
        elif not meant:
            why, where = "The post has no such file.", "index"
            if part.file is not None and part.index is None:
                why, where = "The post has no file of this name.", "file"
        elif len(meant) > 1:
            why = "Two files of the post have this name: say by `index` which is meant."
        elif meant[0] in parts:
            why = "This file is described twice."
        if why:
            errors.append(FieldError(why, f"study.images[{number}].{where}", part.file or ""))
        else:
            parts[meant[0]] = part
    if errors:
        raise Invalid("The files and the study part do not match.", errors=tuple(errors))
    return parts
