# SPDX-License-Identifier: MIT
"""The one exception that ends the tool with a sentence instead of a traceback."""


class UsageError(Exception):
    """Bad usage or a bad environment: one sentence that names the fault and the remedy."""
