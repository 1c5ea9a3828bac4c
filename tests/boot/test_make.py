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


@pytest.mark.parametrize("status, log, shown", [
    (0, True, True), (1, True, True), (3, True, True), (1, False, False), (2, True, False)])
def test_a_trace_is_shown_also_of_a_run_that_failed(tmp_path, status, log, shown):
    """But not that of an earlier run, where this one did not start (2)."""
    (tmp_path / "Makefile").write_text(MAKEFILE + "\nall guest-programs:\n")
    tools, out = tmp_path / "tools", tmp_path / "out"
    tools.mkdir()
    out.mkdir()
    if log:
        (out / "trace.log").write_text("x")
    for name, text in (("deps", "exit 0"), ("run", f"exit {status}"), ("trace", "echo a picture")):
        (tools / f"tallyvisor-{name}").write_text(f"#!/bin/sh\n{text}\n")
        (tools / f"tallyvisor-{name}").chmod(0o755)
    got = subprocess.run(["make", "-s", "trace"], cwd=tmp_path, text=True, capture_output=True,
                         env={"PATH": os.environ["PATH"]})
    assert got.returncode == (2 if status else 0), got.stderr  # make's own word for a failure
    assert got.stdout.splitlines() == (
        ["a picture", "out/trace.json: open it at https://ui.perfetto.dev, or in chrome://tracing"]
        if shown else [])


def make(*words):
    return subprocess.run(["make", *words], cwd=ROOT, text=True, capture_output=True)


@pytest.mark.parametrize("words, message", [
    (["zoo", "MEM=256", "TIMEOUT=9"], "zoo: MEM= TIMEOUT= is not for the zoo, which brings its own"),
    (["trace", "PAGING=bare"], "trace: PAGING=bare: without Tallyvisor nothing exits: ept, shadow"),
])
def test_what_would_have_no_effect_is_refused(words, message):
    got = make(*words)
    assert got.returncode == 2 and got.stderr.startswith(message) and got.stdout == ""
