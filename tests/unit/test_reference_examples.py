"""Every example of the reference page of runbooks is sound, a plan is made of it, and every word has an example."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from drctl.model.plan import Plan
from drctl.plan.build import try_plan
from drctl.read.diagnostics import Severity, render_all
from drctl.read.documents import read_inventory, read_runbook
from drctl.read.schema import schema_text

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "runbook.md"
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.S | re.M)

HEAD = """runbook: page
title: An example
inputs:
  service: {type: service, required: true}
  ticket: {}
steps:
"""
WORLD = """inventory: page
residency: ZA
objectives: {rpo: 24h}
approvals: {allowed_signers: allowed_signers}
sites:
  here: {provider: P, country: ZA, kind: datacentre}
  there: {provider: Q, country: ZA, kind: cloud}
hosts:
  one: {site: here, address: 192.0.2.1}
  two: {site: there, address: 192.0.2.2}
  door: {site: there, address: 192.0.2.3}
services:
  acacia:
    title: Acacia
    sla: false
    roles: {primary: one, standby: two, app: door}
    vars: {database: d, pgdata: /p, unit: u, standby_slot: s, health_url: "https://acacia.example.net/health"}
    commands: {resize_standby: [resize], move_address: [move], power_off_primary: [power, off]}
"""


def whole(example: str) -> str:
    """A runbook around an example that is a part of one."""
    if example.startswith("- "):
        return HEAD + "".join(f"  {line}\n" for line in example.splitlines())
    if "\nrunbook:" in f"\n{example}":
        return example
    return f"runbook: page\ntitle: An example\n{example}steps: [{{id: one, local: echo}}]\n"


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from keys(inner)
    elif isinstance(value, list):
        for item in value:
            yield from keys(item)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the page's inventory and those of its examples that name their file."""
    monkeypatch.chdir(tmp_path)
    Path("inventory.yml").write_text(WORLD)
    Path("allowed_signers").write_text("thandi@taskflow.example ssh-ed25519 AAAA\n")
    Path("runbooks").mkdir()
    for example in EXAMPLES:
        named = re.match(r"# (runbooks/[\w-]+\.yml)\n", example)
        if named:
            Path(named.group(1)).write_text(example)
    return tmp_path


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: " ".join(text.split()[:6]))
def test_an_example_is_sound_and_makes_a_plan(example: str, world: Path) -> None:
    assert made(example).steps()


def made(example: str) -> Plan:
    Path("page.yml").write_text(whole(example))
    runbook, problems = read_runbook("page.yml")
    inventory, _ = read_inventory("inventory.yml")
    told = [p for p in problems if p.severity is Severity.ERROR or "not measured" not in p.message]
    assert not told, render_all(told)
    assert runbook is not None
    assert inventory is not None
    plan, problems = try_plan(runbook, inventory, service="acacia")
    assert plan is not None, render_all(problems)
    return plan


def test_every_word_has_an_example() -> None:
    schema = json.loads(schema_text("runbook"))
    words = {word for part in (schema, *schema["$defs"].values()) for word in part.get("properties", {})}
    assert len(words) > 60
    shown = {key for example in EXAMPLES for key in keys(yaml.safe_load(example))}
    assert sorted(words - shown) == []


@pytest.mark.parametrize(
    ("where", "word"),
    [
        ("CaptureName", "text|int|time|duration|bytes|json"),
        ("ModeName", "check|drill|real"),
        ("MarkName", "outage_started|detected|declared|service_restored|protected"),
    ],
)
def test_every_choice_is_on_the_page(where: str, word: str) -> None:
    from typing import get_args

    from drctl.model import runbook

    assert "|".join(get_args(getattr(runbook, where))) == word
    assert [choice for choice in word.split("|") if f"`{choice}`" not in PAGE.read_text()] == []


def test_an_example_that_is_wrong_would_be_found(world: Path) -> None:
    with pytest.raises(AssertionError, match="tiemout"):
        made("- {id: one, local: echo, tiemout: 5s}\n")
