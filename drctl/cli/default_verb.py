"""A group of verbs of which one may be left out: ``drctl evidence 4f2a`` is ``drctl evidence pack 4f2a``."""

from __future__ import annotations

from typing import Any, ClassVar

from typer.core import TyperGroup


class DefaultVerb(TyperGroup):
    """The group; a subclass names the verb that is meant when none is typed."""

    default: ClassVar[str]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the verb in its place; whoever asks for help asks for that of the group."""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = [self.default, *args]
        found: list[str] = super().parse_args(ctx, args)
        return found
