# SPDX-License-Identifier: MIT
"""Paging as software sees it: tests/payload/paging walks through the bits of page-table entries and
control registers in every paging mode, and checks what comes of each access."""

import re

import pytest
from conftest import BUILD, ROOT

pytestmark = pytest.mark.bochs

ELF = BUILD / "payload" / "paging.elf"
CASES = re.findall(r'^\t\{"([a-z0-9-]+)", test_',
                   (ROOT / "tests/payload/paging/main.c").read_text(), re.MULTILINE)


def lines(serial, word):
    return re.findall(rf"^{word} (.*)$", serial, re.MULTILINE)


def judge(got):
    """All cases passed, and each of them compared something."""
    assert lines(got.serial, "FAIL") == []
    assert lines(got.serial, "PASS") == CASES
    counts = dict(re.findall(r"^([a-z0-9-]+): (\d+) checks$", got.serial, re.MULTILINE))
    assert [name for name in CASES if int(counts.get(name, 0)) == 0] == []
    assert (got.last_run["outcome"], got.last_run["exit_code"]) == ("debug-exit", 0)


@pytest.mark.parametrize("cpu", ["corei7_haswell_4770", "corei7_skylake_x", "corei5_lynnfield_750"])
def test_under_ept(run, cpu):
    judge(run(paging="ept", engine="bochs", cpu=cpu, timeout=300, mem=64, kernel=ELF))
