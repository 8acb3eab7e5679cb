"""Options that are read without pydantic, which takes longer to import than typer does.

typer has a validator made of pydantic for each option of a verb, whether or not it was given, and for plain text too.
Here an option waits until it has a value; a text is what was typed, and a default what it is; all else is typer's own.
When a later typer keeps its validators elsewhere, commands are slower, and ``tests/house/test_startup.py`` says so.
"""

from __future__ import annotations

from typing import Any


def wait_for_values(command: Any, context: Any) -> None:
    """Have the options of a command, and of those below it, read so; ``context`` is the command's or one above."""
    for param in command.get_params(context):
        param._runtime_param = _WhenGiven()
    for inner in getattr(command, "commands", {}).values():
        wait_for_values(inner, context)


class _WhenGiven:
    """What typer asks for the value of an option."""

    def coerce(self, value: Any, *, param: Any, ctx: Any) -> Any:
        """The option's value; typer.BadParameter when it is none of the option's type."""
        many = param.multiple or param.nargs == -1
        if value is None or (many and not value):
            return () if many else None
        wanted = param.type_descriptor.annotation
        if type(value) is wanted and (wanted is str or value == param.default):
            return value
        if wanted == list[str] and many and not isinstance(value, str):
            return list(value)
        param._runtime_param = None  # from now on it is typer's own
        return param.get_runtime_param().coerce(value, param=param, ctx=ctx)
