# SPDX-License-Identifier: MIT
"""The one exception that ends the tool with a sentence instead of a traceback."""

from pathlib import Path


class UsageError(Exception):
    """Bad usage or a bad environment: one sentence that names the fault and the remedy."""


def need_file(setting: str, name: str) -> None:
    """
    setting  what named the file, as the user wrote it (KERNEL=x)
    """
    if Path(name).is_dir():
        raise UsageError(f"{setting} is a directory: give a file")
    if not Path(name).is_file():
        raise UsageError(f"{setting}: no such file")
