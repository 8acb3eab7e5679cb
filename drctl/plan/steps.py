"""A step as it is written → a step as it is carried out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from drctl.model.actions import ApprovalText, ArgvUse, CommandUse, TcpText, TransferText, VerifyText
from drctl.model.inventory import Service
from drctl.model.plan import (
    Action,
    Approval,
    Capture,
    CaptureType,
    Endpoint,
    Http,
    Manual,
    Mode,
    Objectives,
    OnUnreachable,
    Shell,
    Step,
    Tcp,
    Transfer,
    Verify,
    Wait,
)
from drctl.model.runbook import Runbook
from drctl.model.units import parse_duration
from drctl.model.words import Mark, Section
from drctl.plan.codec import step_digest
from drctl.plan.hosts import USUAL_ROLES, HostWords, MissingRole, UnknownHosts
from drctl.plan.names import StepNames
from drctl.plan.pieces import carries, conditions, request, retry_of
from drctl.plan.residency import Hop, abroad, asked_of, residency_of
from drctl.plan.scope import Scope
from drctl.read.diagnostics import Diagnostic, quoted
from drctl.read.document import Document
from drctl.read.link import Frame, Linked
from drctl.read.suggest import did_you_mean, listed
from drctl.read.template import fill
from drctl.read.walk import DEFAULT_TIMEOUT_S, Path, Placed, acts_remotely, manual_part

WORDS_ONLY = 'exec "$@"'  # the script of every list of words: no shell reads a value as code


class StepMaker:
    """Makes the steps of one runbook of a plan, and gathers what is wrong with them."""

    def __init__(self, frame: Frame, service: Service, words: HostWords, scope: Scope, objectives: Objectives) -> None:
        self.runbook: Document[Runbook] = frame.document
        self.service = service
        self.words = words
        self.scope = scope
        self.objectives = objectives
        self.problems: list[Diagnostic] = []
        self.missing_roles: dict[str, tuple[Path, str]] = {}

    def missing_role_problems(self) -> list[Diagnostic]:
        """One problem for each role that is missing, at the first step that needs it."""
        return [
            self.runbook.places.problem(path, f"{self.words.service} has no role {quoted(role)}", hint=hint)
            for role, (path, hint) in self.missing_roles.items()
        ]

    def make(self, placed: Linked, captured: Mapping[str, str]) -> Step | None:
        """The step, or None when something about it is wrong; ``captured`` are names with their types."""
        before = len(self.problems) + len(self.missing_roles)
        hosts = self._hosts(placed)
        names = StepNames(
            scope=self.scope,
            placed=placed,
            places=self.runbook.places,
            hosts=hosts,
            captured=frozenset(captured),
            excused=self._excused(hosts, placed),
        )
        step = self._step(placed, names, hosts, conditions(placed, captured))
        self.problems += names.problems
        if step is None or len(self.problems) + len(self.missing_roles) > before:
            return None
        return replace(step, digest=step_digest(step))

    def _step(
        self, placed: Linked, names: StepNames, hosts: list[str], when: tuple[tuple[str, str], ...]
    ) -> Step | None:
        written, path = placed.step, placed.path
        variables = names.variables()
        action = self._action(placed, names)
        verify = self._verify(written.verify, (*path, "verify"), names) if written.verify is not None else None
        name = names.text((*path, "name"), written.name) if written.name else written.id.replace("-", " ").capitalize()
        hint = names.text((*path, "failure_hint"), written.failure_hint)
        if not names.waits(written.failure_hint):
            hint = fill(hint, {})  # a report shows it as it stands
        self._captures(placed, hosts)
        if action is None:
            return None
        self._stays(placed, action, hosts)
        place = self.runbook.places.of(path)
        mark, mark_value = next(iter((written.marks or {}).items()), (None, None))
        remote = acts_remotely(written)
        timeout = written.timeout if written.timeout is not None else DEFAULT_TIMEOUT_S
        return Step(
            id=placed.id,
            name=name,
            where=f"{self.runbook.file}:{place.line}:{place.column}",
            action=action,
            endpoints=tuple(self._endpoint(host, names) for host in hosts),
            become=written.become,
            variables=variables,
            unless=Shell(script=written.unless, local=not remote) if written.unless is not None else None,
            verify=verify,
            expect=written.expect,
            timeout_s=max(timeout, action.seconds) if isinstance(action, Wait) else timeout,
            expected_s=written.expected if not isinstance(action, Wait) else action.seconds,
            retry=retry_of(placed),
            on_failure=placed.on_failure,
            on_unreachable=OnUnreachable(written.on_unreachable or "fail"),
            read_only=placed.read_only,
            idempotent=bool(written.idempotent) or isinstance(action, Transfer),
            sensitive=bool(written.sensitive),
            captures=tuple(Capture(name=key, type=CaptureType(kind)) for key, kind in written.capture.items()),
            mark=Mark(mark) if mark is not None else None,
            mark_value=mark_value,
            recovery_point=written.recovery_point,
            last_write=written.last_write,
            proves=written.proves,
            requires=written.requires,
            unless_proved=written.unless_proved,
            failure_hint=hint,
            when=when,
            modes=tuple(Mode(mode) for mode in placed.modes() or ()) if placed.undoes is None else (),
            max_parallel=written.max_parallel,
            undoes=placed.undoes,
            round=placed.frame.round if placed.section in (Section.STEPS, Section.FALLBACK) else None,
            carries=carries(written.carries, self.scope),
        )

    def _hosts(self, placed: Placed) -> list[str]:
        written = placed.step.hosts
        if written is None:
            return []
        found: list[str] = []
        for number, word in enumerate([written] if isinstance(written, str) else written):
            path: Path = (*placed.path, "hosts") if isinstance(written, str) else (*placed.path, "hosts", number)
            try:
                found += self.words.hosts(word)
            except MissingRole as error:
                self.missing_roles.setdefault(word, (path, error.hint))
            except UnknownHosts as error:
                self._add(path, str(error), hint=error.hint)
        return list(dict.fromkeys(found))

    def _stays(self, placed: Placed, action: Action, hosts: list[str]) -> None:
        """Every machine that a data-carrying step names must be in the country that data stays in."""
        if placed.step.carries is None and not isinstance(action, Transfer):
            return
        residency = residency_of(self.words.inventory)
        known = {place.host: place.address for place in residency.places}
        ways = [((*placed.path, "hosts"), Hop(host, known[host])) for host in hosts]
        asked = asked_of(action)
        if asked is not None and "${" not in asked.address:
            ways.append(((*placed.path, str(placed.action)), asked))
        for path, hop in ways:
            why = abroad(residency, hop)
            if why:
                hint = "carry it by way of a host in the country, or correct the country of its site in the inventory"
                self._add(path, f"data must stay in {residency.country}, and {why}", hint=hint)

    def _excused(self, hosts: list[str], placed: Placed) -> Callable[[str], bool]:
        """Names that are unknown only because a role or the step's hosts are: that has been told."""
        unresolved = placed.step.hosts is not None and not hosts
        own = {name for values in self.scope.hosts.values() for name in values}

        def excused(name: str) -> bool:
            role, _, what = name.rpartition("_")
            of_role = what in ("host", "address", "addresses", "site")
            if of_role and role in USUAL_ROLES and role not in self.service.roles:
                return True
            return unresolved and name in own

        return excused

    def _endpoint(self, host: str, names: StepNames) -> Endpoint:
        return self.words.endpoint(host, names.of_host(host))

    def _captures(self, placed: Placed, hosts: list[str]) -> None:
        path = (*placed.path, "capture")
        if placed.step.capture and len(hosts) > 1:
            message = f"captures from {len(hosts)} hosts at once ({listed(hosts)}): whose value would it be?"
            self._add(path, message, key=True, hint="name one host")
        for name in placed.step.capture:
            if name in self.scope.names():
                self._add((*path, name), f"is a variable of {self.words.service} already", key=True)

    def _action(self, placed: Placed, names: StepNames) -> Action | None:
        step, path = placed.step, placed.path
        if step.approval is not None:
            return self._approval(step.approval, (*path, "approval"), names)
        if step.wait is not None:
            return Wait(seconds=step.wait)
        if step.manual is not None:
            return Manual(prompt=names.text(*manual_part(placed, step.manual)))
        if step.argv is not None:
            return self._argv(step.argv, (*path, "argv"), names, local=False)
        for word in ("put", "get"):
            transfer: TransferText | None = getattr(step, word)
            if transfer is not None:
                return self._transfer(transfer, placed, word == "put", names)
        return self._probe(step, path, names)

    def _transfer(self, transfer: TransferText, placed: Placed, put: bool, names: StepNames) -> Transfer:
        path = (*placed.path, "put" if put else "get")
        if not put and len(names.hosts) > 1:
            message = f"fetches from {len(names.hosts)} hosts at once ({listed(names.hosts)}) into one file"
            self._add(path, message, key=True, hint="name one host")
        source = names.text((*path, "source"), transfer.source)
        destination = names.text((*path, "destination"), transfer.destination)
        return Transfer(
            direction="put" if put else "get",
            local=source if put else destination,
            remote=destination if put else source,
            sha256=transfer.sha256.lower() if transfer.sha256 is not None else None,
        )

    def _argv(self, argv: list[str], path: Path, names: StepNames, *, local: bool) -> Shell:
        words = tuple(names.text((*path, number), word) for number, word in enumerate(argv))
        return Shell(script=WORDS_ONLY, local=local, words=words)

    def _probe(self, holder: object, path: Path, names: StepNames) -> Shell | Http | Tcp | None:
        """The action that a step and a verify have in common."""
        for word in ("run", "local"):
            shell = getattr(holder, word, None)
            if shell is not None:
                return self._shell(shell, (*path, word), names, local=word == "local")
        http, tcp = getattr(holder, "http", None), getattr(holder, "tcp", None)
        if http is not None:
            return request(http, (*path, "http"), names)
        return self._tcp(tcp, (*path, "tcp"), names) if tcp is not None else None

    def _shell(self, shell: str | CommandUse | ArgvUse, path: Path, names: StepNames, *, local: bool) -> Shell | None:
        if isinstance(shell, str):
            return Shell(script=shell, local=local)
        if isinstance(shell, ArgvUse):
            return self._argv(shell.argv, (*path, "argv"), names, local=local)
        commands = self.service.commands
        arguments = [names.text((*path, "arguments", n), text) for n, text in enumerate(shell.arguments)]
        command = self.words.command(shell.command)
        if command not in commands:
            message = f"{self.words.service} has no command {quoted(command)}{did_you_mean(command, commands)}"
            self._add((*path, "command"), message, hint=f"commands of the service: {listed(commands)}")
            return None
        words = tuple(names.constant(word) for word in commands[command])
        return Shell(script=WORDS_ONLY, local=local, words=(*words, *arguments), command=command)

    def _tcp(self, tcp: TcpText, path: Path, names: StepNames) -> Tcp | None:
        address = names.text((*path, "host"), tcp.host)
        if not names.waits(tcp.host) and not names.problems:
            try:
                address = self.words.address(address)
            except MissingRole as error:
                self.missing_roles.setdefault(address, ((*path, "host"), error.hint))
                return None
            except UnknownHosts as error:
                self._add((*path, "host"), str(error), hint=error.hint)
                return None
        return Tcp(address=address, port=tcp.port, expect=tcp.expect)

    def _approval(self, approval: ApprovalText, path: Path, names: StepNames) -> Approval:
        prompt = names.text((*path, "prompt"), approval.prompt)
        condition = approval.only_if_above
        minimum, within_s = self._signatures(approval, path)
        if condition is None:
            return Approval(prompt=prompt, minimum=minimum, within_s=within_s)
        limit: float | None
        if isinstance(condition.limit, str) and condition.limit in ("rpo", "rto"):
            limit = self.objectives.rpo_s if condition.limit == "rpo" else self.objectives.rto_s
            if limit is None:
                where = (*path, "only_if_above", "limit")
                message = f"neither the runbook nor the inventory promises an {condition.limit.upper()}"
                self._add(where, message, hint=f"add objectives: {{{condition.limit}: 24h}}, or write the limit out")
                limit = 0.0
        else:
            limit = parse_duration(condition.limit) if isinstance(condition.limit, str) else float(condition.limit)
        above = (condition.value, limit)
        return Approval(prompt=prompt, only_if_above=above, minimum=minimum, within_s=within_s)

    def _signatures(self, approval: ApprovalText, path: Path) -> tuple[int, float | None]:
        """How many signatures, and how old they may be; 0 where the inventory does not ask for any."""
        policy = self.words.inventory.approvals
        if policy is not None:
            within_s = approval.within if approval.within is not None else policy.within
            return approval.minimum or policy.minimum, within_s
        for word in ("minimum", "within"):
            if getattr(approval, word) is not None:
                message = "is about signatures, and the inventory does not say who may sign"
                self._add((*path, word), message, key=True, hint="add approvals: {allowed_signers: FILE} there")
        return 0, None

    def _verify(self, verify: VerifyText, path: Path, names: StepNames) -> Verify | None:
        action = self._probe(verify, path, names)
        if action is None:
            return None
        return Verify(action=action, expect=verify.expect, within_s=verify.within, every_s=verify.every)

    def _add(self, path: Path, message: str, *, key: bool = False, hint: str = "") -> None:
        self.problems.append(self.runbook.places.problem(path, message, key=key, hint=hint))
