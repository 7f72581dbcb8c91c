"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

DATABASE: Any = typer.Option(
    None, "--database", help="Which of the settings' databases; needed where there are several."
)
JSON: Any = typer.Option(False, "--json", help="Print facts as JSON.")
CONFIG: Any = typer.Option(Path("consentry.yaml"), "--config", help="The settings file.")
# For commands that take a customer's key: it may be a number below zero, and is no option then.
KEYED: Any = {"ignore_unknown_options": True}
