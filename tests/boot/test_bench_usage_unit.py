# SPDX-License-Identifier: MIT
"""`make bench` and `make compare`, where nothing comes of it: one last line that says why, and a
status. No machine is started, or a script stands for the one that starts it."""

import os
import subprocess
import sys

import pytest
from conftest import TOOLS


@pytest.fixture
def build(tmp_path):
    """A build directory with as much as is looked at before a machine starts."""
    program = tmp_path / "build" / "bench" / "guest" / "bench"
    program.parent.mkdir(parents=True)
    program.write_bytes(b"program")
    (tmp_path / "build" / "kernel").write_bytes(bytes(0x202) + b"HdrS" + bytes(0x400))
    return tmp_path / "build"


@pytest.fixture
def tool(build, tmp_path):
    """tool("bench.compare", "--out", ...): status and lines of standard error."""
    def call(module, *words):
        kernel = () if "--kernel" in words else ("--kernel", build / "kernel")
        done = subprocess.run([sys.executable, "-B", "-m", module, "--build", build, *kernel, *words],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=tmp_path,
                              env={**os.environ, "PYTHONPATH": str(TOOLS)}, timeout=60)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stderr.splitlines()
    return call


BOTH = pytest.mark.parametrize("module", ["bench", "bench.compare"])


@BOTH
@pytest.mark.parametrize("out", ["a-file", "a-file/below", "/proc/x"])
def test_a_directory_that_cannot_be(tool, tmp_path, module, out):
    (tmp_path / "a-file").write_text("of the user's")
    status, said = tool(module, "--out", out)
    assert status == 2 and len(said) == 1
    assert out in said[0] and "choose another OUT=" in said[0]
    assert (tmp_path / "a-file").read_text() == "of the user's"
