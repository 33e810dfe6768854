"""Pages as single files: HTML of `web/` with its styles, scripts and data inlined."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

WEB = Path(__file__).parent / "web"
STYLESHEET = re.compile(r'<link rel="stylesheet" href="([\w.]+)">')
SCRIPT = re.compile(r'<script( data-worker)? src="([\w.]+)"></script>')


def fill(template: str, data: Any) -> str:
    """Return a page with its files and data inlined, locked by a content security policy.

    The policy allows the page's own styles and scripts, by their hashes, and nothing else: the page cannot load
    anything, and text in the data cannot run as a script.

    Args:
        template: file name in `web/`. It names its stylesheets and scripts as an ordinary page does, and holds
            `__POLICY__` where the policy and `__DATA__` where the data belong. Where it marks scripts with
            `data-worker`, the policy also allows a worker from a Blob, into which the page copies these scripts.
        data: a value that JSON can represent; the scripts read it as `DATA`.
    """
    page = (WEB / template).read_text(encoding="utf-8")
    style_hashes: list[str] = []
    script_hashes: list[str] = []

    def inline(tag: str, name: str, hashes: list[str], attribute: str = "") -> str:
        content = (WEB / name).read_text(encoding="utf-8")
        hashes.append(content_hash(content))
        return f"<{tag}{attribute}>{content}</{tag}>"

    has_worker = any(attribute for attribute, _ in SCRIPT.findall(page))
    page = STYLESHEET.sub(lambda found: inline("style", found[1], style_hashes), page)
    page = SCRIPT.sub(lambda found: inline("script", found[2], script_hashes, found[1] or ""), page)
    policy = (
        f"default-src 'none'; script-src {' '.join(script_hashes)}; style-src {' '.join(style_hashes)}; "
        f"img-src data: blob:; {'worker-src blob:; ' if has_worker else ''}base-uri 'none'; form-action 'none'"
    )
    return page.replace("__POLICY__", policy).replace("__DATA__", json_in_html(data))


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
