# SPDX-License-Identifier: MIT
"""Tallyvisor under KVM's nested VMX, on a machine without VMX: docs/nested.md."""
