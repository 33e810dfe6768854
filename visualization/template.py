"""Pages as single files: HTML of `web/` with its styles, scripts and data inlined."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

WEB = Path(__file__).parent / "web"
STYLESHEET = re.compile(r'<link rel="stylesheet" href="([\w.]+)">')
SCRIPT = re.compile(r'<script( data-worker)? src="([\w.]+)"></script>')
PAGE = re.compile(r'<script type="application/json" data-page="([\w.]+)"></script>')


class Blank(NamedTuple):
    """A page without its data.

    before, after: HTML around the place of the data.
    styles, scripts: hashes that its policy allows.
    """

    before: str
    after: str
    styles: list[str]
    scripts: list[str]


def fill(template: str, data: Any) -> str:
    """Return a page with its files and data inlined, locked by a content security policy.

    The policy allows the page's own styles and scripts, by their hashes, and nothing else: the page cannot load
    anything, and text in the data cannot run as a script.

    Args:
        template: file name in `web/`, see `blank`.
        data: a value that JSON can represent; the scripts read it as `DATA`.
    """
    page = blank(template)
    return page.before + json_in_html(data) + page.after


def blank(template: str) -> Blank:
    """Return a page with its files inlined and its policy, but without its data.

    A template names its stylesheets and scripts as an ordinary page does, and holds `__POLICY__` where the policy and
    `__DATA__` where the data belong. Two marks allow more:

    - `data-worker` at scripts: the policy also allows a worker from a Blob, into which the page copies these scripts.
    - `data-page="lesson.html"` at an empty JSON script: it is filled with `before` and `after` of that page, which the
      page completes and shows in a frame from a Blob. Such a frame is subject to the policy of the page that made it,
      so that policy also allows the styles and scripts of the page in the frame.
    """
    html = (WEB / template).read_text(encoding="utf-8")
    styles: list[str] = []
    scripts: list[str] = []

    def inline(tag: str, name: str, hashes: list[str], attribute: str = "") -> str:
        content = (WEB / name).read_text(encoding="utf-8")
        hashes.append(content_hash(content))
        return f"<{tag}{attribute}>{content}</{tag}>"

    def embed(name: str) -> str:
        page = blank(name)
        styles.extend(page.styles)
        scripts.extend(page.scripts)
        content = json_in_html([page.before, page.after])
        return f'<script type="application/json" data-page="{name}">{content}</script>'

    has_worker = any(attribute for attribute, _ in SCRIPT.findall(html))
    has_frame = PAGE.search(html) is not None
    html = STYLESHEET.sub(lambda found: inline("style", found[1], styles), html)
    html = SCRIPT.sub(lambda found: inline("script", found[2], scripts, found[1] or ""), html)
    html = PAGE.sub(lambda found: embed(found[1]), html)
    policy = (
        f"default-src 'none'; script-src {unique(scripts)}; style-src {unique(styles)}; "
        f"img-src data: blob:; {'worker-src blob:; ' if has_worker else ''}{'frame-src blob:; ' if has_frame else ''}"
        "base-uri 'none'; form-action 'none'"
    )
    before, after = html.replace("__POLICY__", policy).split("__DATA__")
    return Blank(before, after, styles, scripts)


def unique(hashes: list[str]) -> str:
    """Return hashes as a policy lists them, each once: pages share some files."""
    return " ".join(dict.fromkeys(hashes))


def content_hash(content: str) -> str:
    """Return the hash of an inline script or style as a content security policy writes it."""
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def json_in_html(data: Any) -> str:
    """Return JSON that is safe inside a `<script type="application/json">`.

    `<`, `>` and `&` are escaped, so that no token can end the script or begin a comment. All other characters are
    ASCII.
    """
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
