# SPDX-License-Identifier: MIT
"""Debian's 32-bit kernels: their packages (tools/tallyvisor/i386.py), and boots to user space. The 686
kernel has 32-bit paging, the 686-pae kernel PAE paging, which no 64-bit kernel uses."""

import os
import re

import pytest
from test_ept import OURS, rows, tables

from tallyvisor import i386
from tallyvisor.errors import UsageError

POLICY = "  Candidate: 1-1\n"


@pytest.fixture
def apt(tmp_path, monkeypatch):
    """apt-get and apt-cache as scripts, which fail without our configuration. apt-get writes down what it
    was called for; an update makes it know `after_update`."""
    tools, log, deb = tmp_path / "tools", tmp_path / "log", tmp_path / "p.deb"
    tree = tmp_path / "tree"
    for name in ("boot/vmlinuz-1", "bin/busybox", "DEBIAN/control"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(name)
    (tree / "DEBIAN/control").write_text("Package: p\nVersion: 1\nArchitecture: all\n"
                                         "Maintainer: n <n@n>\nDescription: d\n")
    os.system(f"dpkg-deb -b {tree} {deb} >/dev/null")
    tools.mkdir()
    log.touch()

    def call(policy="", depends="", after_update=None, downloads=True):
        state = tmp_path / "policy"
        state.write_text(policy)
        (tmp_path / "depends").write_text(depends)
        (tmp_path / "later").write_text(policy if after_update is None else after_update)
        (tools / "apt-cache").write_text(
            "#!/bin/sh\ngrep -q 'Architecture \"i386\"' \"$APT_CONFIG\" || exit 1\n"
            f"cat {tmp_path}/$1\n")
        (tools / "apt-get").write_text(
            "#!/bin/sh\ngrep -q 'Architecture \"i386\"' \"$APT_CONFIG\" || exit 1\n"
            f"echo $2 $3 >>{log}\n"
            f"case $2 in update) cat {tmp_path}/later >{state};;\n"
            f"*) {'cp ' + str(deb) + ' .' if downloads else 'exit 1'};; esac\n")
        for script in tools.iterdir():
            script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
        return log
    return call


def packages(tmp_path):
    said = []
    return i386.Packages(tmp_path / "cache", said.append), said


def done(log):
    return log.read_text().split("\n")[:-1]


def test_a_package_is_downloaded_once(apt, tmp_path):
    log = apt(POLICY)
    for _ in range(2):
        ours, _ = packages(tmp_path)
        assert ours.busybox().read_text() == "bin/busybox"
        (tmp_path / "cache/i386/apt/lists/index").touch()  # as apt-get update would
    assert done(log) == ["update", "download busybox-static=1-1"]
    config = (tmp_path / "cache/i386/apt/apt.conf").read_text()
    assert f'Dir::State "{tmp_path}/cache/i386/apt"' in config


def test_a_kernel_comes_by_its_meta_package(apt, tmp_path):
    log = apt(POLICY, "  Depends: linux-image-6.1.0-9-686\n")
    ours, _ = packages(tmp_path)
    assert ours.kernel("686").read_text() == "boot/vmlinuz-1"
    assert done(log) == ["update", "download linux-image-6.1.0-9-686=1-1"]


def test_an_index_that_is_too_old_is_read_again(apt, tmp_path):
    log = apt("", after_update=POLICY)
    (tmp_path / "cache/i386/apt/lists").mkdir(parents=True)
    (tmp_path / "cache/i386/apt/lists/index").touch()
    ours, _ = packages(tmp_path)
    assert ours.busybox().exists()
    assert done(log) == ["update", "download busybox-static=1-1"]


def test_without_a_network_an_older_one_will_do(apt, tmp_path):
    apt(POLICY, downloads=False)
    for name in ("linux-image-6.1.0-9-686_1/vmlinuz", "linux-image-6.1.0-10-686_1/vmlinuz",
                 "linux-image-6.1.0-11-686-pae_1/vmlinuz"):
        path = tmp_path / "cache/i386" / name
        path.parent.mkdir(parents=True)
        path.touch()
    ours, said = packages(tmp_path)
    assert "6.1.0-10-686_1" in str(ours.kernel("686"))
    assert "6.1.0-11-686-pae_1" in str(ours.kernel("686-pae"))
    assert any("using" in line for line in said)
    with pytest.raises(UsageError, match="busybox-static"):
        ours.busybox()


def test_without_apt_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    ours, said = packages(tmp_path)
    with pytest.raises(UsageError, match="need apt"):
        ours.kernel("686")
    assert "this machine has no apt" in said


@pytest.mark.bochs
@pytest.mark.parametrize("kernel,paging,cpu", [
    ("686", "ept", "corei7_haswell_4770"),
    ("686-pae", "ept", "corei5_lynnfield_750"),  # the first instructions: on the identity map
    ("686", "shadow", "corei7_haswell_4770"),
    ("686-pae", "shadow", "core2_penryn_t9600"),
])
def test_to_user_space_and_off(run, kernel, paging, cpu):
    got = run(paging=paging, engine="bochs", timeout=300, mem=256, cpu=cpu, kernel=kernel,
              guest_run="uname -mr; exitstat --verify; dmesg")
    assert got.exit_code == 0
    assert "guest powered off; its command exited with status 0" in got.verdict
    assert re.search(rf"^\d\S*-{kernel} i686$", got.serial, re.MULTILINE)
    # What a 32-bit program reads of the counters is what the hypervisor prints of them.
    theirs, = tables(got.serial, "snapshot", OURS)
    guests, = tables(got.serial, "snapshot", "")
    assert guests == theirs and rows(theirs)[10][0] == "CPUID"
    assert "Call Trace" not in got.serial
    pae = "NX (Execute Disable) protection: active" in got.serial
    assert pae == (kernel == "686-pae")
