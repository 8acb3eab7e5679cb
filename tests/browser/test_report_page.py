"""The HTML report in a real browser: it fits, can be read by everybody, prints whole, and runs nothing of a host's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from drctl.model.plan import Mode
from drctl.report import html
from drctl.report.summary import summarise
from tests.support import sample_runs as samples

PHONE, DESK = 390, 1200


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. Its sandbox needs namespaces that root in a container does not always have."""
    with sync_playwright() as play:
        found = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield found
        found.close()


def shown(browser: Browser, place: Path, sample: str, *, width: int, scheme: Any) -> Page:
    """The report of a sample, with what the page complains of in ``page.complaints``."""
    path = place / f"{sample}.html"
    path.write_text(html.render(summarise(samples.SAMPLES[sample]())))
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
    page.on("request", lambda request: complaints.append(request.url) if request.url != path.as_uri() else None)
    page.goto(path.as_uri())
    page.complaints = complaints  # type: ignore[attr-defined]
    return page


def open_all(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")


@pytest.mark.parametrize(
    ("sample", "width", "scheme"),
    [
        ("hostile", DESK, "light"),
        ("hostile", PHONE, "dark"),
        ("overridden", PHONE, "light"),
        ("overridden", DESK, "dark"),
        ("exercised", PHONE, "dark"),
        ("exercised", DESK, "light"),
    ],
)
def test_it_fits_and_everybody_can_read_it(
    sample: str, width: int, scheme: str, browser: Browser, tmp_path: Path
) -> None:
    page = shown(browser, tmp_path, sample, width=width, scheme=scheme)
    open_all(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.complaints == []  # type: ignore[attr-defined]
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.close()


@pytest.mark.parametrize(("scheme", "red"), [("light", "rgb(179, 20, 31)"), ("dark", "rgb(255, 139, 139)")])
def test_a_broken_glass_is_a_red_line(scheme: str, red: str, browser: Browser, tmp_path: Path) -> None:
    page = shown(browser, tmp_path, "broken_glass", width=DESK, scheme=scheme)
    first = page.locator("p.warning").first
    assert "NOT APPROVED: declare: nobody approved it; thandi@bastion-cpt broke the glass" in first.inner_text()
    assert first.evaluate("line => getComputedStyle(line).color") == red
    again = page.locator("li", has_text="break glass: declare")
    assert again.evaluate("line => getComputedStyle(line).color") == red
    assert Axe().run(page).violations_count == 0
    page.close()


def test_nothing_of_a_host_becomes_markup(browser: Browser, tmp_path: Path) -> None:
    page = shown(browser, tmp_path, "hostile", width=DESK, scheme="light")
    open_all(page)
    assert page.locator("script, a, img, iframe, form").count() == 0
    text = page.inner_text("body")
    assert "<script>alert(1)</script>" in text
    assert "␛[2J" in text
    assert "\\u202eevil" in text
    assert not re.search(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u202e\u200b]", page.content())
    page.close()


def test_its_own_policy_forbids_scripts(browser: Browser, tmp_path: Path) -> None:
    """Even if an escape were forgotten one day."""
    path = tmp_path / "page.html"
    written = html.render(summarise(samples.succeeded()))
    path.write_text(written.replace("</main>", "<script>document.title='owned'</script></main>"))
    page = browser.new_page()
    page.goto(path.as_uri())
    assert page.title() == "REAL: failover of acme"
    # The style of the page is let in: its sum is the one in the policy.
    assert page.evaluate("getComputedStyle(document.querySelector('.mark')).position") == "sticky"
    page.close()


def test_on_paper_all_is_open_and_light(browser: Browser, tmp_path: Path) -> None:
    page = shown(browser, tmp_path, "succeeded", width=DESK, scheme="dark")
    step = page.locator("details pre").first
    assert not step.is_visible()
    page.emulate_media(media="print", color_scheme="dark")
    assert step.bounding_box()["height"] > 10  # type: ignore[index]
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert len(re.findall(rb"/Type /Page\b", page.pdf(prefer_css_page_size=True))) > 3
    page.close()


def test_a_long_sum_in_a_table_breaks_no_short_word(browser: Browser, tmp_path: Path) -> None:
    page = shown(browser, tmp_path, "exercised", width=DESK, scheme="light")
    for word in (page.locator("th", has_text="answer"), page.locator("td strong", has_text="approve")):
        box = word.first.bounding_box()
        assert box is not None
        assert box["height"] < 40, "one line, with its padding"
    page.close()


@pytest.mark.parametrize("media", ["screen", "print"])
def test_the_trend_is_drawn(media: Any, browser: Browser, tmp_path: Path) -> None:
    page = shown(browser, tmp_path, "exercised", width=DESK, scheme="light")
    page.emulate_media(media=media)
    charts = page.locator("svg.chart")
    assert charts.count() == 3
    missed, *others = [bar.bounding_box() for bar in charts.nth(1).locator("rect.bad, rect.good").all()[:3]]
    assert missed is not None
    assert all(other and other["height"] < missed["height"] / 2 for other in others), "4h 10m beside 18 and 33 minutes"
    assert "RTO: 2026-05-03: 4h 10m missed" in (charts.nth(1).get_attribute("aria-label") or "")
    assert page.locator("table", has_text="20260503-070000-acme-5a2b").is_visible()
    page.close()


@pytest.mark.parametrize("mode", list(Mode))
def test_the_mode_is_on_every_page(mode: Mode) -> None:
    written = html.render(summarise(samples.succeeded(mode=mode)))
    assert re.search(rf'@top-left \{{ content: "{mode.value.upper()}\b', written)
    assert f'aria-label="mode"><p>{mode.value.upper()}' in written


def test_the_verdict_comes_first_and_the_rest_is_there() -> None:
    found = summarise(samples.overridden())
    written = html.render(found)
    body = written[written.index("<body>") :]
    order = [
        found.headline,
        "RTO MET",
        "True of the systems",
        ">Clock<",
        ">Timeline<",
        ">Steps<",
        ">People<",
        ">Proofs<",
    ]
    order += [">Not as planned<", ">Limits of this evidence<", found.chain.head, "drctl evidence verify"]
    places = [body.index(word) for word in order]
    assert places == sorted(places)
    assert "2026-11-23 01:12:00Z" in body
    assert "2026-11-23 03:12:00 SAST" in body
    assert "vouched for it: Xneelo&#39;s NOC cut the rack&#39;s power, call 88213" in body
    assert "hunter2" not in body


def test_a_run_that_goes_on_says_so_loudly() -> None:
    written = html.render(summarise(samples.still_going()))
    assert re.search(r'<p class="warning">[^<]*its last event is of', written)


@pytest.mark.parametrize("sample", sorted(samples.SAMPLES))
def test_every_sample_has_a_page(sample: str) -> None:
    assert html.render(summarise(samples.SAMPLES[sample]())).endswith("</html>")
