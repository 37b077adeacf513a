"""What the OpenAPI schema cannot see in the code: the multipart body, headers, examples and refusals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse

from cad_platform import modalities
from cad_platform.core.problem_details import MEDIA_TYPE, Problem
from cad_platform.studies.post import StudyPost

_WHY = {
    400: "The request cannot be read: malformed multipart or JSON, a body that ended early.",
    401: "No bearer token, or one that is unknown, expired or revoked.",
    403: "The role or the token's scopes do not permit this.",
    404: "Not found, or at another site.",
    408: "The body stopped arriving or arrives too slowly.",
    409: "Nothing was stored: a UID is known with other bytes or for another patient (kept in quarantine), or the post "
    "says something else than is stored and not that it is a correction; or a request with this Idempotency-Key is "
    "still running.",
    413: "The body, a part or a decoded image is too large.",
    415: "Not multipart, or no file is an image that is read here.",
    422: "A field is wrong, or every file, or they contradict each other. Each is named.",
    429: "Too many requests with this token; see Retry-After.",
    503: "The database or the storage is away; see Retry-After. Nothing was stored.",
    507: "The disk is full. Nothing was stored.",
}


def problems(*statuses: int, because: Mapping[int, str] | None = None) -> dict[Any, OpenApiResponse]:
    """The refusals of an operation, as problem details (RFC 9457); `because` says what is special to it."""
    why = {**_WHY, **(because or {})}
    return {(status, MEDIA_TYPE): OpenApiResponse(Problem, why[status]) for status in statuses}


def _study_part() -> dict[str, Any]:
    """The `study` part's JSON schema, with its definitions in place: a part may not refer outside itself."""
    content = StudyPost.model_json_schema()
    definitions = content.pop("$defs", {})

    def inlined(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return inlined(definitions[node["$ref"].rsplit("/", 1)[-1]])
            return {name: inlined(value) for name, value in node.items() if name != "default"}
        return [inlined(value) for value in node] if isinstance(node, list) else node

    return inlined(content)  # type: ignore[no-any-return]


POST_REQUEST: dict[str, Any] = {
    "multipart/form-data": {
        "type": "object",
        "required": ["files"],
        "properties": {
            "study": _study_part(),
            "files": {"type": "array", "minItems": 1, "items": {"type": "string", "format": "binary"}},
        },
    }
}

POST_EXAMPLES = [
    OpenApiExample(
        "Four views",
        request_only=True,
        media_type="multipart/form-data",
        value={
            "study": {
                "patient": {"id": "P-1001", "name": "Example^Anna", "birth_date": "1961-04-12", "sex": "F"},
                "accession_number": "A-2026-0001",
                "modality": modalities.codes()[0],
                "procedure": "Screening mammography, both sides",
                "priority": "routine",
                "images": [{"file": "right-cc.dcm", "laterality": "R", "view": "CC", "pixel_spacing_um": 70}],
            },
            "files": ["right-cc.dcm"],
        },
    ),
    OpenApiExample(
        "One image of several, more follow",
        request_only=True,
        media_type="multipart/form-data",
        value={
            "study": {"patient": {"id": "P-1001"}, "study_instance_uid": "2.25.1234", "complete": False},
            "files": ["right-cc.dcm"],
        },
    ),
    OpenApiExample(
        "The side was wrong",
        request_only=True,
        media_type="multipart/form-data",
        value={
            "study": {
                "images": [{"file": "right-cc.dcm", "laterality": "L"}],
                "correction": {"reason": "Wrong side entered at the device"},
            },
            "files": ["right-cc.dcm"],
        },
    ),
    OpenApiExample(
        "A UID with other bytes",
        response_only=True,
        status_codes=["409"],
        media_type=MEDIA_TYPE,
        value={
            "type": "urn:cad:problem:sop_instance_uid_conflict",
            "title": "Conflicts with what is stored",
            "status": 409,
            "detail": "A file has the UID of a stored image, and other bytes or another patient. It is in "
            "quarantine; nothing was overwritten.",
            "errors": [
                {
                    "reason": "The SOP Instance UID is known with other bytes.",
                    "field": "files",
                    "file": "right-cc.dcm",
                }
            ],
        },
    ),
    OpenApiExample(
        "A damaged file",
        response_only=True,
        status_codes=["422"],
        media_type=MEDIA_TYPE,
        value={
            "type": "urn:cad:problem:damaged",
            "title": "Invalid content",
            "status": 422,
            "detail": "1 of the files cannot be accepted; nothing was stored.",
            "errors": [{"reason": "The pixel data end early.", "field": "files", "file": "right-cc.dcm"}],
        },
    ),
]

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="Belongs to the token, kept for 7 days: the same key and body get the first answer, the same "
    "key and another body 422, a key that is still running 409.",
)
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    str,
    OpenApiParameter.HEADER,
    description="The `ETag` of the answer that you have: 304 as long as nothing has changed since.",
)
STUDY_UID = OpenApiParameter("uid", str, OpenApiParameter.PATH, description="Study Instance UID")
MODEL_VERSION = [
    OpenApiParameter("model", str, OpenApiParameter.PATH, description="The model's name, such as ultrasound"),
    OpenApiParameter("version", str, OpenApiParameter.PATH, description="Such as 2.2.0"),
]
PAGE = OpenApiParameter(
    "page", int, description="1 if left out; for one beyond the last the last is answered"
)
LIST_PARAMETERS = [
    OpenApiParameter("modality", str, enum=modalities.codes()),
    OpenApiParameter("state", str, enum=["receiving", "complete", "analysed", "quarantined"]),
    OpenApiParameter("priority", str, enum=["routine", "urgent", "stat"]),
    OpenApiParameter("accession_number", str),
    OpenApiParameter("received_after", {"type": "string", "format": "date-time"}),
    OpenApiParameter("received_before", {"type": "string", "format": "date-time"}),
    OpenApiParameter(
        "withdrawn", bool, description="Only withdrawn studies, or only others; both if left out"
    ),
    OpenApiParameter("cursor", str, description="From `next` or `previous` of another page"),
    OpenApiParameter("page_size", int, description="1 to 200, 50 if left out"),
]
