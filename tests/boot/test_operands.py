# SPDX-License-Identifier: MIT
"""Memory operands of emulated instructions, and single steps through them: tests/payload/operands."""

import re

import pytest
from conftest import BUILD, ROOT

pytestmark = pytest.mark.bochs

CASES = re.findall(r'case_run\("([a-z0-9-]+)"',
                   (ROOT / "tests/payload/operands/main.c").read_text())


@pytest.mark.parametrize("paging,cpu", [
    ("ept", "corei7_haswell_4770"),
    ("shadow", "corei7_haswell_4770"),
    ("shadow", "core2_penryn_t9600"),  # no VPIDs: nothing cached lives through an exit
])
def test_the_payload_passes(run, paging, cpu):
    got = run(paging=paging, engine="bochs", cpu=cpu, timeout=300, mem=64,
              kernel=BUILD / "payload" / "operands.elf", options="poll_ms=0")
    assert re.findall(r"^FAIL .*$", got.serial, re.MULTILINE) == []
    assert re.findall(r"^PASS (.*)$", got.serial, re.MULTILINE) == CASES and len(CASES) == 8
    assert (got.last_run["outcome"], got.last_run["exit_code"]) == ("debug-exit", 0)
