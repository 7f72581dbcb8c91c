"""`consentry schema`."""

from __future__ import annotations

import json

import typer


def schema(settings: bool = typer.Option(False, "--settings", help="Of the settings file, not of the rules.")) -> None:
    """Prints the JSON Schema of the rules, for editors.

    Example: consentry schema > rules.schema.json
    """
    from proxy.config import settings_schema
    from proxy.policy.model import RulesFile

    document = settings_schema() if settings else RulesFile.model_json_schema()
    typer.echo(json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **document}, indent=2))
