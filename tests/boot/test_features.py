# SPDX-License-Identifier: MIT
"""Optional features switched off from the boot line: the guest works without, and sees it."""

import re

import pytest
from conftest import ROOT

NAMES = re.findall(r'^FEATURE\(\w+, "([a-z0-9-]+)"', (ROOT / "include/vmx_features.def").read_text(),
                   re.MULTILINE)
REQUIRED = re.findall(r'^FEATURE_REQUIRED\("([a-z0-9-]+)"',
                      (ROOT / "include/vmx_features.def").read_text(), re.MULTILINE)


def test_the_manual_has_them_all():
    text = (ROOT / "docs/options.md").read_text().split("## Features")[1].split("\n## ")[0]
    assert re.findall(r"^\| `([a-z0-9-]+)` \|", text, re.MULTILINE) == NAMES
    for name in REQUIRED:
        assert f"`{name}`" in text


@pytest.mark.qemu
def test_a_required_feature_is_refused_with_the_reason(run):
    got = run(paging="ept", engine="qemu", timeout=120, options="features-=vpid,ept")
    assert got.exit_code == 4 and got.last_run["outcome"] == "refused"
    assert "features-=ept is not possible: paging=ept is built on it" in got.verdict
