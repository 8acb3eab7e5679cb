"""The report as one HTML page: nothing is loaded from elsewhere, no script runs, and it prints well.

All that comes from hosts, people and documents passes two sieves on its way into the page, whatever the template
does: what is no plain text is made visible (``harmless``), and then jinja2 escapes it. The page's own policy forbids
scripts and everything that is not in the page.
"""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import datetime
from functools import partial
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from drctl.model.events import Ended, Outcome
from drctl.model.units import format_duration, format_instant, local_time
from drctl.report import assurance_words, circumstances_words, trend, words
from drctl.report.facts import Summary
from drctl.report.harmless import visible
from drctl.report.timeline import timeline
from drctl.report.timing import Doing

_POLICY = "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'"

DOING = {
    Doing.AUTOMATION: "automation",
    Doing.RETRIES: "retries",
    Doing.PEOPLE: "waiting for people",
    Doing.PAUSED: "paused",
    Doing.DRCTL_DEAD: "drctl dead",
    Doing.IDLE: "idle",
}
# The light colours of report.css, for readers that give no style sheet to the drawings within a page.
_INK = {
    Doing.AUTOMATION: "#2f6fb5",
    Doing.RETRIES: "#c96a12",
    Doing.PEOPLE: "#8a4fb0",
    Doing.PAUSED: "#8b949e",
    Doing.DRCTL_DEAD: "#b3141f",
    Doing.IDLE: "#d5dbe2",
    "good": "#0f6b3a",
    "bad": "#b3141f",
    "open": "#8a5200",
}


def render(summary: Summary) -> str:
    """The page, verdict first."""
    environment = _environment()
    css = environment.get_template("report.css").render(mark=_for_css(summary.watermark), run=_for_css(summary.run_id))
    return environment.get_template("report.html").render(
        found=summary,
        css=Markup(css),  # noqa: S704 # ours, with two words that were cut down to plain characters
        policy=_POLICY.format(base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()),
        line=timeline(summary),
        assured=assurance_words.sections(summary),
        around=circumstances_words,
        charts=trend.charts(summary.trend, rto_s=summary.rto.target_s, rpo_s=summary.rpo.target_s),
        local=partial(_local, timezone=summary.timezone),
        standing=_standing(summary),
    )


def _environment() -> Environment:
    found = Environment(
        loader=PackageLoader("drctl.report"),
        autoescape=select_autoescape(("html",), default=True, disabled_extensions=("css",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_harmless,
    )
    found.globals |= {
        "words": words,
        "doing": DOING,
        "ink": _INK,
        "duration": format_duration,
        "utc": format_instant,
        "amount": words.amount,
        "loud": (Outcome.FAILED, Outcome.IN_DOUBT),
    }
    return found


def _harmless(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _for_css(text: str) -> str:
    """Text for a CSS string: what could end it is left out."""
    return re.sub(r"[^A-Za-z0-9 .:_-]", "", text)


def _local(instant: datetime, *, timezone: str) -> str:
    """The instant in the plan's timezone; nothing when that is UTC."""
    said = local_time(instant, timezone)
    return "" if said.endswith("UTC") else said


def _standing(found: Summary) -> str:
    """Whether the verdict is good, bad, or open: the colour of the head."""
    if found.ended is None or found.ended is Ended.PAUSED:
        return "open"
    return "good" if int(found.exit_code) == 0 else "bad"
