# SPDX-License-Identifier: MIT
"""The exit zoo: running it, and what its lines say (docs/zoo.md)."""
