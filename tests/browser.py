"""A headless Chromium without network, for tests of the pages.

A test module says `pytest_plugins = ["browser"]` and takes `visit`, or `browser` to open contexts of its own.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Visit = Callable[..., "Tab"]


@dataclass(frozen=True)
class Tab:
    """An open page, and what it should never have: requests beside the file itself, and errors."""

    page: "Page"
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def serious_faults(self) -> list[str]:
        """Ask axe-core what would keep somebody from using the page as it stands now."""
        try:
            from axe_playwright_python.sync_playwright import Axe
        except ModuleNotFoundError:
            missing("axe-playwright-python is not installed")
        found = Axe().run(self.page).response["violations"]
        return [
            f"{fault['id']}: {fault['nodes'][0]['html']}"
            for fault in found
            if fault["impact"] in {"serious", "critical"}
        ]


def missing(reason: str) -> None:
    """Skip, or fail where a browser was promised by REQUIRE_BROWSER=1."""
    if os.environ.get("REQUIRE_BROWSER") == "1":
        pytest.fail(f"REQUIRE_BROWSER=1, but {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """Start one Chromium for all tests: that of the system, or else Playwright's own."""
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


@pytest.fixture
def visit(browser: "Browser") -> Iterator[Visit]:
    """Open local files with the network off; after the test, none may have asked for anything or have failed."""
    tabs = []

    def open_file(file: Path, fragment: str = "", **options: Any) -> Tab:
        """Open `file#fragment`; options are those of a browser context: viewport, color_scheme, ..."""
        context = browser.new_context(**options)
        context.set_offline(True)
        tab = Tab(context.new_page())
        tabs.append(tab)
        own = file.resolve().as_uri()
        tab.page.on("request", lambda r: r.url.startswith((own, "blob:", "data:")) or tab.requests.append(r.url))
        tab.page.on("websocket", lambda socket: tab.requests.append(socket.url))
        tab.page.on("pageerror", lambda error: tab.errors.append(str(error)))
        tab.page.on("console", lambda m: m.type in {"error", "warning"} and tab.errors.append(m.text))
        tab.page.goto(f"{own}#{fragment}" if fragment else own)
        return tab

    yield open_file
    for tab in tabs:
        tab.page.context.close()
    assert [tab.requests for tab in tabs if tab.requests] == []
    assert [tab.errors for tab in tabs if tab.errors] == []
