# SPDX-License-Identifier: MIT
"""Mistakes that are found before anything is started: exit status 2 and one line."""

import fcntl

import pytest

from conftest import BUILD, TOOLS, command
from tallyvisor import paging

import subprocess


@pytest.mark.parametrize("options,why", [
    (dict(paging="shadows"), "PAGING=shadows is unknown"),
    (dict(engine="bochs", cpu="z80"), "CPU=z80"),
    (dict(kernel="/nonexistent"), "KERNEL=/nonexistent: no such file"),
    (dict(kernel="/usr"), "KERNEL=/usr is a directory: give a file"),
    (dict(initrd="/usr"), "INITRD=/usr is a directory: give a file"),
    (dict(disk="/usr"), "--disk /usr is a directory: give a file"),
    (dict(disk="/nonexistent"), "--disk /nonexistent: no such file"),
    (dict(paging="bare", kernel="/etc/passwd"), "is no bzImage, which PAGING=bare needs"),
    (dict(initrd="/nonexistent"), "INITRD=/nonexistent: no such file"),
    (dict(mem=8), "MEM=8"),
    (dict(cmdline="a\nb"), "CMDLINE must be printable"),
    (dict(options="a\x01"), "OPTIONS must be printable"),
    (dict(options="mem=9 paging=shadow"), "OPTIONS=paging=shadow: the mode is for PAGING= to say "
     "(here ept): leave paging=shadow out"),
    (dict(options='"paging=ept"', paging="compare"), "OPTIONS=paging=ept: the mode is for PAGING="),
    (dict(options="paging=ept"), "OPTIONS=paging=ept: "),  # for every entry of the menu
    (dict(options="paging=ept", paging="bare"), "(here bare)"),
    (dict(paging="bare", cmdline="it's"), "CMDLINE with '"),
    (dict(paging="bare", cmdline='a="b'), "double quote"),
    (dict(build="/nonexistent"), "run make first"),
])
def test_one_line_says_what_is_wrong(run, options, why):
    got = run(**{"paging": "ept", "engine": "bochs", **options})
    assert got.exit_code == 2
    assert why in got.verdict and got.verdict.startswith("tallyvisor-run: ")
    assert "Traceback" not in got.messages
    assert got.stats == {} and got.serial == ""


def test_two_runs_do_not_share_a_directory(run, tmp_path):
    (tmp_path / "out").mkdir()
    with (tmp_path / "out" / "run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        got = run(paging="bare")
    assert got.exit_code == 2 and "another run" in got.verdict


def test_help_names_every_option(tmp_path):
    done = subprocess.run([command(tmp_path, {})[0], "--help"], capture_output=True, text=True)
    for name in "paging engine cpu mem kernel initrd cmdline guest-run options out timeout".split():
        assert f"--{name}" in done.stdout
    assert ", ".join(paging.words()) in " ".join(done.stdout.split())


def test_no_other_option_is_taken_for_a_mode():
    paging.check_options('module="\\file paging=x" mem=64 xpaging=1 kernel=/paging=', "")


def test_the_menu_of_an_image_has_its_modes(tmp_path):
    done = subprocess.run([TOOLS / "tallyvisor-iso", "--build", BUILD, "--options=paging=shadow",
                           "--output", tmp_path / "x.iso"], capture_output=True, text=True)
    assert done.returncode == 2 and not (tmp_path / "x.iso").exists()
    assert "OPTIONS=paging=shadow: the menu has an entry for each mode" in done.stderr
