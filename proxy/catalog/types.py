"""The built-in types that comparisons are proved for, by name and OID. Data, which rewriter and verifier share.

Source: PostgreSQL's pg_type.dat (the OIDs of built-in types never change).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

OIDS: Final[Mapping[str, int]] = {
    "bool": 16, "bytea": 17, "name": 19, "int8": 20, "int2": 21, "int4": 23, "text": 25, "oid": 26, "float4": 700,
    "float8": 701, "inet": 869, "bpchar": 1042, "varchar": 1043, "date": 1082, "time": 1083, "timestamp": 1114,
    "timestamptz": 1184, "interval": 1186, "uuid": 2950,
}  # fmt: skip

# The type of each one's arrays.
ARRAYS: Final[Mapping[int, int]] = {
    16: 1000, 17: 1001, 19: 1003, 20: 1016, 21: 1005, 23: 1007, 25: 1009, 26: 1028, 700: 1021, 701: 1022, 869: 1041,
    1042: 1014, 1043: 1015, 1082: 1182, 1083: 1183, 1114: 1115, 1184: 1185, 1186: 1187, 2950: 2951,
}  # fmt: skip

# Types that are compared by another one's operators, to which they are binary coercible.
COMPARED_AS: Final[Mapping[int, int]] = {1043: 25, 650: 869}

# Types to which a value of the first can be cast without an error.
WIDER: Final[frozenset[tuple[int, int]]] = frozenset(
    {(21, 23), (21, 20), (23, 20), (700, 701), (25, 1043), (1043, 25), (19, 25)}
)

# Functions of pg_catalog that give the time, and its type.
CLOCKS: Final[Mapping[str, int]] = {"now": 1184, "statement_timestamp": 1184, "transaction_timestamp": 1184}
CLOCK_WORDS: Final[Mapping[str, int]] = {
    "SVFOP_CURRENT_TIMESTAMP": 1184, "SVFOP_CURRENT_DATE": 1082, "SVFOP_LOCALTIMESTAMP": 1114,
}  # fmt: skip
CLOCK_TEXTS: Final[Mapping[str, str]] = {
    "SVFOP_CURRENT_TIMESTAMP": "CURRENT_TIMESTAMP",
    "SVFOP_CURRENT_DATE": "CURRENT_DATE",
    "SVFOP_LOCALTIMESTAMP": "LOCALTIMESTAMP",
}

# Lengths of time that can be added to any time of this millennium, and taken from it, without an error.
SAFE_INTERVAL: Final = r"-?\d{1,4} (?:second|minute|hour|day|week)s?|-?\d{1,3} (?:month|mon|year)s?"
