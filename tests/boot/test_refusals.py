# SPDX-License-Identifier: MIT
"""What Tallyvisor says before it would take a machine over, seen in QEMU: no VMX is needed to be
refused for something else, and having none is a refusal, too."""

import pytest
from conftest import BUILD

pytestmark = pytest.mark.qemu

QEMU = dict(paging="ept", engine="qemu", timeout=120)


def refused(run, sentence, **options):
    got = run(**{**QEMU, **options})
    assert got.exit_code == 4 and got.last_run["outcome"] == "refused"
    assert sentence in got.verdict
    lines = [line for line in got.serial.splitlines() if line.startswith("tallyvisor: refused: ")]
    assert len(lines) == 1
    return got


def test_no_vmx(run):
    refused(run, "this CPU has no VMX, or the hypervisor it runs under hides it")


def test_an_unknown_option(run):
    refused(run, 'unknown option "kernal" (did you mean "kernel"?)', options="kernal=x")


def test_a_pool_that_is_none(run):
    refused(run, "shadow_pool=0 is not possible: write shadow_pool=<MiB>, 1 to 4096",
            paging="shadow", options="shadow_pool=0")


def test_a_pool_that_is_too_large(run):
    refused(run, "too little memory", paging="shadow",
            options="shadow_pool=4096 mem=64")


def test_written_pages_are_not_counted_on_shadow_page_tables(run):
    refused(run, "dirty=1 is not possible with paging=shadow", paging="shadow",
            options="dirty=1")


def test_a_missing_file(run):
    refused(run, "\\nowhere is not on the boot volume", options="kernel=/nowhere")


def test_too_much_memory(run):
    refused(run, "too little memory", options="mem=60000")


def test_a_kernel_that_is_none(run, tmp_path):
    text = tmp_path / "kernel.txt"
    text.write_text("this is no kernel\n" * 100)
    refused(run, "kernel=", kernel=str(text))


def test_a_kernel_cut_short(run, tmp_path):
    stock = sorted(BUILD.glob("cache/*/vmlinuz"))[-1]
    short = tmp_path / "short"
    short.write_bytes(stock.read_bytes()[:4 << 20])
    refused(run, "the file is cut short", kernel=str(short))
