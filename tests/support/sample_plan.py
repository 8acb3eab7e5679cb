"""The plan of a failover that the sample runs carry out, and the hosts and words in it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

from drctl.model.plan import (
    Approval,
    Capture,
    CaptureType,
    Endpoint,
    Http,
    Mark,
    Mode,
    Objectives,
    OnUnreachable,
    Plan,
    Retry,
    Section,
    Shell,
    Source,
    Stage,
    Step,
    Variable,
    Verify,
)

START = datetime(2026, 11, 23, 1, 31, 4, tzinfo=UTC)
OUTAGE = datetime(2026, 11, 23, 1, 12, 0, tzinfo=UTC)
HOSTILE = (
    "[/etc/passwd] [bold red]not markup[/bold red] [link=http://evil]x[/link]\n"
    "\x1b[2J\x1b]0;owned\x07\x1b[31mred\x1b[0m \x9b31m c1\n"
    "<script>alert(1)</script> | a | table | cell |\n"
    "```\n# not a heading\n````\n`````\n"
    "right-to-left \u202eevil\u202c zero\u200bwidth\r\noverwritten\rby carriage return\x00\x08\n"
    + "a line of three hundred characters "
    * 9
)
HINT = "The standby says nothing of its place. To restore a backup: drctl run restore acme"
PRIMARY = Endpoint(
    host="jnb-db-1", site="xneelo-jnb", country="ZA", address="10.1.0.11", port=22, user="drctl",
    variables=(Variable(name="pgdata", text="/var/lib/postgresql/16/main"),),
)  # fmt: skip
STANDBY = replace(PRIMARY, host="azure-db-1", site="azure-za-north", address="10.2.0.11")
APP = replace(PRIMARY, host="azure-app-1", site="azure-za-north", address="10.2.0.21", variables=())
WITNESSES = tuple(
    replace(APP, host=f"{city}-witness-1", site=f"teraco-{city}", address=f"10.{n}.0.5")
    for n, city in ((3, "cpt"), (4, "dbn"))
)
SERVICE_VARIABLES = (
    Variable(name="service", text="acme"),
    Variable(name="database", text="taskflow_acme"),
    Variable(name="app_password", secret="file:/etc/drctl/acme.password"),
)


def a_shell(script: str) -> Shell:
    return Shell(script=script)


def a_step(step_id: str, name: str, action: object, **kind: object) -> Step:
    values: dict[str, object] = {"variables": SERVICE_VARIABLES, "digest": hashlib.sha256(step_id.encode()).hexdigest()}
    return Step(id=step_id, name=name, where="runbooks/failover.yml:10:5", action=action, **(values | kind))  # type: ignore[arg-type]


def failover_plan(*, mode: Mode = Mode.REAL, sla: bool = True, rpo_s: float | None = 86_400.0) -> Plan:
    """A failover of thirteen steps: an ordinary one, with an approval, two ways to fence, and a slow resize."""
    one = Section.PRECONDITIONS
    two = Section.STEPS
    stages = (
        Stage(section=one, steps=(
            a_step("standby-is-a-standby", "The standby is a standby",
                   a_shell("psql -Atc 'select pg_is_in_recovery()'"), endpoints=(STANDBY,),
                   become="postgres", expect="t", read_only=True, expected_s=1.0),
            a_step("standby-lag", "How far the standby has come", a_shell("psql -AtF'\n' -f lag.sql"),
                   endpoints=(STANDBY,), become="postgres", read_only=True, expected_s=1.0,
                   recovery_point="replayed_to", last_write="last_write", failure_hint=HINT,
                   captures=(Capture(name="replayed_to", type=CaptureType.TIME),
                            Capture(name="last_write", type=CaptureType.TIME),
                            Capture(name="lag", type=CaptureType.DURATION))),
        )),
        Stage(section=two, steps=(a_step("declare", "Say that this is a disaster",
              Approval(prompt="The standby is ${lag} s behind. Fail over acme to azure-db-1?")),)),
        Stage(section=two, steps=(a_step("fence-primary", "Make sure that the old primary can take no more writes",
              a_shell("pg_ctl -D \"$pgdata\" stop -m immediate"), endpoints=(PRIMARY,), become="postgres",
              expected_s=5.0, timeout_s=30.0, on_unreachable=OnUnreachable.CONTINUE, proves="primary_fenced"),)),
        Stage(section=two, steps=(a_step("fence-by-witnesses", "Two witnesses in other cities agree that it is gone",
              a_shell("! nc -z -w 3 \"$primary_address\" 5432"), endpoints=WITNESSES, read_only=True, expected_s=4.0,
              retry=Retry(attempts=3), unless_proved="primary_fenced", proves="primary_fenced"),)),
        Stage(section=two, steps=(a_step("promote", "Promote the standby",
              a_shell("# ends when it takes writes\npg_ctl -D \"$pgdata\" promote -w -t 60"), endpoints=(STANDBY,),
              become="postgres", expected_s=10.0, timeout_s=90.0, requires="primary_fenced",
              verify=Verify(action=a_shell("psql -Atc 'select pg_is_in_recovery()'"), expect="f", within_s=60.0)),)),
        Stage(section=two, steps=(a_step("resize-standby", "Make the micro instance big enough to serve",
              Shell(script="exec \"$@\"", local=True, words=("az", "vm", "resize", "--size", "Standard_D8s_v5"),
                    command="resize"), expected_s=600.0, timeout_s=1800.0, idempotent=True),)),
        Stage(section=two, steps=(
            a_step("set-app-password", "Set the application's password", a_shell("psql -f set-password.sql"),
                   endpoints=(STANDBY,), become="postgres", sensitive=True, expected_s=2.0, idempotent=True),
            a_step("repoint-app", "Point the application at the new primary", a_shell("repoint \"$database\""),
                   endpoints=(APP,), expected_s=8.0, idempotent=True, retry=Retry(attempts=3, delay_s=2.0)),
        )),
        Stage(section=two, steps=(a_step("row-counts", "The biggest tables still have their rows",
              a_shell("psql -Atf counts.sql"), endpoints=(STANDBY,), read_only=True, expected_s=20.0),)),
        Stage(section=two, steps=(a_step("service-answers", "The service answers as its clients see it",
              Http(url="https://acme.taskflow.example/health"), read_only=True, expected_s=3.0,
              mark=Mark.SERVICE_RESTORED),)),
        Stage(section=two, steps=(a_step("new-standby", "Make a new standby of it, in Cape Town",
              a_shell("pg_basebackup -h \"$primary_address\" -D \"$pgdata\" -R"), endpoints=(WITNESSES[0],),
              expected_s=900.0, timeout_s=7200.0, mark=Mark.PROTECTED),)),
        Stage(section=Section.ALWAYS, steps=(
            a_step("thaw-deploys", "Let deployments go on", a_shell("rm -f /run/deploy.frozen"), endpoints=(APP,),
                   expected_s=1.0, idempotent=True),)),
    )  # fmt: skip
    return Plan(
        runbook="failover",
        title="Fail over a TaskFlow service to its HA standby",
        service="acme",
        service_title="Acme Mining (Pty) Ltd",
        sla=sla,
        mode=mode,
        objectives=Objectives(rto_s=14_400.0, rpo_s=rpo_s),
        timezone="Africa/Johannesburg",
        stages=stages,
        inputs=(Variable(name="service", text="acme"),),
        runbook_source=Source(path="runbooks/failover.yml", sha256="1f" * 32, text="runbook: failover\n"),
        inventory_source=Source(path="inventories/taskflow.yml", sha256="2e" * 32, text="sites: []\n"),
        drctl_version="0.1.0",
    )
