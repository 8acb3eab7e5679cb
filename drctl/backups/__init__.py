"""What a backup is, and when it may be trusted. Pure values and functions: parse, judge, choose, add up.

Facts come from pgBackRest's own commands (``drctl/adapters/copies.py`` sends them). None of its exit codes and none of
its words "ok" are taken for proof: ``verify`` says 0 and "ok" over a gap in the WAL, and ``info`` says "ok" over a
backup whose directory is gone. What is measured is in ``docs/reference/backups.md``.
"""
