"""A headless Chromium without a network, for tests of the pages.

A test module sets `pytest_plugins = ["browser"]` and uses the fixture `visit`.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Frame, Page

Visit = Callable[..., "Tab"]


@dataclass
class Tab:
    """An open page, the requests that it made beside its own file, and the errors and warnings that it reported."""

    page: "Page"
    url: str = "about:blank"
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def open(self, url: str, fragment: str) -> None:
        """Load a file, again if the page shows it already."""
        self.page.goto("about:blank")
        self.url = url
        self.page.goto(f"{url}#{fragment}" if fragment else url)

    def accessibility_violations(self, frame: "Frame | None" = None) -> list[str]:
        """Return the serious and critical violations that axe-core finds in the page, or in a frame of it, now."""
        try:
            from axe_playwright_python.sync_playwright import Axe
        except ModuleNotFoundError:
            missing("axe-playwright-python is not installed")
        violations = Axe().run(frame or self.page).response["violations"]
        return [
            f"{violation['id']}: {violation['nodes'][0]['html']}"
            for violation in violations
            if violation["impact"] in {"serious", "critical"}
        ]


def missing(reason: str) -> None:
    """Skip the test, or fail it if REQUIRE_BROWSER=1 demands a browser."""
    if os.environ.get("REQUIRE_BROWSER") == "1":
        pytest.fail(f"REQUIRE_BROWSER=1, but {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """Start one Chromium for all tests: the system's, or else Playwright's own."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ModuleNotFoundError:
        missing("playwright is not installed")
    with sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(
                executable_path=shutil.which("chromium"),
                args=["--no-sandbox", "--disable-background-networking"],
            )
        except Error as error:
            missing(f"no Chromium starts (playwright install chromium): {str(error).splitlines()[0]}")
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def tabs(browser: "Browser") -> dict[str, list[Tab]]:
    """Open pages by the options of their context, which later tests use again: opening one takes most of a visit."""
    return {}


@pytest.fixture
def visit(browser: "Browser", tabs: dict[str, list[Tab]]) -> Iterator[Visit]:
    """Open local files without a network; after the test, no page may have made a request or reported an error."""
    used: list[Tab] = []

    def open_file(file: Path, fragment: str = "", **options: Any) -> Tab:
        """Open `file#fragment`; options are those of a browser context: viewport, color_scheme, ..."""
        known = tabs.setdefault(repr(options), [])
        tab = next((tab for tab in known if tab not in used), None)
        if tab is None:
            tab = new_tab(browser, options)
            known.append(tab)
        used.append(tab)
        tab.requests.clear()
        tab.errors.clear()
        tab.open(file.resolve().as_uri(), fragment)
        return tab

    yield open_file
    for tab in used:
        assert tab.requests == []
        assert tab.errors == []


def new_tab(browser: "Browser", options: dict[str, Any]) -> Tab:
    """Open an empty page in a context of its own, offline, and record its requests, errors and warnings."""
    context = browser.new_context(**options)
    context.set_offline(True)
    tab = Tab(context.new_page())
    tab.page.on("request", lambda r: r.url.startswith((tab.url, "blob:", "data:")) or tab.requests.append(r.url))
    tab.page.on("websocket", lambda socket: tab.requests.append(socket.url))
    tab.page.on("pageerror", lambda error: tab.errors.append(str(error)))
    tab.page.on("console", lambda m: m.type in {"error", "warning"} and tab.errors.append(m.text))
    return tab
