"""Text of rule files in, validated `Rules` out; every error with its file and line, all at once. No file access."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from pydantic import ValidationError

from proxy.policy.model import Consent, Defaults, RulesFile
from proxy.policy.model_rights import Rights
from proxy.policy.profile import check_profile
from proxy.policy.references import check_references
from proxy.policy.rights import check_rights
from proxy.policy.rules import Rules, RulesError
from proxy.policy.wording import validated
from proxy.yaml_lines import Place, Problem, read_yaml

__all__ = ["Rules", "RulesError", "load_rules", "read_rules"]


def load_rules(files: Sequence[tuple[str, str]]) -> Rules:
    """The rules of [(file name, text)], merged in name order.

    Raises RulesError with every problem that can be seen without the database.
    """
    rules, problems = read_rules(files)
    problems += check_references(rules)
    problems += check_rights(rules)
    problems += check_profile(rules)
    if problems:
        raise RulesError(problems)
    return rules


def read_rules(files: Sequence[tuple[str, str]]) -> tuple[Rules, list[Problem]]:
    """What could be read of the files, and what is wrong with the format (a part that is wrong is left out)."""
    problems: list[Problem] = []
    merged: dict[str, Any] = {name: {} for name in _SECTIONS}
    merged["policies"] = []
    digest = hashlib.sha256()
    ordered = sorted(files)
    root = Place(ordered[0][0] if ordered else "rules", 1)
    for file, text in ordered:
        name = PurePath(file).name  # the same rules have the same version wherever they are read from
        digest.update(f"{name}\0{len(text)}\0{text}".encode())
        data, place = read_yaml(file, text, problems)
        if data is None:
            continue
        sections = list(data) if isinstance(data, dict) else []
        model = _validate(data, place, problems)
        for section in sections:
            if section in _SECTIONS and section not in data and place.children[section].raw != "":
                root.children.setdefault(section, Place(file, 1)).reported = True
        if model is not None:
            _merge(model, data, place, merged, root, problems)
    if "version" not in root.children and not problems:
        problems.append(Problem(root.file, 1, "`version: 1` is missing"))
    problems = list(dict.fromkeys(problems))
    rules = Rules(
        attributes=merged["attributes"],
        tables=merged["tables"],
        apps=merged["apps"],
        masks=merged["masks"],
        retention=merged["retention"],
        rights=merged.get("rights") or Rights(),
        policies=tuple(merged["policies"]),
        consent=merged.get("consent") or Consent(),
        profile=merged.get("profile"),
        defaults=merged.get("defaults") or Defaults(),
        hints=merged.get("hints", True),
        sources=merged["sources"],
        conflicts=merged["conflicts"],
        place=root,
        digest=digest.hexdigest(),
    )
    return rules, problems


_SECTIONS = ("attributes", "tables", "apps", "masks", "sources", "conflicts", "retention")
_SINGLES = ("consent", "profile", "defaults", "hints", "rights")


def _validate(data: Any, place: Place, problems: list[Problem]) -> RulesFile | None:
    """The model of one file. Where something is wrong, of what is left without it; None where nothing is."""
    if not isinstance(data, dict):
        problems.append(place.problem("a file of rules is a mapping: version, attributes, tables, apps, policies ..."))
        return None
    for key in [key for key, value in data.items() if value is None and place.children[key].raw == ""]:
        del data[key]  # `masks:` with everything below it commented out
    for _ in range(1 + sum(len(v) for v in data.values() if isinstance(v, dict | list)) + len(data)):
        model = validated(RulesFile, data, place, problems)
        if isinstance(model, RulesFile):
            return model
        if not _leave_out(model, data):
            return None
    return None


def _leave_out(error: ValidationError, data: dict[str, Any]) -> bool:
    """Takes the entries with errors out of `data`, to look at the rest; False where that does not help."""
    done = False
    for section, entry in {tuple(detail["loc"][:2]) + ("",) * (2 - len(detail["loc"])) for detail in error.errors()}:
        below = data.get(str(section))
        if isinstance(below, dict) and entry in below:
            del below[entry]
            done = True
        elif isinstance(below, list) and isinstance(entry, int):
            below[entry] = {"name": f"policy {entry + 1}, which is wrong", "attributes": "all", "action": "drop"}
            below[entry]["apps"] = ["-"]
            done = True
        elif str(section) in data and not (isinstance(below, dict | list) and entry != ""):
            del data[str(section)]
            done = True
    return done


def _merge(
    model: RulesFile, data: dict[str, Any], place: Place, merged: dict[str, Any], root: Place, problems: list[Problem]
) -> None:
    """Adds one file to what was merged before it."""
    for section in _SECTIONS:
        if section not in data or section not in place.children:
            continue
        below = place.children[section]
        target = root.children.setdefault(section, Place(below.file, below.line))
        root.key_lines.setdefault(section, place.key_lines[section])
        for (
            name,
            line,
        ) in below.key_lines.items():  # what is wrong is left out of the model, and is defined all the same
            target.key_lines.setdefault(name, line)
        for name, value in getattr(model, section).items():
            line = below.key_lines[name]
            if name in merged[section]:
                file, first = target.key_line((name,))
                message = f'"{name}" is defined twice; the first is at {file}:{first}'
                problems.append(Problem(below.file, line, message))
                continue
            merged[section][name] = value
            target.key_lines[name] = line
            target.children[name] = below.children[name]
    target = root.children.setdefault("policies", Place(place.file, place.line))
    for number, policy in enumerate(model.policies):
        target.children[len(merged["policies"])] = place.children["policies"].children[number]
        merged["policies"].append(policy)
    for name in ("version", *_SINGLES):
        if name not in data:
            continue
        file, line = place.key_line((name,))
        if name in root.key_lines and name != "version":
            first_file, first = root.key_line((name,))
            problems.append(Problem(file, line, f'"{name}" is defined twice; the first is at {first_file}:{first}'))
            continue
        root.key_lines.setdefault(name, line)
        root.children.setdefault(name, place.children[name])
        if name != "version":
            merged[name] = getattr(model, name)
