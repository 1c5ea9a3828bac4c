# SPDX-License-Identifier: MIT
"""`make bench` and `make compare`, where nothing comes of it: one last line that says why, and a
status. No machine is started, or a script stands for the one that starts it."""

import os
import signal
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


# Calls the tool with another runner.
WRAPPER = """
import pathlib, sys
from bench import machines
machines.ROOT = pathlib.Path(sys.argv[1])
module = __import__(sys.argv[2], fromlist=["main"])
sys.argv[1:] = sys.argv[3:]
sys.exit(module.main())
"""

# What every runner here begins with: OUT and MODE, and ways to speak and to end.
RUNNER = f"""#!{sys.executable} -B
import json, os, pathlib, signal, sys, time
words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
out, mode = pathlib.Path(words["--out"]), words["--paging"]
def say(text):
    print(text, flush=True)
def end(outcome, status, text):
    (out / "serial.log").write_text("")
    (out / "stats.json").write_text(json.dumps({{"runs": [{{"paging": mode, "outcome": outcome}}]}}))
    say("tallyvisor-run: " + text)
    sys.exit(status)
def until_stopped():
    def stop(number, frame):
        (out / "was-stopped").touch()
        end("stopped", 130, "stopped by " + signal.Signals(number).name + " (after 0.1 s)")
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    say("bench: phase x ticks 1")
    time.sleep(50)
    end("timeout", 3, "timed out")
"""


@pytest.fixture
def start(build, tmp_path):
    """start("bench.compare", script, "--out", ...): the tool, with `script` as its runner. As a shell
    starts it in the background: with SIGINT ignored."""
    started = []

    def call(module, script, *words):
        runner = tmp_path / "tools" / "tallyvisor-run"
        runner.parent.mkdir()
        runner.write_text(RUNNER + script)
        runner.chmod(0o755)
        package = "bench.__main__" if module == "bench" else module
        tool = subprocess.Popen(
            [sys.executable, "-B", "-c", WRAPPER, tmp_path, package, "--build", build, "--kernel",
             build / "kernel", "--out", tmp_path / "out", *words], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
            env={**os.environ, "PYTHONPATH": str(TOOLS)})
        started.append(tool)
        return tool
    yield call
    for tool in started:
        if tool.poll() is None:
            os.killpg(tool.pid, signal.SIGKILL)
        tool.wait()
        tool.stdout.close()


def wait_for(tool, machines):
    """Until so many machines run."""
    for line in tool.stdout:
        machines -= "bench: phase x" in line
        if machines == 0:
            return


@BOTH
def test_ctrl_c_stops_all(start, tmp_path, module):
    tool = start(module, "until_stopped()\n")
    wait_for(tool, 1 if module == "bench" else 2)
    os.killpg(tool.pid, signal.SIGINT)
    said = tool.stdout.read().splitlines()
    assert tool.wait(timeout=30) == 130
    assert said[-1] == f"{module.split('.')[-1]}: stopped by SIGINT"


@BOTH
def test_no_machine_outlives_a_tool_that_is_ended(start, tmp_path, module):
    tool = start(module, "until_stopped()\n")
    wait_for(tool, 1 if module == "bench" else 2)
    tool.send_signal(signal.SIGTERM)
    said = tool.stdout.read().splitlines()
    assert tool.wait(timeout=30) == 130 and said[-1].endswith(": stopped by SIGTERM")
    modes = ["bare"] if module == "bench" else ["bare", "compare"]
    assert all((tmp_path / "out" / mode / "was-stopped").exists() for mode in modes)


REFUSAL = "Tallyvisor refused to start: shadow_pool=0 is not possible: write shadow_pool=<MiB>"


def test_a_lost_run_stops_the_other_and_is_explained_last(start, tmp_path):
    tool = start("bench.compare", f"""
if mode == "bare":
    until_stopped()
while not (out.parent / "go").exists():
    time.sleep(0.01)
end("refused", 4, "{REFUSAL} (after 1.0 s)")
""")
    wait_for(tool, 1)
    (tmp_path / "out" / "go").touch()
    said = tool.stdout.read().splitlines()
    assert tool.wait(timeout=30) == 2
    assert said[-1] == (f"compare: machine compare: {REFUSAL} (after 1.0 s); "
                        f"see {tmp_path}/out/compare/serial.log")
    assert (tmp_path / "out" / "bare" / "was-stopped").exists()


def test_workloads_that_fail_stop_the_other_machine(start, tmp_path):
    tool = start("bench.compare", """
if mode != "bare":
    until_stopped()
while not (out.parent / "go").exists():
    time.sleep(0.01)
(out / "stats.json").write_text(json.dumps({"runs": [{"paging": mode, "outcome": "poweroff"}]}))
(out / "serial.log").write_text("bench: failed: fork: x\\n")
""")
    wait_for(tool, 1)
    (tmp_path / "out" / "go").touch()
    said = tool.stdout.read().splitlines()
    assert tool.wait(timeout=30) == 2 and "bare: the bench program failed: fork: x" in said[-1]
    assert (tmp_path / "out" / "compare" / "was-stopped").exists()


@BOTH
def test_why_no_machine_was_started_is_said_last(start, module):
    """The kernel is no kernel, the processor unknown: the runner finds it, and the last word is its."""
    tool = start(module, 'say("tallyvisor-run: CPU=x: Bochs knows y, z"); sys.exit(2)')
    said = tool.stdout.read().splitlines()
    assert tool.wait(timeout=30) == 2
    name = module.split(".")[-1]
    assert said[-1] in (f"{name}: machine bare: CPU=x: Bochs knows y, z",
                        f"{name}: machine compare: CPU=x: Bochs knows y, z")


@BOTH
@pytest.mark.parametrize("kernel,why", [
    ("686", "KERNEL=686 is for make run: here small, stock, or the file of a bzImage"),
    ("686-pae", "KERNEL=686-pae is for make run"),
    ("build", "KERNEL=build is a directory: give a file"),
    ("nowhere", "KERNEL=nowhere: no such file"),
])
def test_a_kernel_that_cannot_be(tool, module, kernel, why):
    status, said = tool(module, "--kernel", kernel)
    assert status == 2 and len(said) == 1 and why in said[0]


@pytest.mark.parametrize("module,word,why", [
    ("bench.compare", "paging=ept", "make compare runs every mode"),
    ("bench.compare", "paging=compare", "make compare runs every mode"),
    ("bench", "paging=shadow", "the modes are for MODES= to say (here ept shadow)"),
])
def test_a_mode_is_no_option(tool, tmp_path, module, word, why):
    status, said = tool(module, "--options", f"verbose=1 {word}")
    assert status == 2 and len(said) == 1
    assert f"OPTIONS={word}: {why}: leave {word} out" in said[0]
