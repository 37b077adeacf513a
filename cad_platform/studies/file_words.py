"""What the decoders and the header's reader say of a file, in the reader's language.

`imaging` gives its reasons as English sentences: they travel over sockets, stand in logs and in rows, and are answered
to other systems as they are. Pages, and the reasons of an analysis, ask here. `tests/locale/test_sentences.py` reads
the code of `imaging` and fails for a sentence that is missing.
"""

from __future__ import annotations

from django.utils.translation import gettext_noop

from cad_platform.core.sentences import Sentences, as_it_came

#: Sentences that are said in other words than they come in.
_IN_OTHER_WORDS: dict[str, str] = {
    "The decoder was stopped because the machine ran short of memory.": gettext_noop(
        "The server was short of memory."
    ),
    "The machine is short of memory at the moment.": gettext_noop("The server was short of memory."),
    "The decoders are busy. Try again in a moment.": gettext_noop("The server was busy."),
    "No decoding process could be started.": gettext_noop("The server was busy."),
    "The decoding process cannot be started.": gettext_noop("The server was busy."),
    "The decoding process ended twice without an answer.": gettext_noop("The server was busy."),
    "Decoding this file takes too long.": gettext_noop("Decoding the image takes too long."),
    "Decoding this file needs more memory than one file may have.": gettext_noop(
        "Decoding the image needs more memory than one image may have."
    ),
    "The file is damaged: its decoder failed on it.": gettext_noop(
        "The file is damaged and cannot be decoded."
    ),
}
_AS_THEY_ARE = (
    gettext_noop("The file is damaged: its content contradicts itself."),
    gettext_noop("The slide is incomplete: of its %(total)s parts number %(numbers)s is missing."),
    gettext_noop("The slide is incomplete: of its %(needed)s tiles %(there)s are there."),
    gettext_noop("A JPEG frame of the pixel data has no frame header."),
    gettext_noop("A frame of the pixel data does not start like the JPEG it is said to be."),
    gettext_noop("A frame of the pixel data does not start like the JPEG 2000 it is said to be."),
    gettext_noop("A JPEG frame of the pixel data is damaged."),
    gettext_noop("The file is not DICOM: it has no header."),
    gettext_noop("The pixel data are floating-point numbers, which are not read here."),
    gettext_noop(
        "The DICOM file has no pixel data: it is cut off, or it is a report or another object that "
        "holds no image."
    ),
    gettext_noop("The DICOM file names a transfer syntax that is not known here."),
    gettext_noop("The pixel data are not stored the way the transfer syntax says."),
    gettext_noop(
        "The DICOM file does not name its transfer syntax and its pixel data are compressed, so they "
        "cannot be decoded."
    ),
    gettext_noop("The deflated DICOM file does not say where its compressed part starts."),
    gettext_noop("The DICOM file's pixel data are empty."),
    gettext_noop("The file is cut off in the middle of its pixel data."),
    gettext_noop("The file is cut off: one of its values is longer than the rest of the file."),
    gettext_noop("A value in the DICOM header is larger than any header may be."),
    gettext_noop("The DICOM file's first lines (its meta information) are damaged."),
    gettext_noop("The deflated DICOM file is cut off."),
    gettext_noop("The deflated DICOM file inflates to more than %(size)s MiB."),
    gettext_noop("The file is cut off, or its compressed pixel data are damaged."),
    gettext_noop("The deflated DICOM file is damaged."),
    gettext_noop("The DICOM header does not say how many rows and columns the image has."),
    gettext_noop("The colour model %(model)s is not read here."),
    gettext_noop("The header says %(model)s with %(samples)s samples per pixel, which cannot be."),
    gettext_noop("Pixels of %(bits)s allocated bits are not read here."),
    gettext_noop("Colour pixels of %(bits)s allocated bits are not read here."),
    gettext_noop("The header says %(stored)s bits stored in %(allocated)s allocated, which cannot be."),
    gettext_noop("The header says that the image has %(frames)s frames."),
    gettext_noop("The header claims %(frames)s frames; at most %(most)s are read."),
    gettext_noop(
        "The file is cut off, or its header is wrong: %(frames)s frame(s) of %(columns)s × %(rows)s "
        "pixels need %(needed)s bytes of pixel data, and there are %(bytes)s."
    ),
    gettext_noop("The image has %(frames)s frame(s); there is no frame %(frame)s."),
    gettext_noop("The pixel data are an MPEG video, which is not read here."),
    gettext_noop("The compression “%(name)s” is not read here."),
    gettext_noop("The pixel data decode to another size than the header says."),
    gettext_noop(
        "The header says %(columns)s × %(rows)s pixels, the compressed frame is %(found_columns)s × "
        "%(found_rows)s."
    ),
    gettext_noop("The header says %(samples)s sample(s) per pixel, the compressed frame has %(found)s."),
    gettext_noop("A frame of the DICOM file's pixel data is empty."),
    gettext_noop("One compressed frame is larger than one image may be."),
    gettext_noop("The pixel data do not say where each frame starts."),
    gettext_noop("The header says %(frames)s frames, but the pixel data hold at most %(most)s."),
    gettext_noop("The pixel data cannot be decoded: they are damaged."),
    gettext_noop("Twelve-bit lossy JPEG of this kind is not read here."),
    gettext_noop("Decoding the pixel data needs more memory than one file may have."),
    gettext_noop("This variant of the compression is not read here."),
    gettext_noop("A look-up table of the DICOM header is damaged."),
    gettext_noop("A look-up table of the DICOM header is shorter than it says."),
    gettext_noop("A modality table for values of more than 16 bits is not read here."),
    gettext_noop("So many frames of 32-bit values are not read here: they need one common scale."),
    gettext_noop("The image's colour palette is damaged."),
    gettext_noop("The pixel data decode to another colour model than the header says."),
    gettext_noop("The image's colour palette is missing or damaged."),
    gettext_noop("The DICOM file is an image, not a whole slide."),
    gettext_noop("The slide claims to be larger than any slide is."),
    gettext_noop("The slide does not say where its tiles lie."),
    gettext_noop("The parts of the slide have tiles of different sizes."),
    gettext_noop("The slide needs %(needed)s tiles for its %(columns)s × %(rows)s pixels and has %(tiles)s."),
    gettext_noop("The slide's tiles do not lie on a grid, which is not read here."),
    gettext_noop("The file's structure is nested too deeply to be genuine."),
    gettext_noop("The file cannot be opened."),
    gettext_noop("The file is empty."),
    gettext_noop(
        "The file is not an image of a known format. Accepted are DICOM, PNG, JPEG, TIFF, PGM and "
        "whole-slide TIFF (SVS)."
    ),
    gettext_noop(
        "The file is text, not an image. Accepted are DICOM, PNG, JPEG, TIFF, PGM and whole-slide TIFF (SVS)."
    ),
    gettext_noop(
        "The image claims %(columns)s × %(rows)s pixels, more than one image may have (%(size)s MiB decoded)."
    ),
    gettext_noop("The decoder's answer is incomplete."),
    gettext_noop("The decoder's answer cannot be read."),
    gettext_noop("The decoder answered with pixels of an unknown kind."),
    gettext_noop("The decoder's answer is not what was asked for."),
    gettext_noop("The file is neither DICOM nor PDF."),
    gettext_noop("The DICOM file does not say what it is."),
    gettext_noop("The file is cut off."),
    gettext_noop("The file gave no pixels."),
    gettext_noop("The slide gave no index of its tiles."),
    gettext_noop("The slide gave no pixels."),
    gettext_noop("The file gave no picture."),
    gettext_noop("The pixel data decode to numbers that are not read here."),
    gettext_noop("The image's pixels are floating-point numbers or of a kind not read here."),
    gettext_noop("The image has one frame; there is no frame %(frame)s."),
    gettext_noop("The TIFF file says that its image has no pixels."),
    gettext_noop("The TIFF file's pixels are of a number format that is not read here."),
    gettext_noop("The TIFF file holds a volume, not an image."),
    gettext_noop("The TIFF file has more channels than an image has."),
    gettext_noop("The TIFF file's tiles are larger than one image may be."),
    gettext_noop("The TIFF file's colour model is not read here."),
    gettext_noop("The TIFF file decodes to another size than it says."),
    gettext_noop("The TIFF file says that it is in colour and has fewer than three channels."),
    gettext_noop("The TIFF file's colour palette is missing or damaged."),
    gettext_noop("The %(format)s file is damaged: its header cannot be read."),
    gettext_noop("The image has no pixels."),
    gettext_noop("The TIFF file is damaged: its directory cannot be read."),
    gettext_noop(
        "The TIFF file's pages hold 32-bit values, which need one common scale and are not read here."
    ),
    gettext_noop("The TIFF file is damaged: parts of the picture are missing."),
    gettext_noop("The TIFF file says CMYK and has fewer than four channels."),
    gettext_noop("The %(format)s file is cut off or damaged."),
    gettext_noop("The TIFF file is cut off or damaged."),
    gettext_noop("The TIFF file's compression is not read here."),
    gettext_noop("A picture has 1 to %(most)s pixels along its longer side."),
    gettext_noop("The request to the decoders is too long."),
    gettext_noop("A slide has 1 to %(most)s files."),
    gettext_noop("The file is an image, not a whole slide."),
    gettext_noop("A slide is one picture; there is no frame %(frame)s."),
    gettext_noop("The slide has %(planes)s focal plane(s) and %(paths)s optical path(s), from 0."),
    gettext_noop("The slide does not say how many micrometres a pixel is."),
    gettext_noop("A resolution is a positive number of micrometres per pixel."),
    gettext_noop(
        "The slide is said to be so coarse that it would be enlarged more than %(times)s times; its µm "
        "per pixel cannot be right."
    ),
    gettext_noop("The part lies outside of the picture."),
    gettext_noop("The requested part of the slide is empty or too large for one image."),
    gettext_noop("At this resolution the slide has %(rows)s rows."),
    gettext_noop("The slide has levels 0 to %(last)s."),
    gettext_noop("The slide has no such tile."),
    gettext_noop("The slide has no pyramid and is too large to be shown from afar."),
    gettext_noop("The slide, or one of its tiles, claims to be larger than any slide is."),
    gettext_noop("The slide cannot be opened: the file is damaged or cut off."),
    gettext_noop("A part of the slide cannot be decoded: the file is damaged."),
    gettext_noop("The slide's levels contradict each other."),
    gettext_noop("The slide has dimensions beyond width, height, colour and focus."),
    gettext_noop("The slide's levels do not have the focal planes that it describes."),
    gettext_noop("The slide's pixels are not 8-bit colour or grey, which is what is read here."),
    gettext_noop("The slide's pixels have channels or depths that are not read here."),
    gettext_noop("A part of the slide decodes to another kind of picture."),
    gettext_noop("The slide's OME description and its pages contradict each other."),
    gettext_noop(
        "The slide has %(count)s time points; only colour pictures of a stained section are read here."
    ),
    gettext_noop(
        "The slide has %(count)s channels; only colour pictures of a stained section are read here."
    ),
    gettext_noop(
        "A MIRAX slide is a folder of files, and the .mrxs file alone holds a preview: export the slide "
        "as DICOM, TIFF or SVS."
    ),
    gettext_noop("%(keyword)s is not a valid UID."),
    gettext_noop("%(keyword)s is not written as the standard asks; it is kept as it is."),
    gettext_noop("PatientBirthDate is not a date of birth."),
    gettext_noop("StudyDate is not a date."),
    gettext_noop("%(keyword)s could not be read."),
    gettext_noop("The patient's name could not be read."),
    gettext_noop("Its bytes do not fit the header's character set."),
    gettext_noop("The header's text is not in the character set that it names."),
    gettext_noop("The header's text is not ASCII and names no character set."),
    gettext_noop("The header's text names no character set; it was read as %(charset)s, by its own escapes."),
    gettext_noop(
        "The header's text does not announce its character set; it was read as %(charset)s, which the header names."
    ),
    gettext_noop(
        "The header's text names no character set; it was read as %(charset)s, by what the site's devices use."
    ),
    gettext_noop(
        "The header's text is not in the character set that it names (%(stated)s); it was read as %(charset)s, by "
        "its own escapes."
    ),
    gettext_noop(
        "The header's text is not in the character set that it names (%(stated)s); it was read as %(charset)s, by "
        "what the site's devices use."
    ),
)
_SENTENCES = Sentences(_IN_OTHER_WORDS, also=_AS_THEY_ARE)
#: What is kept aside is called (`studies.kept_aside`).
_OBJECTS = Sentences(
    {},
    also=(
        gettext_noop("media directory"),
        gettext_noop("presentation state"),
        gettext_noop("parametric map"),
        gettext_noop("raw data"),
        gettext_noop("spatial registration"),
        gettext_noop("spatial fiducials"),
        gettext_noop("deformable registration"),
        gettext_noop("segmentation"),
        gettext_noop("surface segmentation"),
        gettext_noop("tractography"),
        gettext_noop("real world value mapping"),
        gettext_noop("surface scan"),
        gettext_noop("structured report"),
        gettext_noop("mammography CAD report"),
        gettext_noop("key object selection"),
        gettext_noop("radiation dose report"),
        gettext_noop("waveform"),
        gettext_noop("document"),
        gettext_noop("PDF document"),
        gettext_noop("stored display set"),
        gettext_noop("radiotherapy object"),
        gettext_noop("work list item"),
        gettext_noop("hanging protocol"),
        gettext_noop("colour palette"),
        gettext_noop("secondary capture without a picture"),
        gettext_noop("private data"),
        gettext_noop("image of the modality %(modality)s"),
        gettext_noop("image of another modality"),
        gettext_noop("label of a slide"),
        gettext_noop("overview of a slide"),
        gettext_noop("thumbnail of a slide"),
    ),
)


def file_sentence(sentence: str) -> str | None:
    """What `imaging` says of a file, in the language in use; None for a sentence of somebody else."""
    return _SENTENCES.words(sentence)


def file_kind(sentence: str) -> str:
    """What `imaging` says without what differs from file to file; empty for a sentence of somebody else."""
    found = _SENTENCES.found(sentence)
    return found[0] if found else ""


def file_words(reason: str) -> str:
    """Why a file cannot be shown, in the language in use; what nobody here knows as it came."""
    return file_sentence(reason) or as_it_came(reason)


def object_words(what: str) -> str:
    """What an object that shows no image is called."""
    return _OBJECTS.words(what) or what


def note_words(note: str) -> str:
    """What the header's reader notes of a value: one sentence, or two."""
    if whole := file_sentence(note):
        return whole
    first, dot, second = note.partition(". ")
    if not dot:
        return file_words(note)
    return f"{file_words(first + '.')} {note_words(second)}"
