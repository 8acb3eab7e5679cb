"""The errors that reach a user, and the one table of exit codes.

Every error says what happened, where, what is now true of the systems, and the next command to type
(design, law 12). Nothing below ``cli/`` prints or exits: it raises one of these, and ``cli/main.py`` renders it.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the shell sees. The reference page ``docs/reference/exit-codes.md`` is held to this table by a test."""

    DONE = 0
    STEP_FAILED = 1
    USAGE = 2
    INVALID_DOCUMENT = 3
    OBJECTIVE_MISSED = 4
    LOCKED = 5
    NEEDS_A_PERSON = 6
    NO_GO = 7
    ABORTED = 8
    EVIDENCE_BROKEN = 9
    BUG = 70
    INTERRUPTED = 130
    TERMINATED = 143

    @property
    def meaning(self) -> str:
        """One line for help texts and the reference page."""
        return _MEANINGS[self]


_MEANINGS: dict[ExitCode, str] = {
    ExitCode.DONE: "done: everything that was asked for happened, and no objective was missed",
    ExitCode.STEP_FAILED: "a step failed, or a host could not be reached",
    ExitCode.USAGE: "the command line is not understood, or something that it needs is not there",
    ExitCode.INVALID_DOCUMENT: "the runbook or the inventory is not valid",
    ExitCode.OBJECTIVE_MISSED: "recovered, but the RTO or the RPO was missed",
    ExitCode.LOCKED: "another run holds the service",
    ExitCode.NEEDS_A_PERSON: "in doubt, or waiting for a person",
    ExitCode.NO_GO: "the preconditions say no-go: nothing was changed",
    ExitCode.ABORTED: "aborted by the operator",
    ExitCode.EVIDENCE_BROKEN: "the evidence does not hold: it was changed, cut or not signed by whom it should be",
    ExitCode.BUG: "a bug in drctl",
    ExitCode.INTERRUPTED: "stopped by Ctrl-C; the run can be resumed",
    ExitCode.TERMINATED: "stopped by SIGTERM; the run can be resumed",
}


class DrctlError(Exception):
    """Something that a user can act on.

    Attributes:
        message: what happened, in one sentence, no trailing full stop.
        where: ``file:line:column``, a host, or a command; empty when the message says it.
        state: what is true of the systems now, such as "nothing was changed".
        hint: the next command to type, or the next thing to do.
        exit_code: the row of the table that this error belongs to.
    """

    exit_code: ExitCode = ExitCode.STEP_FAILED

    def __init__(
        self,
        message: str,
        *,
        where: str = "",
        state: str = "",
        hint: str = "",
        exit_code: ExitCode | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.state = state
        self.hint = hint
        if exit_code is not None:
            self.exit_code = exit_code


class UsageError(DrctlError):
    """The command line is wrong, or a thing that it needs is not there."""

    exit_code = ExitCode.USAGE


class DocumentError(DrctlError):
    """A runbook or an inventory is not valid. ``problems`` holds the rendered list, all of them at once."""

    exit_code = ExitCode.INVALID_DOCUMENT


class LockedError(DrctlError):
    """Another run holds the service."""

    exit_code = ExitCode.LOCKED


class JournalError(DrctlError):
    """The journal cannot be read or written: without it nothing may be done (law 1)."""


class LabError(DrctlError):
    """The lab cannot do what was asked."""
