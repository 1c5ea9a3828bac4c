# SPDX-License-Identifier: MIT
"""The words that PAGING= takes, one row each. Every other file asks this table; none compares
words. A new mode is a new row."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import UsageError


@dataclass(frozen=True)
class Paging:
    word: str  # PAGING= here, paging= on the hypervisor's line, "paging" in stats.json
    title: str  # of the GRUB menu entry
    hypervisor: bool  # the guest runs under tallyvisor.efi; else on the machine itself
    guest_run: str  # default GUEST_RUN in batch
    kvm: tuple[str, ...]  # parameters of kvm_intel that must be on where KVM is to run it
    compared: tuple[str, ...] = ()  # the modes that the guest runs in, one after the other


MODES = (
    Paging("ept", "Tallyvisor: Linux under EPT", True, "exitstat",
           ("nested", "ept")),
    Paging("shadow", "Tallyvisor: Linux on shadow page tables", True, "exitstat", ("nested",)),
    Paging("compare", "Tallyvisor: Linux in both modes, compared", True, "exitstat",
           ("nested", "ept"), ("ept", "shadow")),
    Paging("bare", "Linux on the bare machine", False, "true", ("nested",)),
)


# A word of OPTIONS as the hypervisor sees it: a blank within double quotes does not end it.
_WORD = re.compile(r'(?:"[^"]*"?|[^\s"])+')


def single() -> list[Paging]:
    """The hypervisor's modes, each for itself."""
    return [mode for mode in MODES if mode.hypervisor and not mode.compared]


def words() -> list[str]:
    return [mode.word for mode in MODES]


def find(word: str) -> Paging:
    for mode in MODES:
        if mode.word == word:
            return mode
    raise UsageError(f"PAGING={word} is unknown; it is one of: {', '.join(words())}")


def check_options(options: str, who_says: str) -> None:
    """The mode is no option among others: each machine and each entry of a menu is made for one, and a
    second word on its line would win, unseen.

    who_says  it instead: a sentence
    """
    for word in _WORD.findall(options):
        word = word.replace('"', "")
        if word.startswith("paging="):
            raise UsageError(f"OPTIONS={word}: {who_says}: leave {word} out of OPTIONS")
