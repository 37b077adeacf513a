"""What a monitoring system is given: rules that promtool accepts and that do what they say; no figure that is not."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
import yaml

from embedded.state import REPOSITORY
from tests.deploy_tools import deploy_tool

FOLDER = REPOSITORY / "docker" / "monitoring"
_METRIC = re.compile(r"\bcad_[a-z_]+\b")


def exposed() -> set[str]:
    """Every figure that an app of the platform yields, one by one or from a table of its names."""
    sources = "\n".join(path.read_text() for path in (REPOSITORY / "cad_platform").rglob("*.py"))
    return set(re.findall(r'(?:Metric\(\s*|^    \(\s*)"(cad_[a-z_]+)"', sources, re.MULTILINE))


def expressions() -> dict[str, str]:
    """What rules and panels ask."""
    rules = yaml.safe_load((FOLDER / "alerts.yaml").read_text())
    found = {rule["alert"]: rule["expr"] for group in rules["groups"] for rule in group["rules"]}
    board = json.loads((FOLDER / "dashboard.json").read_text())
    found |= {panel["title"]: panel["targets"][0]["expr"] for panel in board["panels"]}
    return found


def test_rules_and_panels_ask_for_figures_that_there_are() -> None:
    known = exposed()
    assert "cad_model_alerts" in known
    for name, expression in expressions().items():
        assert set(_METRIC.findall(expression)) <= known, name


def test_every_rule_is_tried_in_quiet_and_in_trouble() -> None:
    tried = (FOLDER / "alerts_test.yaml").read_text()
    for rule in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"][0]["rules"]:
        assert tried.count(f"alertname: {rule['alert']}") == 2


@pytest.mark.long
def test_promtool_accepts_the_rules_and_they_do_what_they_say() -> None:
    tool = deploy_tool("promtool", "apt install prometheus")
    for arguments in (("check", "rules", "alerts.yaml"), ("test", "rules", "alerts_test.yaml")):
        done = subprocess.run([tool, *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
