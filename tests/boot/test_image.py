# SPDX-License-Identifier: MIT
"""The disk image: tools/tallyvisor/image.py, looked at with sfdisk and mtools."""

import json
import subprocess

import pytest

from tallyvisor import grub, image
from tallyvisor.errors import UsageError

ESP = "@@1048576"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    work = tmp_path_factory.mktemp("files")
    contents = {"/EFI/BOOT/BOOTX64.EFI": b"MZ" * 1000, "/grub.cfg": b"set x=1\n",
                grub.MARKER: b"", "/vmlinuz": bytes(range(256)) * 40000}
    paths = {}
    for number, (name, data) in enumerate(contents.items()):
        paths[name] = work / str(number)
        paths[name].write_bytes(data)
    return paths


@pytest.fixture(scope="module")
def disk(files, tmp_path_factory):
    path = tmp_path_factory.mktemp("disk") / "disk.img"
    image.build_disk(path, files)
    return path


def mtool(*argv):
    return subprocess.run(argv, capture_output=True, check=True).stdout


def test_partition_table(disk):
    table = json.loads(mtool(image.program("sfdisk"), "--json", str(disk)))["partitiontable"]
    assert table["label"] == "gpt"
    (esp,) = table["partitions"]
    assert esp["type"] == image.ESP_TYPE and esp["start"] == 2048
    assert (esp["start"] + esp["size"]) * 512 <= disk.stat().st_size


def test_size_is_whole_cylinders(disk):
    assert disk.stat().st_size % image.CYLINDER == 0


def test_file_system_is_fat32(disk):
    assert b"FAT32" in mtool("minfo", "-i", f"{disk}{ESP}", "::")


def test_nothing_in_it_is_random(disk):
    assert b"serial number: 54414C59" in mtool("minfo", "-i", f"{disk}{ESP}", "::")


def test_files_come_back_whole(disk, files):
    for name, path in files.items():
        assert mtool("mtype", "-i", f"{disk}{ESP}", f"::{name}") == path.read_bytes(), name


def test_the_firmware_finds_grub(disk):
    assert b"BOOTX64  EFI" in mtool("mdir", "-i", f"{disk}{ESP}", "::/EFI/BOOT")


def test_is_reproducible(disk, files, tmp_path):
    image.build_disk(tmp_path / "disk.img", files)
    assert (tmp_path / "disk.img").read_bytes() == disk.read_bytes()


def test_replaces_an_older_image(disk, files, tmp_path):
    again = tmp_path / "disk.img"
    again.write_bytes(b"old" * 1000)
    image.build_disk(again, files)
    assert again.stat().st_size == disk.stat().st_size


def test_large_files_make_a_larger_image(tmp_path):
    big = tmp_path / "big"
    with big.open("wb") as handle:
        handle.truncate(300 << 20)
    image.build_disk(tmp_path / "disk.img", {"/initrd.img": big})
    assert b"FAT32" in mtool("minfo", "-i", f"{tmp_path}/disk.img{ESP}", "::")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises((UsageError, FileNotFoundError), match="nothing"):
        image.build_disk(tmp_path / "disk.img", {"/x": tmp_path / "nothing"})


def test_a_missing_program_names_the_remedy(monkeypatch):
    with pytest.raises(UsageError, match="tallyvisor-deps"):
        image.program("no-such-program")


def test_grub_is_an_efi_file_and_is_made_once(tmp_path):
    path = image.build_grub(tmp_path)
    data = path.read_bytes()
    assert data[:2] == b"MZ" and grub.EARLY_CONFIG.encode() in data
    stamp = path.stat().st_mtime_ns
    assert image.build_grub(tmp_path).stat().st_mtime_ns == stamp
    (tmp_path / "recipe").write_text("other modules")
    assert image.build_grub(tmp_path).stat().st_mtime_ns != stamp
