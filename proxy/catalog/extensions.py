"""Extensions whose functions and operators reach no data but their arguments.

Source: the page rewriting.md, Functions.
"""

from __future__ import annotations

HARMLESS_EXTENSIONS = frozenset(
    (
        "pgcrypto uuid-ossp pg_trgm unaccent citext hstore ltree intarray fuzzystrmatch btree_gin btree_gist postgis "
        "vector cube earthdistance isn seg"
    ).split()
)
