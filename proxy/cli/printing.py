"""Facts on standard output."""

from __future__ import annotations

import json
import sys
from typing import Any


def print_json(facts: Any) -> None:
    """Times are ISO 8601."""
    json.dump(facts, sys.stdout, default=lambda value: value.isoformat(), indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
