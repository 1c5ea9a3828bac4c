# SPDX-License-Identifier: MIT
"""What runs on the user's own machine: makes a bootable image, starts an engine, reads the
serial line and writes down how it ended. Standard library only."""
