# SPDX-License-Identifier: MIT
"""How a program of these tools ends, however its steps went: one last line, and an exit status."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

from .errors import UsageError

EXIT_USAGE, EXIT_STOPPED = 2, 130


def finish(steps: Callable[[], int], say: Callable[[str], None], out: str | Path) -> int:
    """The exit status: what the steps return, or, where they fail, the one that goes with what is said.

    out  the directory that the program writes to
    """
    try:
        return steps()
    except UsageError as error:
        say(str(error))
        return EXIT_USAGE
    except KeyboardInterrupt:
        say("stopped")
        return EXIT_STOPPED
    except OSError as error:
        say(f"{error.filename or out}: {error.strerror}: make room, or choose another OUT=")
        return EXIT_USAGE
