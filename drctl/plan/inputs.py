"""What was given with ``--input`` → the values of the runbook's inputs."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from drctl.errors import UsageError
from drctl.model.inventory import Inventory
from drctl.model.plan import Variable
from drctl.model.runbook import Input, Runbook
from drctl.read.diagnostics import quoted
from drctl.read.document import Document
from drctl.read.lint_inputs import input_text
from drctl.read.suggest import did_you_mean, listed


def resolve_inputs(
    runbook: Document[Runbook], inventory: Document[Inventory], *, service: str, inputs: Mapping[str, str]
) -> dict[str, Variable]:
    """Every declared input with its value; one that was not given and has no default is empty.

    Raises:
        UsageError: with all that is wrong with the service and the inputs.
    """
    services = list(inventory.value.services)
    wrong: list[str] = []
    if service not in services:
        wrong.append(f"there is no service {quoted(service)} in {inventory.file}{did_you_mean(service, services)}")
        wrong.append(f"services: {listed(services, limit=40)}")
    declared = runbook.value.inputs
    for name in inputs:
        if name not in declared:
            wrong.append(f"{runbook.value.runbook} has no input {quoted(name)}{did_you_mean(name, declared)}")
    values: dict[str, Variable] = {}
    for name, wanted in declared.items():
        given = inputs.get(name, service if name == "service" else None)
        try:
            values[name] = Variable(name=name, text=_value(name, wanted, given, services))
            if wanted.type == "role" and service in services:
                _require_role(name, values[name].text or "", inventory.value.services[service].roles)
        except ValueError as error:
            wrong.append(str(error))
    if inputs.get("service", service) != service:
        wrong.append(f"the service is {quoted(service)}, and --input says {quoted(inputs['service'])}")
    if wrong:
        raise UsageError(
            "; ".join(wrong) if len(wrong) == 1 else "\n".join(wrong),
            state="nothing was connected to and nothing was changed",
            hint=_hint(runbook.value, service if service in services else "SERVICE"),
        )
    return values


def some_value(name: str, wanted: Input) -> str:
    """A value for a plan that is only measured: the default, else one of the right form."""
    examples = {"int": "1", "bool": "true", "duration": "1m", "time": "2026-11-23T03:12:00+02:00", "role": "standby"}
    text = wanted.default if wanted.default is not None else examples.get(wanted.type, f"{name}.invalid")
    return input_text(wanted.type, text)


def _value(name: str, wanted: Input, given: str | None, services: list[str]) -> str:
    text = given if given is not None else wanted.default
    if text is None:
        if wanted.required:
            about = f" ({wanted.description})" if wanted.description else ""
            raise ValueError(f"the input {quoted(name)} is missing{about}")
        return ""
    if wanted.type == "service" and name != "service" and text not in services:
        raise ValueError(f"the input {quoted(name)}: there is no service {quoted(text)}{did_you_mean(text, services)}")
    try:
        return input_text(wanted.type, text)
    except ValueError as error:
        raise ValueError(f"the input {quoted(name)}: {error}") from None


def _require_role(name: str, text: str, roles: Collection[str]) -> None:
    if text and text not in roles:
        meant = did_you_mean(text, roles)
        raise ValueError(f"the input {quoted(name)}: the service has no role {quoted(text)}{meant}: {listed(roles)}")


def _hint(runbook: Runbook, service: str) -> str:
    required = [name for name, wanted in runbook.inputs.items() if wanted.required and name != "service"]
    words = "".join(f" --input {name}=…" for name in required)
    return f"drctl plan {runbook.runbook} {service}{words}"
