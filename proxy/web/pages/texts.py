"""The pages' words: one file per language, an organisation's own over ours, and which language a visitor gets."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path

import yaml
from babel import Locale
from babel.dates import format_datetime
from starlette.requests import Request

from proxy.errors import ConsentryError

OURS = resources.files("proxy.web.pages").joinpath("texts")
_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Texts:
    """The words of one language. `version` names them in the ledger: the language and a hash of all the words."""

    language: str
    words: Mapping[str, str]
    version: str

    def __call__(self, key: str, /, **values: str) -> str:
        """The words of `key`, with `{name}` filled in; what is filled in is text, never markup."""
        return _PLACE.sub(lambda match: values.get(match[1], match[0]), self.words[key])

    @property
    def direction(self) -> str:
        return self.words["direction"]

    def moment(self, moment: datetime) -> str:
        """A date and time as the language writes them, in UTC."""
        return format_datetime(moment, "d MMMM y, HH:mm", locale=Locale.parse(self.language)) + " UTC"


def load_texts(languages: Sequence[str], folder: Path | None) -> dict[str, Texts]:
    """The texts of each language, in order: ours, with those in `folder` instead. Raises ConsentryError."""
    english = _ours("en") or {}
    found = {}
    for language in languages:
        words = _ours(language)
        own = {} if folder is None else _read(folder / f"{language}.yaml")
        if words is None and not own:
            known = ", ".join(sorted(file.name.removesuffix(".yaml") for file in OURS.iterdir()))
            raise ConsentryError(f"web.organisation.languages: there are no texts for {language}; there are {known}")
        unknown = sorted(own.keys() - english.keys())
        if unknown:
            raise ConsentryError(f"{folder}/{language}.yaml: unknown key {unknown[0]}")
        whole = {**english, **(words or {}), **own}
        for key, text in whole.items():
            lost = set(_PLACE.findall(text)) - set(_PLACE.findall(english[key]))
            if lost:
                raise ConsentryError(
                    f"{folder}/{language}.yaml: {key}: there is nothing to fill in for {{{lost.pop()}}}"
                )
        digest = hashlib.sha256(repr(sorted(whole.items())).encode()).hexdigest()
        found[language] = Texts(language, whole, f"{language}-{digest[:16]}")
    return found


def choose(request: Request, texts: Mapping[str, Texts], cookie: str) -> Texts:
    """The visitor's: asked for (`?lang=`), chosen before, by the browser's Accept-Language, else the first one."""
    wanted = [request.query_params.get("lang"), request.cookies.get(cookie)]
    weighted = []
    for number, part in enumerate(request.headers.get("accept-language", "").split(",")[:20]):
        tag, _, weight = part.strip().partition(";q=")
        value = float(weight) if re.fullmatch(r"[01](\.\d{1,3})?", weight) else 1.0 if not weight else 0.0
        weighted.append((-value, number, tag.split("-")[0].lower()))
    wanted += [tag for value, _, tag in sorted(weighted) if value < 0]
    return next((texts[tag] for tag in wanted if tag is not None and tag in texts), next(iter(texts.values())))


def _ours(language: str) -> dict[str, str] | None:
    file = OURS.joinpath(f"{language}.yaml")
    return _checked(yaml.safe_load(file.read_text("utf-8")), file.name) if file.is_file() else None


def _read(file: Path) -> dict[str, str]:
    try:
        return _checked(yaml.safe_load(file.read_text("utf-8")), str(file)) if file.exists() else {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConsentryError(f"{file}: {error}") from error


def _checked(read: object, name: str) -> dict[str, str]:
    if not isinstance(read, dict) or not all(isinstance(k, str) and isinstance(v, str) for k, v in read.items()):
        raise ConsentryError(f"{name}: texts are a mapping of keys to words")
    return read
