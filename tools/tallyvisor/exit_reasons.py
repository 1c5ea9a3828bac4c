# SPDX-License-Identifier: MIT
"""The names of the basic exit reasons (include/exit_reasons.def)."""

import re
from functools import cache
from pathlib import Path

_LIST = Path(__file__).resolve().parents[2] / "include" / "exit_reasons.def"


@cache
def names() -> dict[int, str]:
    return {int(nr): name for nr, name in
            re.findall(r"^EXIT_REASON\((\d+), (\w+)", _LIST.read_text(), re.MULTILINE)}
