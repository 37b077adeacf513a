"""The JSON Schema of a recipe's file, for editors: keys, values, every block with its parameters, variants and sweeps.

`recipe.schema.json` beside this file is what `python -m inference schema --write` made of it; a recipe names it in its
first line.
"""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

from inference.blocks import registry
from inference.blocks.description import Description, describe
from inference.recipes.recipe_file import CONDITIONS, TOLD
from inference.recipes.schema import Recipe

FILE = Path(__file__).parent / "recipe.schema.json"
#: Keys of the schema whose family has another name.
_FAMILY = {"method": "search"}
#: Definitions of what is laid over a recipe: nothing is required, and a list may be changed entry by entry.
_PART = "part."

Schema = dict[str, Any]


def text() -> str:
    """The file's content."""
    return json.dumps(recipe_schema(), ensure_ascii=False, indent=1) + "\n"


def recipe_schema() -> Schema:
    """Of a whole recipe, or of one that extends another."""
    model = Recipe.model_json_schema()
    definitions: dict[str, Schema] = {
        name: part for name, part in model.pop("$defs").items() if name != "Block"
    }
    definitions["Recipe"] = model
    families: set[str] = set()
    definitions = {name: _with_blocks(part, families) for name, part in definitions.items()}
    _add_families(definitions, families)
    parts = {_PART + name: _as_part(part) for name, part in definitions.items()}
    definitions |= parts
    values = {"type": "array", "minItems": 1}
    more: Schema = {
        "extends": {
            "type": "string",
            "description": "the recipe that this one is laid over: a name, or a file beside it",
        },
        "variants": {
            "type": "object",
            "description": "parts by name, laid over the rest",
            "additionalProperties": {"$ref": "#/$defs/Variant"},
        },
        "sweep": {
            "type": "object",
            "description": "axes: parts by name, or a dotted key with its values; a recipe of every combination",
            "additionalProperties": {
                "anyOf": [values, {"type": "object", "additionalProperties": {"type": "object"}}]
            },
        },
    }
    variant = deepcopy(definitions[_PART + "Recipe"])
    variant["properties"][TOLD] = {
        "type": "object",
        "description": "what a condition substitutes where this method leaves only a part of it",
        "properties": {condition: {"type": "array", "items": {"type": "string"}} for condition in CONDITIONS},
        "additionalProperties": False,
    }
    definitions["Variant"] = variant
    laid_over = deepcopy(definitions[_PART + "Recipe"])
    laid_over["required"] = ["id", "extends"]
    for schema in (definitions["Recipe"], laid_over):
        schema["properties"] = {**schema["properties"], **more}
    definitions["Extending"] = laid_over
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A recipe of the laboratory",
        "if": {"required": ["extends"]},
        "then": {"$ref": "#/$defs/Extending"},
        "else": {"$ref": "#/$defs/Recipe"},
        "$defs": dict(sorted(definitions.items())),
    }


def _with_blocks(schema: Schema, families: set[str]) -> Schema:
    """Each reference to a block becomes one to the blocks of its key's family."""

    def replaced(node: Any, family: str) -> Any:
        if isinstance(node, list):
            return [replaced(one, family) for one in node]
        if not isinstance(node, dict):
            return node
        if node.get("$ref") == "#/$defs/Block":
            families.add(family)
            return {
                **{k: v for k, v in node.items() if k not in ("$ref", "default")},
                "$ref": f"#/$defs/block.{family}",
            }
        return {key: replaced(value, family) for key, value in node.items()}

    properties = {
        key: replaced(value, _FAMILY.get(key, key)) for key, value in schema.get("properties", {}).items()
    }
    return {**schema, "properties": properties}


def _add_families(definitions: dict[str, Schema], families: set[str]) -> None:
    """The blocks of each family, and of those that stand inside a block's parameters."""
    open_families = set(families)
    while open_families:
        family = min(open_families)
        open_families.remove(family)
        blocks = [describe(family, name) for name in registry.shipped(family)]
        plain = [block.name for block in blocks if not any(p.needed for p in block.parameters)]
        written = {block.name: _block(block, definitions, open_families) for block in blocks}
        definitions[f"block.{family}"] = {
            "description": f"a {family} block: its name, or its name with parameters",
            "anyOf": [
                {"enum": plain},
                {
                    "type": "object", "minProperties": 1, "maxProperties": 1,
                    "additionalProperties": False, "properties": written,
                },
            ],
        }  # fmt: skip


def _block(block: Description, definitions: dict[str, Schema], open_families: set[str]) -> Schema:
    properties: dict[str, Schema] = {}
    for parameter in block.parameters:
        schema = dict(parameter.schema)
        definitions |= schema.pop("$defs", {})
        if parameter.name in registry.FAMILIES:
            if _only_a_name(schema):
                schema = {
                    "enum": [*registry.shipped(parameter.name), *([None] if _may_be_none(schema) else [])]
                }
            else:
                if f"block.{parameter.name}" not in definitions:
                    open_families.add(parameter.name)
                schema = {"$ref": f"#/$defs/block.{parameter.name}"}
        if not parameter.needed:
            schema["default"] = parameter.default
        properties[parameter.name] = schema
    needed = [parameter.name for parameter in block.parameters if parameter.needed]
    return {
        "type": "object" if needed else ["object", "null"], "description": block.summary,
        "additionalProperties": False, "properties": properties, **({"required": needed} if needed else {}),
    }  # fmt: skip


def _only_a_name(schema: Schema) -> bool:
    kinds = [one.get("type") for one in schema.get("anyOf", [schema])]
    return set(kinds) <= {"string", "null"}


def _may_be_none(schema: Schema) -> bool:
    return any(one.get("type") == "null" for one in schema.get("anyOf", [schema]))


def _as_part(node: Any) -> Any:
    """The same, with nothing required; where a list stands, entries by number too."""
    if isinstance(node, list):
        return [_as_part(one) for one in node]
    if not isinstance(node, dict):
        return node
    part = {key: _as_part(value) for key, value in node.items() if key not in ("required", "default")}
    if isinstance(node.get("$ref"), str):
        part["$ref"] = node["$ref"].replace("#/$defs/", f"#/$defs/{_PART}")
    if node.get("type") == "array" and isinstance(node.get("items"), dict) and "prefixItems" not in node:
        by_number = {
            "type": "object",
            "patternProperties": {"^[0-9]+$": part["items"]},
            "additionalProperties": False,
        }
        return {"anyOf": [part, by_number]}
    return part
