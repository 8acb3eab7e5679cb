"""A real disaster-recovery site on one machine: seven hosts with PostgreSQL, backups and an application.

Nothing here prints or exits: functions raise :class:`drctl.errors.LabError` or :class:`drctl.errors.UsageError`
and report progress through a callback. ``drctl/cli/lab.py`` is the only screen.
"""

from drctl.lab.lab import Lab
from drctl.lab.prerequisites import Missing, missing_prerequisites

__all__ = ["Lab", "Missing", "missing_prerequisites"]
