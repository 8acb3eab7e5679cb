"""The page that lies in an evidence pack: what is in it, and how to check it with tools that are not ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from drctl.model.units import format_instant
from drctl.report.facts import Summary
from drctl.report.harmless import code, markdown

CHECKS = """```sh
sha256sum --check --strict --quiet MANIFEST.sha256
```

```sh
ssh-keygen -Y verify -f ALLOWED_SIGNERS -I SIGNER -n drctl-evidence -s MANIFEST.sha256.sig <MANIFEST.sha256
```

```sh
python3 - <<'END' | diff - HEAD
import hashlib, json
previous = "0" * 64
for number, line in enumerate(open("events.jsonl", "rb"), 1):
    event = json.loads(line)
    assert (event["sequence"], event["previous"]) == (number, previous), f"event {number} is not in its place"
    previous = hashlib.sha256(line.removesuffix(b"\\n")).hexdigest()
print(number, previous)
END
```
"""


def render(summary: Summary, *, missing: Sequence[str]) -> str:
    """The page, in Markdown."""
    return "\n".join(_lines(summary, missing)).rstrip() + "\n"


def _lines(found: Summary, missing: Sequence[str]) -> Iterator[str]:
    yield from (f"# {markdown(found.watermark)}: evidence of {code(found.run_id)}", "")
    yield from (f"**{markdown(found.headline)}**", "")
    if found.ongoing:
        last = format_instant(found.chain.last_at)
        yield from (
            f"> **THE RUN IS NOT OVER.** This pack holds its events up to {last}. Ask for one that is whole.",
            "",
        )
    yield from (_FILES, "## Check it yourself", "", _HOW, "", CHECKS, _WHAT_IT_SHOWS)
    yield from ("", f"HEAD: {found.chain.events} events, {code(found.chain.head)}.", "")
    if missing:
        yield from ("## Not here", "", "These outputs were not on the disk any more; the events keep their sums:", "")
        yield from (f"- {code(sha256)}" for sha256 in missing)


_HOW = """In this directory, with `sha256sum`, `ssh-keygen` and `python3` of your own system. Each must end with exit
code 0; the first and the third print nothing. ALLOWED_SIGNERS is your own file, which says whose key you trust, and
SIGNER is the name in it: `SIGNER namespaces="drctl-evidence" ssh-ed25519 AAAA…`."""

_WHAT_IT_SHOWS = """The first shows that every file is as it was listed, the second that SIGNER signed the list, the
third that no event was changed, added or taken out. Whoever holds the signing key could still write all of it anew:
compare the events with the heads that were published while the run went on. A head over N events is the sha256 of
line N, without its newline."""

_FILES = """| file | what it is |
|---|---|
| `events.jsonl` | every event of the run; the sha256 of a line, without its newline, is the `previous` of the next |
| `HEAD` | how many events there are, and the sha256 of the last |
| `plan.json` | the plan that was carried out, as the first event holds it |
| `documents/` | the runbooks and the inventory as they were |
| `outputs/` | what the commands printed, redacted; each file is named by its sha256 |
| `report.html`, `report.md`, `report.json` | the report that was made of these events |
| `findings.jsonl` | the notes of the report's findings, as the ledger has them: each sum there is that of a line here |
| `pack.json` | the pack's format, and the drctl that made it |
| `MANIFEST.sha256`, `MANIFEST.sha256.sig` | the sha256 of every file above, and the signature of that list |

The output of sensitive steps is kept nowhere; the events have its sums.
"""
