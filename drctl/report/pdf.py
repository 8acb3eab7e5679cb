"""The HTML report as PDF. WeasyPrint is an extra, because it needs system libraries that a bastion may not have."""

from __future__ import annotations

from drctl.errors import UsageError
from drctl.report import html
from drctl.report.facts import Summary


def render(summary: Summary) -> bytes:
    """The page on paper: everything that is folded on a screen is open.

    Raises:
        UsageError: when WeasyPrint, or a library that it needs, is not here.
    """
    try:
        from weasyprint import HTML
    except (ImportError, OSError) as error:
        raise UsageError(
            f"a PDF needs WeasyPrint, which is not here: {error}",
            hint="uv pip install 'drctl[pdf]', or print the page of --format html from a browser",
        ) from None
    written: bytes = HTML(string=html.render(summary), url_fetcher=_nothing).write_pdf()
    return written


def _nothing(url: str, *_: object, **__: object) -> dict[str, object]:
    """The page needs nothing from elsewhere, and must not be made to ask for it."""
    raise ValueError(f"a report loads nothing: {url}")
