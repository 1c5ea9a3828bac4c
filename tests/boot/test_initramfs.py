# SPDX-License-Identifier: MIT
"""The initramfs: tools/tallyvisor/cpio.py and initramfs.py, unpacked by cpio and tried by sh."""

import gzip
import stat
import subprocess

import pytest

from tallyvisor import cpio, initramfs
from tallyvisor.errors import UsageError


def members(data):
    """An independent reading of a newc archive: {name: (mode, device, contents)}."""
    found, at = {}, 0
    while True:
        assert data[at:at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in range(13)]
        size, length = fields[6], fields[11]
        assert (fields[2], fields[3], fields[5]) == (0, 0, 0)  # uid, gid, mtime
        name = data[at + 110:at + 110 + length - 1].decode()
        body = at + (110 + length + 3) // 4 * 4
        if name == "TRAILER!!!":
            return found, (body + 3) // 4 * 4
        found[name] = (fields[1], (fields[9], fields[10]), data[body:body + size])
        at = body + (size + 3) // 4 * 4


@pytest.fixture(scope="module")
def base():
    return initramfs.base([])


def test_is_reproducible(base):
    assert initramfs.base([]) == base
    assert base[4:8] == bytes(4)  # gzip's date


def test_contents(base):
    found, _ = members(gzip.decompress(base))
    assert stat.S_ISCHR(found["dev/console"][0]) and found["dev/console"][1] == (5, 1)
    assert stat.S_ISLNK(found["init"][0])
    assert found["etc/session"][0] == found["etc/mount"][0] == stat.S_IFREG | 0o755
    assert found["bin/sh"][2] == b"busybox" and stat.S_ISLNK(found["bin/sh"][0])
    assert found["bin/busybox"][2][:4] == b"\x7fELF"
    assert found["tmp"][0] == stat.S_IFDIR | 0o1777
    for needed in ("mount", "poweroff", "cttyhack", "setsid", "stty", "sleep"):
        assert f"bin/{needed}" in found
    names = list(found)
    assert names.index("bin") < names.index("bin/sh")


def test_cpio_itself_reads_it(base):
    done = subprocess.run(["cpio", "-t", "--quiet"], input=gzip.decompress(base),
                          capture_output=True, check=True)
    assert b"init\n" in done.stdout


def test_guest_programs_go_in_and_replace_applets(tmp_path):
    for name in ("exitstat", "ls"):
        (tmp_path / name).write_bytes(b"program " + name.encode())
    found, _ = members(gzip.decompress(initramfs.base([tmp_path / "exitstat", tmp_path / "ls"])))
    assert found["bin/exitstat"] == (stat.S_IFREG | 0o755, (0, 0), b"program exitstat")
    assert found["bin/ls"][2] == b"program ls"


@pytest.mark.parametrize("text", ["true", "echo 'a' \"$b\" `c` \\ ; d | e\n# f", "\u00e9\t$(x)"])
def test_command_is_kept_to_the_byte(text):
    found, end = members(initramfs.command(text))
    assert list(found) == ["guest-run"]
    assert found["guest-run"][2] == text.encode() + b"\n"
    assert end == len(initramfs.command(text))


@pytest.mark.parametrize("size", range(8))
def test_a_second_archive_starts_where_linux_looks_for_it(size):
    data = cpio.compress(bytes(range(65, 65 + size)))
    assert len(data) % 4 == 0 and gzip.decompress(data) == bytes(range(65, 65 + size))


def test_init_is_good_shell():
    for script in (initramfs.MOUNT, initramfs.SESSION):
        subprocess.run(["sh", "-n"], input=script, text=True, check=True)


def test_without_busybox_the_remedy_is_named(tmp_path):
    with pytest.raises(UsageError, match="busybox-static"):
        initramfs.base([], busybox=tmp_path / "none")


def test_hard_cases_of_the_format():
    data = cpio.archive([cpio.file("b", b"12345"), cpio.file("a", b""), cpio.directory("c")])
    found, end = members(data)
    assert list(found) == ["a", "b", "c"] and found["b"][2] == b"12345"
    assert end == len(data)
