"""What the models of JSON answers have in common. Each JSON that the platform gives, to another system or to its own
page, is one pydantic model: it builds the answer, documents it, and the front end's types are made from it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """A JSON answer. What is not declared cannot be in it."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    def as_json(self) -> dict[str, Any]:
        """As JSON values: times in ISO 8601, ids as text."""
        return self.model_dump(mode="json")


#: A box in stored pixels: x0, y0, x1, y1, the origin at the top left.
Box = tuple[float, float, float, float]
