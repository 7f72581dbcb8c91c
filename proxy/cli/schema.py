"""`consentry schema`."""

from __future__ import annotations

import json

import typer


def schema(
    settings: bool = typer.Option(False, "--settings", help="Of the settings file, not of the rules."),
    tests: bool = typer.Option(False, "--tests", help="Of files of rule tests."),
) -> None:
    """Prints the JSON Schema of the rules, for editors.

    Example: consentry schema > rules.schema.json
    """
    from proxy.config import settings_schema
    from proxy.policy.model import RulesFile
    from proxy.ruletests.format import TestsFile

    document = settings_schema() if settings else (TestsFile if tests else RulesFile).model_json_schema()
    typer.echo(json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **document}, indent=2))
