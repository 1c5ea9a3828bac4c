# SPDX-License-Identifier: MIT
"""make bench: fixed workloads on the bare emulated machine and under Tallyvisor, side by side."""
