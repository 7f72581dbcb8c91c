"""Who a record that names nobody exactly may be: compared as a whole, by splink (the extra `matching`; MIT).

Splink's model (Fellegi and Sunter) weighs what each agreement says: how often two records of one person agree on it,
which it learns from the data, against how often those of different people do. Each pair gets a probability.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from proxy.errors import ConsentryError


class NothingToLearnError(ConsentryError):
    """Too few pairs agree on anything: how much that says cannot be learnt from them."""


LEAST: Final = 0.5  # what is less likely than not is no candidate
_SAMPLE: Final = 1e6  # pairs from which it is learnt how often strangers agree
_ENDING: Final = 4  # characters at the end of a value that pairs must share to be compared at all

Values = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Likeness:
    """A record and a customer, and how probable it is that they are one."""

    record: str
    customer: str
    probability: float


def likely(records: Mapping[str, Values], customers: Mapping[str, Values], by: Sequence[str]) -> list[Likeness]:
    """For each record the customers whose it may be, the likeliest first; none below `LEAST`.

    `by`: the attributes that are compared, at least two; texts as they sound alike to the eye (Jaro and Winkler).
    Raises NothingToLearnError; ConsentryError where splink is not installed, or cannot do it.
    """
    try:
        import duckdb
        import pyarrow
        import splink.comparison_library as compare
        from splink import Linker, SettingsCreator, block_on
        from splink.backends.duckdb import DuckDBAPI
        from splink.internals.exceptions import EMTrainingException, SplinkException
    except ImportError as error:
        raise ConsentryError('likely matches need a package more: pip install "consentry[matching]"') from error
    if not records or not customers:
        return []
    names = {f"a{number}": attribute for number, attribute in enumerate(by)}  # no attribute's name is SQL here

    def table(rows: Mapping[str, Values]) -> Any:
        columns: dict[str, list[str | None]] = {"unique_id": list(rows)}
        for name, attribute in names.items():
            columns[name] = [_folded(values.get(attribute)) for values in rows.values()]
        return pyarrow.table(columns, schema=pyarrow.schema([(name, pyarrow.string()) for name in columns]))

    settings = SettingsCreator(
        link_type="link_only",
        comparisons=[compare.JaroWinklerAtThresholds(name, [0.94, 0.85]) for name in names],
        blocking_rules_to_generate_predictions=[
            *(block_on(name) for name in names),
            *(block_on(f"substr({name}, 1, {_ENDING})") for name in names),
        ],
        probability_two_random_records_match=1 / len(customers),
        retain_matching_columns=False,
    )
    logging.getLogger("splink").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            database = DuckDBAPI()
            tables = [
                database.register(table(customers), dataset_display_name="customers"),
                database.register(table(records), dataset_display_name="records"),
            ]
            linker = Linker(tables, settings, log_level=logging.ERROR)
            linker.training.estimate_u_using_random_sampling(max_pairs=_SAMPLE, seed=1)
            learnt = 0
            for name in names:
                try:
                    linker.training.estimate_parameters_using_expectation_maximisation(block_on(name))
                    learnt += 1
                except EMTrainingException:  # no pair agrees on this one, or nothing else of those that do
                    continue
            if not learnt:
                raise NothingToLearnError("no pair of them has a value in common from which something could be learnt")
            found = linker.inference.predict(threshold_match_probability=LEAST).as_record_list()
        except (SplinkException, duckdb.Error, ArithmeticError, LookupError, ValueError) as error:
            # What splink says may have values in it.
            raise ConsentryError(f"splink cannot compare them ({type(error).__name__})") from error
    pairs = [_pair(one) for one in found]
    return sorted(pairs, key=lambda pair: (pair.record, -pair.probability, pair.customer))


def _folded(value: str | None) -> str | None:
    return " ".join(value.lower().split()) or None if value is not None else None


def _pair(one: Mapping[str, Any]) -> Likeness:
    first, second = (one["unique_id_l"], one["unique_id_r"])
    if one["source_dataset_l"] == "records":
        first, second = second, first
    return Likeness(second, first, float(one["match_probability"]))
