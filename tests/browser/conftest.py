"""A real browser (the system's Chromium) on a real server.

Every page that a test opens is watched: an answer of 400 or above, a request that leaves the site, an error on the
console (those of the Content-Security-Policy are errors) and an uncaught exception fail the test at its end.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from django.conf import settings
from django.test import Client
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Response,
    expect,
    sync_playwright,
)
from pytest_django.live_server_helper import LiveServer

from core.models import Role, User
from tests.builders.people import World, make_world
from tests.conftest import DEEP

BROKEN_NUMBERS = r"""() => [...document.querySelectorAll('td')].filter(cell => {
  const text = document.createRange();
  text.selectNodeContents(cell);
  return /^[\d,.]+$/.test(cell.textContent.trim()) && text.getClientRects().length > 1;
}).map(cell => cell.textContent)"""
"""Numbers of a table that stand in more than one line."""

BROKEN_WORDS = r"""longest => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const broken = [];
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    if (!text.parentElement.checkVisibility()) continue;
    for (const word of text.data.matchAll(/(?<![^\s])[\p{L}\p{M}\p{N}]+(?=[.,:;]?(\s|$))/gu)) {
      const range = document.createRange();
      range.setStart(text, word.index);
      range.setEnd(text, word.index + word[0].length);
      const lines = new Set([...range.getClientRects()].map(box => Math.round(box.top)));
      if (word[0].length <= longest && lines.size > 1) broken.push(word[0]);
    }
  }
  return broken;
}"""
"""Words of at most so many letters, between blanks, that stand in more than one line."""

ACROSS = """() => [...document.querySelectorAll('th, td')].filter(cell => {
  const edge = cell.getBoundingClientRect().right + 1;
  return cell.checkVisibility() &&
    [...cell.querySelectorAll('time')].some(moment => moment.getBoundingClientRect().right > edge);
}).map(cell => cell.innerText)"""
"""Cells of a table whose moments run across the next one."""

TWO_FRAMES = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""Waits until a change is on the screen."""

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SCREENSHOTS = os.environ.get("MUSTER_SCREENSHOTS")
"""A folder that :meth:`Opened.look` puts pictures in, for people to judge."""

THEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
DESKTOP: Final = 1280
PHONE: Final = 320
"""Widths in CSS pixels; 320 is the narrowest that WCAG 2.2 asks for (1.4.10, reflow)."""
ALL_VIEWS: Final = DEEP or bool(SCREENSHOTS)
"""Whether each page is looked at in both themes at both widths, and axe looks each time. Else once: light and wide."""
PATIENCE: Final = 60_000
"""Milliseconds: nothing that a page does takes so long, however busy the machine is."""
A4: Final = 703
"""CSS pixels between the margins of an upright page."""
PRESSED: Final = (
    "a.btn, button, details:not([open]) *, header *, nav a, [type=submit], "
    "form:not(.muster-paper) :is(input, select, textarea)"
)
"""What is of no use on paper."""
HEIGHT: Final = 800
FLAGS = [
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",  # the tests run as root in CI, where Chromium's sandbox does not work
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.django_db(transaction=True, databases=["default", "jobs", "history"]))
            if CHROMIUM is None and os.environ.get("CI") != "true":
                item.add_marker(pytest.mark.skip(reason="no Chromium on this machine (apt-get install chromium)"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    assert CHROMIUM, "CI must have Chromium: apt-get install chromium"
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # Playwright keeps an event loop in this thread
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def world(live_server: LiveServer) -> World:
    """Two companies, their records, an account for each role."""
    return make_world()


@dataclass
class Opened:
    """A page of one person, watched."""

    page: Page
    base: str
    faults: list[str] = field(default_factory=list)
    allowed: set[int] = field(default_factory=set)
    """Answers of 400 and above that the test means to get."""

    def watch(self) -> None:
        self.page.on("response", self._on_response)
        self.page.on("request", self._on_request)
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.faults.append(f"exception: {error}"))

    def go(self, path: str) -> Page:
        self.page.goto(self.base + path)
        return self.page

    def axe(self, *rules: str) -> None:
        """Fail on any violation of the accessibility rules that axe knows (WCAG 2.2 AA and best practices), or of these
        only."""
        options: dict[str, Any] = {"resultTypes": ["violations"]}
        if rules:
            options["runOnly"] = {"type": "rule", "values": rules}
        if not self.page.evaluate("'axe' in window"):  # half a megabyte, read once for each page
            self.page.evaluate(AXE_SCRIPT)
        violations = self.page.evaluate("options => axe.run(options).then(results => results.violations)", options)
        found = [
            f"{rule['id']}: {node['target']} {node['html'][:160]} {node.get('failureSummary', '')[:300]}"
            for rule in violations
            for node in rule["nodes"]
        ]
        assert not found, f"{self.page.url}:\n" + "\n".join(found)

    def views(self, name: str, narrow: int = PHONE) -> Iterator[int]:
        """Widths, at each of which the page is shown in one theme and then in the other, if :data:`ALL_VIEWS` has it,
        with no sideways scrolling and nothing for axe to find; and pictures where MUSTER_SCREENSHOTS names a folder.
        Then the page is as it was."""
        before = self.page.viewport_size
        assert before
        for theme, width in itertools.product(THEMES, (DESKTOP, narrow)):
            if not ALL_VIEWS and (theme, width) != (THEMES[0], DESKTOP):
                continue
            self.page.set_viewport_size({"width": width, "height": HEIGHT})
            self.page.emulate_media(color_scheme=theme)
            self.page.locator(f"html[data-bs-theme={theme}]").wait_for(state="attached")
            self.page.evaluate(TWO_FRAMES)  # a page that is told of its width only then lays out as it will stay
            if SCREENSHOTS:
                path = Path(SCREENSHOTS) / f"{name}-{width}-{theme}.png"
                self.page.screenshot(path=path, full_page=True)
            wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{self.page.url} is {wide} px wider than {width} px"
            yield width
            try:
                self.axe()
            except AssertionError as error:
                error.add_note(f"{width} px, {theme}")
                raise
        self.page.set_viewport_size(before)
        self.page.emulate_media(color_scheme=THEMES[0])

    def look(self, name: str) -> None:
        """In all :meth:`views` nothing cut off a card, and no number, word or moment that runs out of its place; and
        fit for paper. Then the page is as it was."""
        before = self.page.viewport_size
        assert before
        for width in self.views(name):
            clipped = self.page.evaluate(
                "[...document.querySelectorAll('.table-responsive:has(> .muster-cards)')]"
                ".filter(box => box.scrollWidth > box.clientWidth).map(box => box.innerText)"
            )
            broken = self.page.evaluate(BROKEN_NUMBERS)
            assert not broken, f"{self.page.url} at {width} px breaks numbers: {broken}"
            across = self.page.evaluate(ACROSS)
            assert not across, f"{self.page.url} at {width} px writes across the next cell: {across}"
            words = self.page.evaluate(BROKEN_WORDS, 12)
            assert not words, f"{self.page.url} at {width} px breaks words: {words}"
            assert not clipped, f"{self.page.url} at {width} px cuts off: {clipped}"
        self.on_paper(name)
        self.page.set_viewport_size(before)
        self.page.emulate_media(media="screen", color_scheme=THEMES[0])

    def on_paper(self, name: str) -> None:
        """What is printed says which installation it is of and when that was, has nothing to press, breaks no word,
        fits, repeats the headings of its tables, and is light; and a picture, as for :meth:`look`."""
        page = self.page
        page.emulate_media(media="screen", color_scheme="dark")
        page.locator("html[data-bs-theme=dark]").wait_for(state="attached")
        page.set_viewport_size({"width": A4, "height": HEIGHT})
        page.emulate_media(media="print", color_scheme="dark")
        page.locator("html[data-bs-theme=light]").wait_for(state="attached")
        if SCREENSHOTS:
            page.pdf(path=Path(SCREENSHOTS) / f"{name}.pdf", prefer_css_page_size=True)
        pressed = page.locator(PRESSED).filter(visible=True)
        assert not pressed.count(), f"{page.url}: {pressed.all_inner_texts()}"
        assert page.inner_text(".muster-on-paper strong"), page.url
        assert page.locator(".muster-on-paper time").is_visible(), page.url
        assert page.locator("h1").is_visible(), page.url
        words = page.evaluate(BROKEN_WORDS, 16)
        assert not words, f"{page.url} on paper breaks words: {words}"
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= A4, f"{page.url} is {wide} px wide on paper of {A4} px"
        for table in page.locator("table").filter(visible=True).all():
            head = table.evaluate("table => [getComputedStyle(table.tHead)].map(it => it.display + it.position)[0]")
            assert head == "table-header-groupstatic", f"{page.url}: {head}"
        underlined = "[...document.links].filter(one => getComputedStyle(one).textDecorationLine !== 'none').length"
        assert not page.evaluate(underlined), page.url
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)", page.url

    def check(self) -> None:
        assert not self.faults, "\n".join(self.faults)

    def _on_response(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.allowed:
            self.faults.append(f"{response.status} {response.request.method} {response.url}")

    def _on_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob", "about") and not request.url.startswith(self.base):
            self.faults.append(f"leaves the site: {request.url}")

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not any(f"status of {code}" in message.text for code in self.allowed):
            self.faults.append(f"console: {message.text}")


OpenAs = Callable[..., Opened]
expect.set_options(timeout=PATIENCE)


@pytest.fixture
def open_as(browser: Browser, live_server: LiveServer) -> Iterator[OpenAs]:
    """``open_as("root", width=PHONE, javascript=False)``: a page of that account, by role or as a User.

    ``None``: nobody is signed in.
    """
    contexts: list[BrowserContext] = []
    pages: list[Opened] = []

    def open_page(who: str | User | None, *, width: int = DESKTOP, javascript: bool = True) -> Opened:
        context = browser.new_context(
            viewport={"width": width, "height": HEIGHT},
            color_scheme=THEMES[0],
            reduced_motion="reduce",
            java_script_enabled=javascript,
        )
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        if who is not None:
            user = who if isinstance(who, User) else User.objects.filter(role=Role(who)).order_by("pk")[0]
            client = Client()
            client.force_login(user)
            cookie = client.cookies[settings.SESSION_COOKIE_NAME]
            context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": live_server.url}])
        opened = Opened(context.new_page(), live_server.url)
        opened.watch()
        pages.append(opened)
        return opened

    yield open_page
    for context in contexts:
        context.close()
    for opened in pages:
        opened.check()
