"""Fill a page template: one file, nothing to load, nothing that could run but what we wrote."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def fill(template: str, data: Any) -> str:
    """Put data into `maps/TEMPLATE` as JSON and lock the page by a content security policy.

    The template holds `__DATA__` in a `<script type="application/json">`, which no browser runs, and `__POLICY__` in
    its policy. Only the template's own scripts and styles are let in, by their hashes, and no network at all.

    Args:
        template: file name of the template.
        data: anything that JSON can say.
    """
    page = (FOLDER / template).read_text(encoding="utf-8")
    # A token may spell the end of a script or the start of a comment; none of these characters reaches the parser.
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))  # ASCII, so no U+2028 either
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    allowed = {
        tag: " ".join(
            f"'sha256-{base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()}'"
            for body in re.findall(rf"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
        )
        for tag in ("script", "style")
    }
    policy = (
        f"default-src 'none'; script-src {allowed['script']}; style-src {allowed['style']}; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    return page.replace("__POLICY__", policy).replace("__DATA__", text)
