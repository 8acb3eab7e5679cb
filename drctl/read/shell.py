"""Which variables a shell script uses and which it sets.

This is no shell: it follows quotes, substitutions and here-documents far enough to know where ``$name`` is expanded.
``awk '{print $1}'`` expands nothing, ``"$(psql -d "$database")"`` does. What it cannot know (``eval``) it leaves alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BRACED = re.compile(r"\$\{[#!]?([A-Za-z_][A-Za-z0-9_]*)(:?[-+=?])?")
_HEREDOC = re.compile(r"<<(-?)[ \t]*(?:'([^'\n]+)'|\"([^\"\n]+)\"|(\\?)([A-Za-z0-9_.]+))")

_ORDINARY = re.compile(r"""[^\\$`"'#<\n()}]+""")  # nothing begins or ends with one of these, but for arithmetic

_ASSIGNED = (
    re.compile(r"(?:^|[\s;&|({`!])([A-Za-z_]\w*)(?:\[[^\]\n]*\])?\+?="),
    re.compile(
        r"\b(?:for\s+|getopts\s+\S+\s+|printf\s+-v\s+|select\s+(?=[A-Za-z_]\w*\s+in\b))([A-Za-z_]\w*)",
    ),
)
_ASSIGNED_WORDS = (
    re.compile(r"\b(?:read|mapfile|readarray)\b([^;&|<>\n]*)"),
    re.compile(r"\b(?:local|declare|typeset)\b([^;&|\n]*)"),
)
_EXPORTED = re.compile(r"\b(?:export|readonly)\b([^;&|\n]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A variable that is expanded, and where; ``optional`` when the script says what to do without it."""

    name: str
    offset: int
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellUse:
    """What a script does with variables. ``mentioned`` are names that it may use without a ``$``."""

    references: tuple[Reference, ...]
    assigned: frozenset[str]
    mentioned: frozenset[str]

    @property
    def names(self) -> frozenset[str]:
        """Every variable that the script may read."""
        return frozenset(reference.name for reference in self.references) | self.mentioned


@lru_cache(maxsize=1024)  # a step's script is looked at for each of its hosts, and for each service
def shell_use(script: str) -> ShellUse:
    """Reads the script once."""
    scan = _Scan(script)
    scan.run(0, len(script), ["plain"])
    plain = "".join(scan.plain)
    assigned = {name for pattern in _ASSIGNED for name in pattern.findall(plain)} | scan.assigned
    for pattern in _ASSIGNED_WORDS:
        for words in pattern.findall(plain):
            assigned |= {word.partition("=")[0] for word in words.split() if _NAME.fullmatch(word.partition("=")[0])}
    exported = {word for words in _EXPORTED.findall(plain) for word in words.split() if _NAME.fullmatch(word)}
    return ShellUse(
        references=tuple(scan.references),
        assigned=frozenset(assigned),
        mentioned=frozenset(scan.mentioned | exported),
    )


def line_and_column(script: str, offset: int) -> tuple[int, int]:
    """Of a character of the script, both from 0."""
    before = script[:offset]
    line = before.count("\n")
    return line, offset - (before.rfind("\n") + 1)


@dataclass(slots=True)
class _Scan:
    """A stack of contexts: plain (commands), "(" , quote, brace, arithmetic, document."""

    script: str
    references: list[Reference] = field(default_factory=list)
    assigned: set[str] = field(default_factory=set)
    mentioned: set[str] = field(default_factory=set)
    plain: list[str] = field(default_factory=list)
    documents: list[tuple[str, bool, bool]] = field(default_factory=list)

    def run(self, at: int, end: int, stack: list[str]) -> None:
        while at < end:
            context = stack[-1]
            commands = context in ("plain", "(", "`") or (context == "}" and '"' not in stack)
            ordinary = None if context in ("arithmetic", "arithmetic(") else _ORDINARY.match(self.script, at, end)
            if ordinary:
                self.plain += [ordinary.group()] if commands else []
                at = ordinary.end()
                continue
            character = self.script[at]
            following = at + 1
            if character == "\\":
                following = at + 2
            elif character == "$":
                following = self._dollar(at, stack)
            elif context in ("arithmetic", "arithmetic("):
                following = self._arithmetic(at, stack)
            elif character == "`":
                _toggle(stack, "`")
            elif character == '"' and context != "document":
                _toggle(stack, '"')
            elif context == "}" and character == "}":
                stack.pop()
            elif commands:
                following = self._command(at, end, stack)
            at = following

    def _command(self, at: int, end: int, stack: list[str]) -> int:
        """A character of the commands themselves."""
        character = self.script[at]
        if character == "'":
            closing = self.script.find("'", at + 1)
            self.plain.append("_")
            return closing + 1 if closing >= 0 else end
        if character == "#" and stack[-1] != "}" and (at == 0 or self.script[at - 1] in " \t\n;&|()`"):
            newline = self.script.find("\n", at)
            return newline if newline >= 0 else end
        if character == "<" and self.script.startswith("<<", at) and not self.script.startswith("<<<", at):
            found = _HEREDOC.match(self.script, at)
            if found:
                dash, single, double, backslash, bare = found.groups()
                self.documents.append((single or double or bare, bool(single or double or backslash), bool(dash)))
                return found.end()
        self.plain.append(character)
        if character == "\n" and self.documents:
            return self._read_documents(at + 1, end)
        if character == "(" and stack[-1] != "}":
            stack.append("(")
        elif character == ")" and stack[-1] == "(":
            stack.pop()
        return at + 1 if not self.script.startswith("<<<", at) else at + 3

    def _read_documents(self, at: int, end: int) -> int:
        pending, self.documents = self.documents, []
        for delimiter, is_quoted, dash in pending:
            start = at
            while at < end:
                newline = self.script.find("\n", at, end)
                stop = newline if newline >= 0 else end
                line = self.script[at:stop]
                if (line.lstrip("\t") if dash else line) == delimiter:
                    break
                at = stop + 1
            if not is_quoted:
                self.run(start, min(at, end), ["document"])
            at = min(at + len(delimiter), end)
            newline = self.script.find("\n", at, end)
            at = newline + 1 if newline >= 0 else end
        return at

    def _dollar(self, at: int, stack: list[str]) -> int:
        if self.script.startswith("$((", at):
            stack.append("arithmetic")
            return at + 3
        if self.script.startswith("$(", at):
            stack.append("(")
            self.plain.append(" ")
            return at + 2
        braced = _BRACED.match(self.script, at)
        if braced:
            name, operator = braced.group(1), braced.group(2) or ""
            self.references.append(Reference(name=name, offset=at, optional=operator[-1:] in ("-", "+", "=")))
            if operator.endswith("="):
                self.assigned.add(name)
            stack.append("}")
            return braced.end()
        if self.script.startswith("${", at):
            stack.append("}")
            return at + 2
        name_match = _NAME.match(self.script, at + 1)
        if name_match:
            self.references.append(Reference(name=name_match.group(), offset=at))
            return name_match.end()
        if self.script.startswith("$'", at) and '"' not in stack and stack[-1] != "document":
            return self._c_quoted(at + 2)
        return at + 2 if at + 1 < len(self.script) and self.script[at + 1] in "$#?!@*-0123456789" else at + 1

    def _c_quoted(self, at: int) -> int:
        while at < len(self.script) and self.script[at] != "'":
            at += 2 if self.script[at] == "\\" else 1
        return at + 1

    def _arithmetic(self, at: int, stack: list[str]) -> int:
        character = self.script[at]
        if character == "(":
            stack.append("arithmetic(")
        elif character == ")":
            is_end = stack.pop() == "arithmetic"
            return at + 2 if is_end else at + 1
        name = _NAME.match(self.script, at)
        if name:
            self.mentioned.add(name.group())
            return name.end()
        return at + 1


def _toggle(stack: list[str], mark: str) -> None:
    if stack[-1] == mark:
        stack.pop()
    else:
        stack.append(mark)
