# SPDX-License-Identifier: MIT
"""mk/run.mk: make's variables reach the runner as they were typed."""

import os
import re
import subprocess

import pytest

from conftest import ROOT

MAKEFILE = f"""\
BUILD ?= build
all:
include {ROOT}/mk/run.mk
show:
\t@printf '%s\\n' $(RUN_OPTIONS)
"""


@pytest.fixture
def show(tmp_path):
    def call(*words, **environment):
        (tmp_path / "Makefile").write_text(MAKEFILE)
        clean = {"PATH": os.environ["PATH"]}
        return subprocess.run(["make", "-s", "show", *words], cwd=tmp_path, text=True, check=True,
                              capture_output=True, env={**clean, **environment}).stdout.splitlines()
    return call


def test_nothing_given_gives_nothing(show):
    assert show() == [""]
    assert show("CPU=", "OUT=") == [""]


def test_every_variable_has_its_option(show):
    names = "PAGING ENGINE CPU MEM KERNEL INITRD CMDLINE GUEST_RUN OPTIONS OUT TIMEOUT".split()
    assert show(*[f"{name}=x{name}" for name in names]) == [
        f"--{name.lower().replace('_', '-')}=x{name}" for name in names]


@pytest.mark.parametrize("text", [
    "echo $HOME $$ $(id) ${x} `id`", """'single' "double" \\ # ; & | < > * ?""", "-x --y=z",
    "a  b"])
def test_text_is_kept(show, text):
    assert show(f"GUEST_RUN={text}") == [f"--guest-run={text}"]
    assert show(GUEST_RUN=text) == [f"--guest-run={text}"]


def test_variables_can_be_mixed(show):
    assert show("MEM=64", "GUEST_RUN=$x", "PAGING=bare") == [
        "--paging=bare", "--mem=64", "--guest-run=$x"]


def test_what_help_names_can_be_made():
    shown = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True,
                           check=True).stdout
    targets = re.findall(r"^make ([a-z-]+)", shown, re.MULTILINE)
    assert {"run", "compare", "test", "iso", "bench"} <= set(targets)
    for target in targets:
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
        assert "No rule" not in done.stderr, done.stderr
