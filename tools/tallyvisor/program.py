# SPDX-License-Identifier: MIT
"""How a program of these tools ends, however its steps went: one last line, and an exit status."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path
from typing import Callable, Iterator

from .errors import UsageError

EXIT_USAGE, EXIT_STOPPED = 2, 130

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """A signal asked this program to end."""


def _interrupt(number: int, _frame: object) -> None:
    # One is enough: the way out must not be cut short by another.
    for name in SIGNALS:
        signal.signal(name, signal.SIG_IGN)
    raise Interrupted(signal.Signals(number).name)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Within it a signal raises Interrupted, also where the shell had it ignored (SIGINT, in the
    background): what has started machines must live to see them end."""
    handlers = {name: signal.signal(name, _interrupt) for name in SIGNALS}
    try:
        yield
    finally:
        for name, handler in handlers.items():
            signal.signal(name, handler)


def finish(steps: Callable[[], int], say: Callable[[str], None], out: str | Path,
           remedy: str = "make room, or choose another OUT=") -> int:
    """The exit status: what the steps return; where they fail, that of what is then said.

    out     the directory that the program writes to
    remedy  for what cannot be written there
    """
    try:
        with interruptible():
            return steps()
    except UsageError as error:
        say(str(error))
        return EXIT_USAGE
    except Interrupted as signal_name:
        say(f"stopped by {signal_name}")
        return EXIT_STOPPED
    except OSError as error:
        say(f"{error.filename or out}: {error.strerror}: {remedy}")
        return EXIT_USAGE
