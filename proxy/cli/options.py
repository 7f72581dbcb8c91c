"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

CONFIG: Any = typer.Option(Path("consentry.yaml"), "--config", help="The settings file.")
