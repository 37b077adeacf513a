"""The `study` part of a post: what a hospital system says of its files, validated field by field."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
)
from pydantic_core import CoreSchema, PydanticCustomError

from cad_platform import modalities
from cad_platform.core.errors import FieldError, Invalid
from cad_platform.studies.typed_text import has_controls
from imaging.identity import is_birth_date, is_uid, without_padding
from inference.contract import UM_PER_PX_RANGE

_MAX_ERRORS = 20


def trimmed(text: str) -> str:
    """A text on one line as it is kept; refused where it holds control characters."""
    return _refuse_controls(text).strip()


def trimmed_lines(text: str) -> str:
    """`trimmed`, for a text that may have several lines."""
    return _refuse_controls(text, but="\n\r\t").strip()


def _refuse_controls(text: str, but: str = "") -> str:
    if has_controls(text, but=but):
        raise PydanticCustomError("control_character", "holds a control character such as NUL")
    return text


def _uid(text: str) -> str:
    text = without_padding(text)
    if not is_uid(text):
        raise PydanticCustomError("uid", "is not a DICOM UID: digits and dots, at most 64 characters")
    return text


def _upper(value: Any) -> Any:
    return value.strip().upper() if isinstance(value, str) else value


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _born(value: date) -> date:
    if not is_birth_date(value):
        raise PydanticCustomError("birth_date", "is not a date of birth")
    return value


class _RegisteredCodes:
    """Documents a text as one of the modalities' codes."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return handler(schema) | {"enum": list(modalities.codes())}


def _registered(code: str) -> str:
    if not modalities.is_registered(code):
        known = ", ".join(modalities.codes())
        raise PydanticCustomError("modality", "is not one of {known}", {"known": known})
    return code


#: The code of a registered modality; which these are is asked when a text is validated or documented.
ModalityCode = Annotated[str, AfterValidator(_registered), _RegisteredCodes()]


def _text(longest: int) -> Any:
    return Annotated[str, AfterValidator(trimmed), Field(max_length=longest)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class PatientPart(_Part):
    """The patient as the hospital knows them."""

    id: _text(256) = Field("", description="The hospital's patient id (0010,0020)")  # type: ignore[valid-type]
    issuer: _text(256) = Field(  # type: ignore[valid-type]
        "", description="Who gave the id (0010,0021), where it is not the site itself"
    )
    name: _text(324) = Field(  # type: ignore[valid-type]
        "", description="DICOM person name: Family^Given; other scripts after ="
    )
    birth_date: Annotated[date, AfterValidator(_born)] | None = None
    sex: Annotated[Literal["F", "M", "O", ""], BeforeValidator(_upper)] = ""


class ImagePart(_Part):
    """What the hospital knows of one file, which it names, or counts where two files have one name."""

    file: (
        Annotated[str, Field(min_length=1, max_length=255, description="The file's name in this post")] | None
    ) = None
    index: (
        Annotated[int, Field(ge=0, lt=10_000, description="The file's place in this post, from 0")] | None
    ) = None
    laterality: Annotated[Literal["L", "R"], BeforeValidator(_upper)] | None = None
    view: (
        Annotated[
            str,
            BeforeValidator(_upper),
            Field(max_length=16, pattern=r"^[A-Z][A-Z0-9_ -]*$", description="CC, MLO, ML, …"),
        ]
        | None
    ) = None
    pixel_spacing_um: (
        Annotated[
            float,
            Field(
                ge=UM_PER_PX_RANGE[0], le=UM_PER_PX_RANGE[1], allow_inf_nan=False, description="µm per pixel"
            ),
        ]
        | None
    ) = None


class CorrectionPart(_Part):
    """Says that what this post tells of a stored study is right, and what is stored is wrong."""

    reason: Annotated[
        str,
        AfterValidator(trimmed_lines),
        Field(min_length=1, max_length=2000, description="Why; readers see it"),
    ]


class StudyPost(_Part):
    """Everything is optional: what is left out comes from the files' headers."""

    patient: PatientPart = PatientPart()
    accession_number: _text(256) = ""  # type: ignore[valid-type]
    modality: Annotated[ModalityCode, BeforeValidator(_upper)] | None = None
    procedure: _text(200) = ""  # type: ignore[valid-type]
    priority: Annotated[Literal["routine", "urgent", "stat"], BeforeValidator(_lower)] = "routine"
    study_instance_uid: Annotated[str, AfterValidator(_uid)] | None = None
    complete: bool = Field(
        True, description="false: more of the study follows; it is analysed when it is complete"
    )
    correction: CorrectionPart | None = Field(
        None, description="Needed where side, view, spacing, patient or a field of a stored study changes"
    )
    images: tuple[ImagePart, ...] = Field((), max_length=2000)


def parse_study_part(text: bytes) -> StudyPost:
    """Read the JSON of the `study` part.

    Raises
    ------
    Invalid
        It is no JSON, too deeply nested, or a field is wrong. Every error names its field.
    """
    try:
        return StudyPost.model_validate_json(text)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        if found[0]["type"] == "json_invalid":
            raise Invalid(
                "The study part is not JSON.", errors=(FieldError(found[0]["msg"], "study"),)
            ) from None
        raise Invalid(
            "The study part is not accepted.",
            errors=tuple(FieldError(item["msg"], _field(item["loc"])) for item in found[:_MAX_ERRORS]),
        ) from None


def _field(location: tuple[int | str, ...]) -> str:
    """`images[2].view` for ("images", 2, "view"). An unknown field is named as sent, cut to a sane length."""
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{str(step)[:60]}"
    return "study" + text
