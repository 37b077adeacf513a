"""Overlays of docker/kubernetes rendered as `kustomize build` does, as far as they use it: resources, components,
images, namespace, and JSON patches by target. What is not known here is an error, so that nothing is passed over."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]
_KNOWN = {"apiVersion", "kind", "resources", "components", "images", "namespace", "patches"}
_CLUSTER_WIDE = {"Namespace"}


def render(folder: Path) -> list[Manifest]:
    """Every manifest of an overlay."""
    return _built(folder, [])


def _built(folder: Path, before: list[Manifest]) -> list[Manifest]:
    wanted = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(wanted) <= _KNOWN, set(wanted) - _KNOWN
    found = list(before)
    for name in wanted.get("resources", []):
        path = (folder / name).resolve()
        if path.is_dir():
            found += _built(path, [])
        else:
            found += [copy.deepcopy(each) for each in yaml.safe_load_all(path.read_text()) if each]
    for name in wanted.get("components", []):
        found = _built((folder / name).resolve(), found)
    for patch in wanted.get("patches", []):
        _patch(found, patch)
    for image in wanted.get("images", []):
        _name_images(found, image)
    if namespace := wanted.get("namespace"):
        for each in found:
            if each["kind"] not in _CLUSTER_WIDE:
                each["metadata"]["namespace"] = namespace
    return found


def _patch(found: list[Manifest], patch: dict[str, Any]) -> None:
    target = patch["target"]
    hit = [
        each
        for each in found
        if each["kind"] == target["kind"] and target.get("name") in (None, each["metadata"]["name"])
    ]
    assert hit, f"nothing is {target}"
    for each in hit:
        for step in yaml.safe_load(patch["patch"]):
            _apply(each, step)


def _apply(manifest: Manifest, step: dict[str, Any]) -> None:
    *way, last = [part.replace("~1", "/").replace("~0", "~") for part in step["path"].lstrip("/").split("/")]
    place: Any = manifest
    for part in way:
        place = place[int(part)] if isinstance(place, list) else place[part]
    key: Any = int(last) if isinstance(place, list) else last
    match step["op"]:
        case "replace":
            assert isinstance(place, list) or key in place, step["path"]
            place[key] = step["value"]
        case "add":
            place[key] = step["value"]
        case other:
            raise AssertionError(f"{other} is not known here")


def _name_images(node: Any, image: dict[str, str]) -> None:
    if isinstance(node, list):
        for each in node:
            _name_images(each, image)
    elif isinstance(node, dict):
        if node.get("image") == image["name"]:
            ending = f"@{image['digest']}" if "digest" in image else f":{image['newTag']}"
            node["image"] = image.get("newName", image["name"]) + ending
        for each in node.values():
            _name_images(each, image)


def pod_of(manifest: Manifest) -> Manifest | None:
    """What its pods are like."""
    spec: Any = manifest.get("spec", {})
    if manifest["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    template = spec.get("template") if isinstance(spec, dict) else None
    return template["spec"] if template else None
