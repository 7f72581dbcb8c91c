"""The command `consentry` as this process would run it: the same Python, wherever the script was installed."""

from __future__ import annotations

import sys
from typing import Final

CONSENTRY: Final = (sys.executable, "-c", "from proxy.cli.main import main; main()")
