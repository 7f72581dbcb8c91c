"""The proof: a text that is about to be sent means what the app's text means, and discloses what the app may see.

It shares no code with the rewriter, only data and docs/reference/governed-form.md; import-linter holds that. A
statement is walked by `statements`, `walk`, `reads`, `dml` and `merge`, `nodes`, `columns`. What names mean is asked of
`names`, what must stand in the text of `form` and `documents`, whether a fence is needed of `leak` (with `sorting` and
`computed`), what may go inside of it of `copies` and `carried`.
"""

from proxy.rewrite.verify.columns import TakenForGranted
from proxy.rewrite.verify.statements import Verifier

__all__ = ["TakenForGranted", "Verifier"]
