"""What every mapping of the rules is made of: a model that lets the loader word the errors of unknown keys."""

from __future__ import annotations

from typing import Annotated, Any, Protocol

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo, model_validator

from proxy.policy.names import check_name


class Reading(Protocol):
    """What the models tell the loader while it validates."""

    def unknown_keys(self, model: type[BaseModel], data: dict[str, Any], keys: list[str]) -> None:
        """`data` has keys that `model` does not know."""


class Strict(BaseModel):
    """A mapping of the rules. Unknown keys go to the loader (validation context), which words the error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _unknown_keys(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, dict) or info.context is None:
            return data
        known = {field.alias or name for name, field in cls.model_fields.items()}
        unknown = [key for key in data if key not in known]
        if not unknown:
            return data
        reading: Reading = info.context
        reading.unknown_keys(cls, data, unknown)
        return {key: value for key, value in data.items() if key in known}


def shape(value: Any) -> str:
    """Which way of writing a value was taken: the tag of a union."""
    if isinstance(value, dict):
        return "mapping"
    return "list" if isinstance(value, list) else "word"


Name = Annotated[str, AfterValidator(check_name)]
