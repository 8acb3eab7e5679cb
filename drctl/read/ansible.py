"""The JSON of ``ansible-inventory --list`` → the same tree as an inventory of drctl's own, with places in the JSON.

Ansible knows hosts, groups and variables. What only drctl knows (sites, services, objectives, residency) stands in two
variables of its own: ``drctl_inventory``, a mapping for the group ``all``, and each host's ``drctl_site``. A host with
``drctl_ignore: true`` is none of drctl's.

Ansible writes out vaulted values when it has the password. So what looks like a secret is left out, and the text that a
plan carries is the inventory as drctl reads it, never the JSON itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from drctl.model.scalars import VARIABLE_NAME
from drctl.read.diagnostics import Diagnostic, Severity, quoted
from drctl.read.document import Places
from drctl.read.lint_inventory import _LOOKS_SECRET
from drctl.read.suggest import did_you_mean, listed
from drctl.read.text import SourceText
from drctl.read.yaml import Loaded, Node, Path

ABOUT_ALL = "drctl_inventory"
SITE, IGNORE = "drctl_site", "drctl_ignore"

EXAMPLE = f"""add to group_vars/all.yml:
    {ABOUT_ALL}:
      inventory: taskflow
      residency: ZA
      sites: {{jnb: {{provider: Xneelo, city: Johannesburg, country: ZA, kind: datacentre}}}}
      services: {{acacia: {{title: Acacia, roles: {{primary: db1, standby: db2}}}}}}"""

_HOSTVARS: Path = ("_meta", "hostvars")
_REACHED = {
    "address": ("ansible_host", "ansible_ssh_host"),
    "port": ("ansible_port", "ansible_ssh_port"),
    "user": ("ansible_user", "ansible_ssh_user"),
}
_OVER_SSH = ("ssh", "smart", "paramiko", "paramiko_ssh", "ansible.builtin.ssh", "ansible.builtin.paramiko_ssh")
# Ways to a host that OpenSSH's configuration must know, because nothing of them reaches drctl.
_OPENSSH_ONLY = (
    "ansible_ssh_common_args",
    "ansible_ssh_extra_args",
    "ansible_ssh_args",
    "ansible_ssh_private_key_file",
)
_NOT_GROUPS = ("_meta", "all", "ungrouped")
_SHOWN = 12


def from_ansible(
    loaded: Loaded, source: SourceText, problems: list[Diagnostic]
) -> tuple[Loaded | None, SourceText, list[Diagnostic]]:
    """The tree of an inventory, the text that a plan may carry, and what is wrong with it so far."""
    return _Reader(loaded, source).read(problems)


@dataclass
class _Left:
    """Variables that are left out, each with the reason; and the first place where one stood."""

    why: dict[str, str] = field(default_factory=dict)
    place: Path = ()

    def out(self, path: Path, name: str, why: str) -> None:
        self.place = self.place or path
        self.why.setdefault(name, why)


class _Reader:
    def __init__(self, loaded: Loaded, source: SourceText) -> None:
        self._loaded, self._source = loaded, source
        self._places = Places(source=source, root=loaded.root)
        self._problems: list[Diagnostic] = []
        self._left = _Left()
        meta = loaded.value.get("_meta")
        self._hostvars: dict[str, Any] = meta.get("hostvars", {}) if isinstance(meta, dict) else {}

    def read(self, problems: list[Diagnostic]) -> tuple[Loaded | None, SourceText, list[Diagnostic]]:
        about, about_path = self._about_all()
        # Ansible's variables may well be null; only in what is drctl's own something is missing then.
        kept = tuple(path[len(about_path) :] for path in self._loaded.empty if path[: len(about_path)] == about_path)
        if about is None:
            kept = ()
        others = [path for path in self._loaded.empty if about is None or path[: len(about_path)] != about_path]
        ignored = {(place.line, place.column) for place in map(self._places.of, others)}
        said = [p for p in problems if (p.line, p.column) not in ignored or not p.message.endswith("has no value")]
        if about is None:
            return None, self._source, [*said, *self._problems]
        hosts = {name: self._host(name) for name in self._names() if not self._is_ignored(name)}
        self._tell_what_is_left_out()
        if any(problem.severity is Severity.ERROR for problem in self._problems):
            return None, self._source, [*said, *self._problems]
        value = {**about, "hosts": {name: values for name, (values, _) in hosts.items()}}
        root = self._tree(about_path, {name: node for name, (_, node) in hosts.items()})
        text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
        source = replace(self._source, text=text)
        return Loaded(value=value, root=root, empty=kept), source, [*said, *self._problems]

    def _no(self, path: Path, message: str, hint: str, *, warning: bool = False) -> None:
        where = self._places.of(path, key=True)
        severity = Severity.WARNING if warning else Severity.ERROR
        self._problems.append(
            self._source.diagnostic(
                message, line=where.line, column=where.column, length=where.length, hint=hint, severity=severity
            )
        )

    def _about_all(self) -> tuple[dict[str, Any] | None, Path]:
        """What drctl is told about all of it, and where; None when it is not there or not fit to be read."""
        again = "ansible-inventory -i INVENTORY --list > inventory.json"
        group = self._loaded.value.get("all")
        if isinstance(group, dict) and "vars" in group:
            self._no(
                ("all", "vars"), "was written with --export, which does not say what each host's values are", again
            )
            return None, ()
        if not isinstance(self._hostvars, dict) or not isinstance(self._loaded.value.get("_meta"), dict):
            self._no((), "is an inventory of Ansible's own: drctl reads what ansible-inventory makes of it", again)
            return None, ()
        found = [(name, values) for name, values in self._hostvars.items() if isinstance(values, dict)]
        having = [(name, values[ABOUT_ALL]) for name, values in found if ABOUT_ALL in values]
        if not having:
            self._no(_HOSTVARS, f"no host has the variable {ABOUT_ALL}: sites and services are not known", EXAMPLE)
            return None, ()
        first, about = having[0]
        path: Path = (*_HOSTVARS, first, ABOUT_ALL)
        if not isinstance(about, dict):
            self._no(path, f"{ABOUT_ALL} of {first} is not a mapping", EXAMPLE)
            return None, path
        for name, other in having[1:]:
            if other != about:
                where = (*_HOSTVARS, name, ABOUT_ALL)
                self._no(where, f"{ABOUT_ALL} of {name} is not that of {first}", "it belongs to the group all, once")
                return None, path
        if "hosts" in about:
            self._no(
                (*path, "hosts"), f"{ABOUT_ALL} has hosts: they are those of Ansible", f"give each host its {SITE}"
            )
            return None, path
        return about, path

    def _names(self) -> list[str]:
        """Hosts that have variables, and those that stand in a group only."""
        listed_ = [name for group in self._loaded.value if group != "_meta" for name in self._members(group)]
        return list(dict.fromkeys([*self._hostvars, *listed_]))

    def _members(self, group: str, seen: frozenset[str] = frozenset()) -> Iterator[str]:
        found = self._loaded.value.get(group)
        if not isinstance(found, dict) or group in seen:
            return
        yield from _texts(found.get("hosts"))
        for child in _texts(found.get("children")):
            yield from self._members(child, seen | {group})

    def _values(self, name: str) -> dict[str, Any]:
        values = self._hostvars.get(name)
        return values if isinstance(values, dict) else {}

    def _is_ignored(self, name: str) -> bool:
        return str(self._values(name).get(IGNORE, "")).lower() in ("true", "yes", "1")

    def _host(self, name: str) -> tuple[dict[str, Any], Node]:
        path, values = (*_HOSTVARS, name), self._values(name)
        host: dict[str, Any] = {}
        nodes: dict[str, tuple[Node, Node]] = {}

        def put(key: str, value: Any, at: Path) -> None:
            host[key] = value
            nodes[key] = self._key(at), self._node(at)

        if SITE not in values:
            hint = f"{SITE}: NAME in host_vars/{name}.yml, or for all of a site in group_vars; a host that is none of "
            self._no(path, f"{name} has no variable {SITE}", f"{hint}drctl's has {IGNORE}: true{self._sites()}")
        else:
            put("site", self._plain(path, SITE), (*path, SITE))
        for key, names in _REACHED.items():
            given = next((variable for variable in names if values.get(variable) not in (None, "")), None)
            if given is not None:
                value = self._plain(path, given)
                put(key, int(value) if key == "port" and str(value).isdecimal() else value, (*path, given))
        way = values.get("ansible_connection")
        if way is not None and way not in _OVER_SSH:
            why = f"{name} is reached by {quoted(str(way))}, and drctl reaches hosts over SSH only"
            self._no((*path, "ansible_connection"), why, f"{IGNORE}: true in host_vars/{name}.yml leaves it out")
        kept = [variable for variable in values if self._is_for_scripts(path, variable)]
        if kept:
            put("vars", {variable: values[variable] for variable in kept}, path)
            known = self._node(path).keyed or {}
            nodes["vars"] = self._key(path), self._mapping({variable: known[variable] for variable in kept}, path)
        groups = self._groups(name)
        if groups:
            put("groups", groups, path)
            here = self._node(path)
            nodes["groups"] = self._key(path), Node(here.start, here.end, items=(self._key(path),) * len(groups))
        return host, self._mapping(nodes, path)

    def _sites(self) -> str:
        known = next((v[ABOUT_ALL].get("sites") for v in self._hostvars.values() if ABOUT_ALL in v), None)
        return f"; sites: {listed(known)}" if isinstance(known, dict) else ""

    def _plain(self, path: Path, variable: str) -> Any:
        value = self._values(str(path[-1]))[variable]
        if isinstance(value, str) and "{{" in value:
            why = f"{variable} of {path[-1]} holds a template, which ansible-inventory does not fill in"
            self._no((*path, variable), why, "write the value itself")
        return value

    def _is_for_scripts(self, path: Path, name: str) -> bool:
        value = self._values(str(path[-1]))[name]
        if name in (ABOUT_ALL, SITE, IGNORE) or value is None:
            return False
        if name.startswith("drctl_"):
            known = (ABOUT_ALL, SITE, IGNORE)
            self._no((*path, name), f"drctl knows no variable {quoted(name)}{did_you_mean(name, known)}", listed(known))
            return False
        if name.startswith("ansible_"):
            if name in _OPENSSH_ONLY:
                self._left.out((*path, name), name, "drctl reads ssh_config: ProxyJump, IdentityFile")
            return False
        why = _why_left_out(name, value)
        if why:
            self._left.out((*path, name), name, why)
        return not why

    def _groups(self, name: str) -> list[str]:
        """Ansible's names have underscores where drctl's have dashes."""
        groups = []
        for group in self._loaded.value:
            if group not in _NOT_GROUPS and name in self._members(group):
                groups.append(re.sub(r"[^a-z0-9]+", "-", group.lower()).strip("-"))
        return list(dict.fromkeys(group for group in groups if group))

    def _tell_what_is_left_out(self) -> None:
        if not self._left.why:
            return
        words = [f"{name} ({why})" for name, why in sorted(self._left.why.items())]
        more = f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
        self._no(
            self._left.place,
            f"variables of hosts that drctl leaves out: {', '.join(words[:_SHOWN])}{more}",
            'a secret is given as a reference, NAME: {secret: "env:OTHER_NAME"}; a value of a service in '
            f"{ABOUT_ALL}.services.NAME.vars",
            warning=True,
        )

    def _tree(self, about_path: Path, hosts: dict[str, Node]) -> Node:
        known = self._node(_HOSTVARS).keyed or {}
        nodes = {
            name: (known[name][0] if name in known else self._key(_HOSTVARS), node) for name, node in hosts.items()
        }
        about = self._node(about_path).keyed or {}
        return self._mapping({**about, "hosts": (self._key(_HOSTVARS), self._mapping(nodes, _HOSTVARS))}, about_path)

    def _node(self, path: Path) -> Node:
        return self._places._find(path)[0]

    def _key(self, path: Path) -> Node:
        """Where a key stands that the JSON has not: it stands for the one at the path."""
        node, key = self._places._find(path)
        return key if key is not None else node

    def _mapping(self, keyed: Mapping[str, tuple[Node, Node]], path: Path) -> Node:
        node = self._node(path)
        return Node(node.start, node.end, keyed=keyed)


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list | dict) else []


def _why_left_out(name: str, value: Any) -> str:
    if isinstance(value, dict) and set(value) == {"secret"}:
        return ""
    if isinstance(value, dict | list):
        return "a vaulted value" if "__ansible_vault" in value else "a list or a mapping"
    if re.search(VARIABLE_NAME, name) is None or len(name) > 64:
        return "drctl's names are of small letters, digits and underscores"
    if isinstance(value, str) and ("{{" in value or "{%" in value):
        return "a template"
    return "looks like a secret" if _LOOKS_SECRET.search(name) else ""
