# SPDX-License-Identifier: MIT
"""tools/tallyvisor-deps, with programs of ours in place of apt-get and sudo."""

import os
import shutil
import subprocess

import pytest

from conftest import TOOLS


@pytest.fixture
def deps(tmp_path):
    """deps(groups, ...) on a machine where nothing is installed but what the test says."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "cat", "grep", "env"):
        (programs / name).symlink_to(shutil.which(name))

    def script(name, text):
        (programs / name).write_text("#!/bin/sh\n" + text)
        (programs / name).chmod(0o755)

    def call(*groups, uid=0, apt="exit 0", sudo=False, commands=(), files=(), **environment):
        script("id", f"echo {uid}")
        script("apt-get", f'echo "apt-get $*" >> {tmp_path}/calls\n{apt}')
        if sudo:
            script("sudo", f'echo sudo >> {tmp_path}/calls\nexec "$@"')
        for name in commands:
            script(name, "")
        for name in files:
            path = tmp_path / "root" / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        # The script adds the sbin directories; nothing it looks for there may be found.
        text = (TOOLS / "tallyvisor-deps").read_text().replace("/usr/sbin:/sbin", "/nonexistent")
        (tmp_path / "deps").write_text(text)
        done = subprocess.run([programs / "sh", tmp_path / "deps", *groups], capture_output=True,
                              text=True, env={"PATH": str(programs), **environment,
                                              "TALLYVISOR_ROOT": str(tmp_path / "root")})
        calls = tmp_path / "calls"
        done.calls = calls.read_text().splitlines() if calls.exists() else []
        return done
    return call


def test_reports_only_where_told_so(deps):
    done = deps("run", NO_INSTALL="1")
    assert done.returncode == 1 and done.calls == []
    for package in ("bochs", "bochs-term", "vgabios", "ovmf", "grub-common", "grub-efi-amd64-bin",
                    "mtools", "fdisk", "busybox-static"):
        assert f"missing: {package} (" in done.stderr
    assert "qemu" not in done.stderr and "gcc" not in done.stderr
    assert "apt-get install python3 grub-common" in done.stderr


def test_test_group_covers_the_others(deps):
    done = deps("test", NO_INSTALL="1")
    for package in ("bochs", "qemu-system-x86", "gcc", "libcmocka-dev", "python3-pytest",
                    "clang"):
        assert f"missing: {package} (" in done.stderr
    assert done.stderr.count("missing: ovmf ") == 1


def test_says_nothing_where_all_is_there(deps):
    done = deps("qemu", commands=["qemu-system-x86_64"], files=["/usr/share/OVMF/OVMF_CODE.fd"])
    assert (done.returncode, done.stderr, done.calls) == (0, "", [])


def test_either_file_will_do(deps):
    done = deps("qemu", commands=["qemu-system-x86_64"], files=["/usr/share/OVMF/OVMF_CODE_4M.fd"])
    assert (done.returncode, done.stderr) == (0, "")


def test_installs_what_is_missing_and_nothing_else(deps):
    done = deps("build", commands=["gcc", "objcopy", "make"])
    assert done.returncode == 0
    assert done.calls == ["apt-get install -q -y --no-install-recommends libc6-dev nasm gnu-efi"]


def test_updates_the_lists_when_installing_fails(deps):
    done = deps("fuzz", apt='[ -e updated ] && exit 0; [ "$1" = update ] && : > updated && exit 0; '
                            'exit 100')
    os.unlink("updated")
    assert done.returncode == 0
    assert [call.split()[1] for call in done.calls] == ["install", "update", "install"]


def test_fails_where_apt_fails(deps):
    done = deps("fuzz", apt="exit 100")
    assert done.returncode == 1 and "could not install clang" in done.stderr


def test_sudo_where_not_root(deps):
    done = deps("fuzz", uid=1000, sudo=True)
    assert done.returncode == 0 and "with sudo apt-get: clang" in done.stderr
    assert done.calls[0] == "sudo"


def test_no_sudo_names_the_command(deps):
    done = deps("fuzz", uid=1000)
    assert done.returncode == 1 and "as root: apt-get install clang" in done.stderr
    assert done.calls == []


@pytest.mark.parametrize("words", [[], ["nonsense"], ["run", "nonsense"]])
def test_bad_usage(deps, words):
    done = deps(*words)
    assert done.returncode == 2 and "usage:" in done.stderr and done.calls == []
