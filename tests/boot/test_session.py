# SPDX-License-Identifier: MIT
"""A machine's life, with shell scripts in place of emulators: tools/tallyvisor/session.py."""

import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from tallyvisor import machine, outcome, session
from tallyvisor.terminal import Keys, Plain


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(session, "SETTLE_SECONDS", 0.3)
    monkeypatch.setattr(session, "TICK_SECONDS", 0.05)


def fake(script):
    process = subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, start_new_session=True)
    new = machine.Machine(process, process.stdout.fileno(), process.stdin.fileno())
    return new


@pytest.fixture
def play(tmp_path):
    def call(script, hypervisor=False, timeout=20, **changes):
        new = fake(script)
        for name, value in changes.items():
            setattr(new, name, value)
        watch = outcome.Watch(hypervisor)
        result = session.Session(new, watch, tmp_path / "serial.log", tmp_path / "trace.log",
                                 timeout, typing=False).run()
        assert new.process.poll() is not None, "the emulator outlived its session"
        return result, watch, (tmp_path / "serial.log").read_bytes()
    return call


def test_machine_that_switches_itself_off(play):
    result, _, log = play("echo hello; printf 'reboot: Power down'")
    assert result.outcome == outcome.POWEROFF
    assert log == b"hello\nreboot: Power down"


def test_machine_that_stays_on_after_its_last_word(play):
    result, _, _ = play("echo 'reboot: System halted'; exec sleep 60")
    assert result.outcome == outcome.POWEROFF and result.seconds < 10


def test_last_word_without_end_of_line(play):
    result, _, _ = play("printf 'reboot: System halted'; exec sleep 60")
    assert result.outcome == outcome.POWEROFF and result.seconds < 10


def test_lookalike_followed_by_more(play):
    result, _, _ = play("echo 'reboot: Power down'; sleep 0.1; echo no; exec sleep 60", timeout=1.5)
    assert result.outcome == session.TIMEOUT


def test_machine_that_ends_without_a_word(play):
    result, watch, _ = play("echo working")
    assert result.outcome == session.LOST and watch.last_line == "working"


def test_timeout_ends_all_that_was_started(play, tmp_path):
    pid = tmp_path / "pid"
    result, _, _ = play(f"sleep 600 & echo $! > {pid}; wait", timeout=1)
    assert result.outcome == session.TIMEOUT
    state = subprocess.run(["ps", "-o", "stat=", "-p", pid.read_text().strip()],
                           capture_output=True, text=True).stdout
    assert state.strip() == "" or state.startswith("Z")


def test_a_signal_stops_it_and_the_old_handler_comes_back(play):
    before = signal.getsignal(signal.SIGTERM)
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    result, _, _ = play("exec sleep 60")
    timer.join()
    assert result.outcome == session.STOPPED and result.text == "by SIGTERM"
    assert signal.getsignal(signal.SIGTERM) == before


def test_feeds_are_read_while_the_machine_runs(play):
    """More than a pipe holds: the writer would stop for good were nobody reading."""
    end, other = os.pipe()
    got = bytearray()
    script = f"yes | head -c 300000 > /dev/fd/{other}; echo 'reboot: Power down'"
    process = subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               pass_fds=(other,), start_new_session=True)
    os.close(other)
    result, _, _ = play("true", process=process, serial_in=process.stdout.fileno(),
                        feeds={end: got.extend})
    os.close(end)
    assert result.outcome == outcome.POWEROFF and len(got) == 300000


def test_serial_line_that_connects_late(play):
    listener = socket.create_server(("127.0.0.1", 0))
    code = (f"import socket; s = socket.create_connection({listener.getsockname()!r}); "
            "s.sendall(b'reboot: Power down\\n')")
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    result, _, log = play("true", process=process, serial_in=-1, listener=listener)
    listener.close()
    assert result.outcome == outcome.POWEROFF and log == b"reboot: Power down\n"


def test_all_is_read_after_the_machine_has_ended(play):
    listener = socket.create_server(("127.0.0.1", 0))
    code = (f"import socket; s = socket.create_connection({listener.getsockname()!r}); "
            "s.sendall(b'text\\n' * 50000 + b'reboot: Power down\\n')")
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    process.wait()
    result, _, log = play("true", process=process, serial_in=-1, listener=listener)
    listener.close()
    assert result.outcome == outcome.POWEROFF and log.count(b"\n") == 50001


def test_keys():
    keys = Keys()
    assert keys.feed(b"ls\r\x03") == b"ls\r\x03"
    assert keys.feed(b"\x1d") == b""
    assert keys.feed(b"s") == b"\x1ds"
    assert keys.feed(b"\x1d\x1dq") == b"\x1d\x1dq"
    assert not keys.quit
    assert keys.feed(b"a\x1dqb") == b"a"
    assert keys.quit


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_plain_text(chunk):
    data = b"\x1b[2J\x1b[01;01Hmenu\r\n\x1b[0m\x1b(Btext\x1b[=3h\t\x07end\n"
    plain = Plain()
    got = b"".join(plain.feed(data[at:at + chunk]) for at in range(0, len(data), chunk))
    assert got == b"menu\ntext\tend\n"


def test_plain_text_does_not_hold_back_for_ever():
    plain = Plain()
    assert plain.feed(b"\x1b not a sequence, and long enough to tell") != b""
