"""drctl show: the page says all that is to be done, and its commands do what a run does."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from drctl.cli.main import execute
from drctl.errors import ExitCode
from drctl.model.plan import Plan
from drctl.plan.build import build_plan
from drctl.read.diagnostics import render_all
from drctl.read.documents import read_inventory, read_runbook
from drctl.report.page import render
from tests.unit.test_read_calls import planned

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "inventories" / "taskflow.example.yml"

WORLD = """inventory: page
residency: ZA
ssh: {config: /etc/drctl/ssh config}
sites:
  here: {provider: P, country: ZA, kind: datacentre}
hosts:
  one: {site: here, address: 192.0.2.1, user: drctl}
  two: {site: here, address: 192.0.2.2, port: 2222, vars: {own: it's two}}
services:
  demo:
    title: "Demo | **client** <script>alert(1)</script>"
    sla: false
    roles: {primary: one, standby: two}
    vars: {plain: "a b", odd: "x'y$z`w", password: {secret: "env:DEMO_PASSWORD"}}
    commands: {hello: [printf, "%s.", "two words", "$HOME"]}
"""


def page_of(tmp_path: Path, steps: str, head: str = "") -> tuple[str, Plan]:
    (tmp_path / "inventory.yml").write_text(WORLD)
    (tmp_path / "runbook.yml").write_text(f"runbook: page\ntitle: The page\n{head}steps:\n{steps}")
    runbook, problems = read_runbook(tmp_path / "runbook.yml")
    inventory, more = read_inventory(tmp_path / "inventory.yml")
    assert runbook is not None, render_all(problems)
    assert inventory is not None, render_all(more)
    plan = build_plan(runbook, inventory, service="demo", version="0")
    return render(plan), plan


def blocks(page: str) -> list[str]:
    return [found.group(2) for found in re.finditer(r"^(`{3,})sh\n(.*?)\n\1$", page, re.S | re.M)]


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """A PATH on which ssh and sudo note their arguments and run the command that they are given."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "ssh").write_text(
        '#!/bin/sh\nprintf "ssh" >&2; printf " [%s]" "$@" >&2; echo >&2\n'
        'for last in "$@"; do :; done\nexec sh -c "$last"\n'
    )
    (tools / "sudo").write_text(
        '#!/bin/sh\nprintf "sudo" >&2; printf " [%s]" "$@" >&2; echo >&2\n'
        'while [ "$1" != -- ]; do shift; done; shift\nexec "$@"\n'
    )
    for tool in tools.iterdir():
        tool.chmod(0o755)
    return {"PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(tmp_path)}


def typed(text: str, environment: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", text], env=environment, cwd=cwd, capture_output=True, text=True, check=False, timeout=20
    )


def test_commands_do_what_a_run_does(tmp_path: Path, shell: dict[str, str]) -> None:
    steps = (
        "  - id: script\n    hosts: standby\n    become: postgres\n    run: |\n"
        '      printf \'%s/\' "$plain" "$odd" "$own"\n'
        "      cat  # reads nothing, and does not eat what follows\n"
        "      cat <<-E\n      \tindented\n      \tE\n      echo end\n"
        "  - {id: words, hosts: primary, argv: [printf, '%s.', two words, $$HOME, \"it's ${plain}\"]}\n"
        "  - {id: command, local: {command: hello}}\n"
        "  - {id: here, local: 'exit 3'}\n"
    )
    page, _ = page_of(tmp_path, steps)
    script, words, command, here = (typed(block, shell, tmp_path) for block in blocks(page))
    assert script.stdout == "a b/x'y$z`w/it's two/indented\nend\n"
    assert "[-F] [/etc/drctl/ssh config] [-o] [HostName=192.0.2.2] [-p] [2222] [two]" in script.stderr
    assert "sudo [-n] [-H] [-u] [postgres] [--] [sh] [-s]" in script.stderr
    assert words.stdout == "two words.$HOME.it's a b."
    assert "[-l] [drctl] [one]" in words.stderr
    assert command.stdout == "two words.$HOME."
    assert command.stderr == ""
    assert here.returncode == 3


def test_files_go_and_come(tmp_path: Path, shell: dict[str, str]) -> None:
    there = tmp_path / "there's one"
    steps = (
        f'  - {{id: send, hosts: primary, become: root, put: {{source: here.txt, destination: "{there}"}}}}\n'
        f'  - {{id: fetch, hosts: primary, get: {{source: "{there}", destination: back.txt}}}}\n'
    )
    page, _ = page_of(tmp_path, steps)
    (tmp_path / "here.txt").write_text("the file\n")
    send, fetch = (typed(block, shell, tmp_path) for block in blocks(page))
    assert send.returncode == fetch.returncode == 0
    assert (tmp_path / "back.txt").read_text() == there.read_text() == "the file\n"
    sums = [line.split()[0] for line in send.stdout.splitlines()]
    assert len(sums) == 2
    assert len(set(sums)) == 1
    assert "both sums are equal" in page


def test_a_script_cannot_end_its_own_here_document(tmp_path: Path, shell: dict[str, str]) -> None:
    steps = "  - id: tricky\n    local: |\n      echo one\n      : <<'X'\n      END-OF-STEP\n      X\n      echo two\n"
    page, _ = page_of(tmp_path, steps)
    assert typed(blocks(page)[0], shell, tmp_path).stdout == "one\ntwo\n"


def test_captured_values_are_blanks_and_secrets_are_only_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_PASSWORD", "hunter2")
    steps = (
        "  - {id: read, hosts: primary, run: 'use \"$password\"', capture: {seen: time}, read_only: true}\n"
        "  - {id: write, hosts: primary, run: 'keep \"$seen\"', recovery_point: seen}\n"
        "  - {id: tell, manual: 'Say ${seen} to the client'}\n"
    )
    page, _ = page_of(tmp_path, steps)
    assert "hunter2" not in page
    assert "password='<password>'  # a secret, from env:DEMO_PASSWORD: never on paper" in page
    assert "seen='<seen>'  # from step read" in page
    assert "| `seen` | time | read | recovery point (RPO) |  |" in page
    assert "- write down `seen` (time): ...." in page
    assert "Say &lt;seen&gt; to the client" in page


def test_text_of_documents_stays_text(tmp_path: Path) -> None:
    steps = (
        "  - id: hostile\n    name: '</li><img src=x> [link](http://x) **bold** | cell'\n"
        "    local: |\n      echo '```'\n      # Not a heading\n"
        '    failure_hint: "\\e[2J<b>now</b>"\n'
    )
    page, _ = page_of(tmp_path, steps)
    assert "\x1b" not in page
    outside = re.sub(r"^(`{3,})sh\n.*?\n\1$", "", page, flags=re.S | re.M)
    assert "<" not in outside.replace("<br>", "")
    assert "http://" not in outside
    assert "# Not a heading" not in outside
    assert "````sh" in page  # longer than any fence within
    assert "\\*\\*bold\\*\\*" in outside


def test_everything_of_a_plan_is_on_its_page() -> None:
    plan = planned("whole")
    page = render(plan)
    assert page == render(planned("whole"))
    headings = re.findall(r"^### (\d+)\. (.*)$", page, re.M)
    assert [(int(number), name) for number, name in headings] == [
        (number, step.id) for number, step in enumerate(plan.steps(), start=1)
    ]
    assert page.count("- [ ] ") == len(plan.steps())
    assert re.findall(r"^## (.*)$", page, re.M) == [
        "The clock", "Values to write down", "Before anything is changed", "Steps", "Fallback", "Rollback",
        "At the end, whatever happened",
    ]  # fmt: skip
    for said in (
        "- undoes step 6 (sweep/empty); leave it out when that never began",
        "- only when `cores` is `4`",
        "- only when `rebuild/kind` is `of demo` (it is `of demo`)",
        "- only in real mode",
        "- at most 1 of its hosts at once",
        "go to the section “Fallback”",
        "go to the section “Rollback”; its undo is step 15",
        "stop, and go to the section “At the end”",
        "- must be seen: both sums are `e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855`",
        "**Side by side, or in any order:** 7 (words), 8 (resize)",
        "| service restored | answers or rebuild/answers |  |  |",
        "- usually 3m 00s; given up after 10m 00s",
        "- calls `",
    ):
        assert said in page, said


def test_the_failover_of_a_client_as_it_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    arguments = ["show", "failover", "acacia", "-i", str(EXAMPLE)]
    assert execute(arguments) == ExitCode.DONE
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("# Fail over acacia from acacia-primary to acacia-standby\n")
    assert "- only when **primary\\_fenced** is proved" in out or "- only when **primary_fenced** is proved" in out
    assert "Needed only when `potential_loss` is above 86400" in out
    assert "- then verify, within 1m 00s, looking every 1.0s:" in out
    assert "curl --silent --show-error --max-time 10 --request GET" in out
    assert "status 200, and status is ok" in out
    assert execute([*arguments, "-o", str(tmp_path / "page.md")]) == ExitCode.DONE
    assert (tmp_path / "page.md").read_text() == out
    assert capsys.readouterr().out == ""
    assert execute(["show", "failover", "nobody", "-i", str(EXAMPLE)]) == ExitCode.USAGE


def test_a_step_that_asks_drctl_itself_says_on_its_page_how_it_is_done_without() -> None:
    runbook, _ = read_runbook(ROOT / "runbooks" / "restore.yml")
    inventory, _ = read_inventory(EXAMPLE)
    assert runbook is not None
    assert inventory is not None
    page = render(build_plan(runbook, inventory, service="acacia", version="0"))
    asking = [section for section in page.split("\n### ") if "\ndrctl=" in section]
    assert asking
    for section in asking:
        assert "Without drctl, on " in section


def test_every_block_is_a_command_that_a_shell_can_read(tmp_path: Path) -> None:
    runbook, _ = read_runbook(ROOT / "runbooks" / "failover.yml")
    inventory, _ = read_inventory(EXAMPLE)
    assert runbook is not None
    assert inventory is not None
    found = blocks(render(build_plan(runbook, inventory, service="acacia", version="0")))
    assert len(found) > 25
    for block in found:
        done = subprocess.run(["bash", "-n", "-c", block], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), block
