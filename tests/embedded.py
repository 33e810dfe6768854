"""The data that Python wrote into a page."""

import base64
import json
import re
from typing import Any

import numpy as np


def embedded_data(html: str) -> dict[str, Any]:
    """Return the data inside a page, the arrays of a lesson decoded."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, flags=re.DOTALL)
    assert found
    return json.loads(found[1], object_hook=decode_array)


def decode_array(value: dict[str, Any]) -> Any:
    """Return an array for {shape, float32}, and any other object as it is."""
    if value.keys() != {"shape", "float32"}:
        return value
    return np.frombuffer(base64.b64decode(value["float32"]), "<f4").reshape(value["shape"]).astype(float)
