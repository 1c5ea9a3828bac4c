# SPDX-License-Identifier: MIT
"""`make iso`: what is in the image, and that it boots as a USB stick, as a CD, and in Bochs to the
end. What is typed at GRUB are single bytes (^N is "down"), because two of its terminals read COM1."""

import os
import re
import select
import shutil
import subprocess
import time

import pytest

from conftest import BUILD, TOOLS
from tallyvisor import grub, image, iso, paging, qemu

BARE_TITLE = paging.find("bare").title
ESCAPES = re.compile(r"\x1b\[[0-9;=?]*[A-Za-z]")


def write(target, *options):
    subprocess.run([TOOLS / "tallyvisor-iso", "--build", BUILD, "--output", target, *options],
                   check=True)
    return target


@pytest.fixture(scope="module")
def stick(tmp_path_factory):
    return write(tmp_path_factory.mktemp("iso") / "stick.iso")


def output(*argv):
    return subprocess.run([str(word) for word in argv], capture_output=True, check=True).stdout


def esp(stick):
    """Start and size of the EFI system partition, in bytes."""
    table = output(image.program("sfdisk"), "--dump", stick).decode()
    line = next(line for line in table.splitlines() if image.ESP_TYPE in line)
    start, size = (int(re.search(rf"{word}=\s*(\d+)", line)[1]) for word in ("start", "size"))
    return start * 512, size * 512


def on_esp(stick, *argv):
    return output(argv[0], "-i", f"{stick}@@{esp(stick)[0]}", *argv[1:])


def test_is_reproducible(stick, tmp_path):
    time.sleep(1.1)  # FAT and ISO 9660 know seconds
    assert write(tmp_path / "again.iso").read_bytes() == stick.read_bytes()


def test_disk_and_cd_are_the_same_bytes(stick):
    start, size = esp(stick)
    report = output("xorriso", "-no_rc", "-indev", stick, "-report_el_torito", "plain").decode()
    entry = re.search(r"El Torito boot img :\s+1\s+UEFI\s+y\s+none.*\s(\d+)\n", report)
    blocks = re.search(r"El Torito img blks :\s+1\s+(\d+)", report)
    assert int(entry[1]) * 2048 == start and int(blocks[1]) * 2048 == size


def test_volume_names(stick):
    assert b"Volume Id    : TALLYVISOR" in output("xorriso", "-no_rc", "-indev", stick, "-pvd_info")
    assert b"TALLYVISOR" in on_esp(stick, "mdir", "::/")


def test_files(stick):
    listing = on_esp(stick, "mdir", "-b", "-/", "::/").decode().split()
    assert set(listing) >= {f"::{name}" for name in (
        "/EFI/BOOT/BOOTX64.EFI", "/grub.cfg", grub.MARKER, "/vmlinuz", "/initrd.img", "/show.img",
        "/work.img", "/zoo.elf", "/tallyvisor.efi", "/README.TXT")}
    core = (BUILD / "tallyvisor.efi").read_bytes()
    assert on_esp(stick, "mtype", "::/tallyvisor.efi") == core


def test_readme_is_for_any_reader(stick, tmp_path):
    text = on_esp(stick, "mtype", "::/README.TXT")
    assert text.decode("ascii").replace("\r\n", "\n") == iso.README
    subprocess.run(["xorriso", "-no_rc", "-osirrox", "on", "-indev", stick, "-extract",
                    "/README.TXT", tmp_path / "readme"], check=True, capture_output=True)
    assert (tmp_path / "readme").read_bytes() == text


def test_menu(stick, tmp_path):
    text = on_esp(stick, "mtype", "::/grub.cfg").decode()
    assert "set timeout=10\n" in text and "set default=ept\n" in text
    assert "terminal_output serial console\n" in text
    assert re.findall(r"menuentry '(.*)' --id ([\w-]+)", text) == [
        (mode.title, mode.word) for mode in paging.MODES] + [
        ("Tallyvisor: exit statistics, again and again", "show"),
        ("Tallyvisor: both modes compared, by itself", "work"),
        ("Tallyvisor: exit zoo, paging=ept", "zoo-ept"),
        ("Tallyvisor: exit zoo, paging=shadow", "zoo-shadow")]
    assert text.count("'at_end=stay'") == 1 and r"'initrd=\work.img' 'at_end=stay'" in text
    assert r"'initrd=\show.img'" in text
    if shutil.which("grub-script-check"):
        (tmp_path / "grub.cfg").write_text(text)
        subprocess.run(["grub-script-check", tmp_path / "grub.cfg"], check=True)


def test_options_reach_the_menu(tmp_path):
    changed = write(tmp_path / "x.iso", "--cmdline=foo=1 bar", "--options=verbose=1", "--timeout=3")
    text = on_esp(changed, "mtype", "::/grub.cfg").decode()
    entries = sum(mode.hypervisor for mode in paging.MODES) + 2
    # The exit zoo is no Linux.
    assert text.count("'verbose=1'") == entries + 2 and text.count("foo=1 bar'") == entries
    assert "'foo=1' 'bar'" in text and "set timeout=3\n" in text


@pytest.mark.parametrize("option,word", [("--cmdline=it's", "CMDLINE"), ("--kernel=/none", "KERNEL")])
def test_bad_usage_is_a_sentence(option, word, tmp_path):
    done = subprocess.run([TOOLS / "tallyvisor-iso", "--build", BUILD, option, "--output",
                           tmp_path / "x.iso"], capture_output=True, text=True)
    assert done.returncode == 2 and word in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "x.iso").exists()


class Pc:
    """QEMU without VMX, the image on one of its buses, and somebody at the serial line."""

    MEDIA = {"usb": ("-device", "qemu-xhci", "-device", "usb-storage,drive=stick"),
             "cd": ("-device", "ide-cd,drive=stick")}

    def __init__(self, stick, medium, work):
        code, variables = qemu.firmware()
        shutil.copyfile(variables, work / "vars.fd")
        self._process = subprocess.Popen(
            [qemu.PROGRAM, "-nodefaults", "-no-user-config", "-no-reboot", "-machine", "q35",
             "-accel", "tcg", "-cpu", "max", "-m", "1024", "-vga", "std", "-display", "none",
             "-monitor", "none", "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}",
             "-drive", f"if=pflash,unit=1,format=raw,file={work}/vars.fd",
             "-drive", f"if=none,id=stick,format=raw,readonly=on,file={stick}",
             *self.MEDIA[medium], "-chardev", "stdio,id=com1,signal=off", "-serial",
             "chardev:com1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.text, self._seen = "", 0

    def read_until(self, pattern, seconds=60):
        deadline = time.monotonic() + seconds
        while True:
            plain = ESCAPES.sub("", self.text).replace("\r", "")
            match = re.compile(pattern).search(plain, self._seen)
            if match:
                self._seen = len(plain)
                return
            assert time.monotonic() < deadline, f"no {pattern!r} in {plain[self._seen:]}"
            if select.select([self._process.stdout], [], [], 1)[0]:
                data = os.read(self._process.stdout.fileno(), 65536)
                assert data, f"QEMU ended before {pattern!r}: {plain[self._seen:]}"
                self.text += data.decode(errors="replace")

    def type(self, keys):
        os.write(self._process.stdin.fileno(), keys)

    def wait(self):
        self._process.wait(60)

    def close(self):
        self._process.kill()
        self._process.wait()


@pytest.mark.qemu
@pytest.mark.parametrize("medium", ["usb", "cd"])
def test_refusal_menu_and_bare_linux(stick, medium, tmp_path):
    pc = Pc(stick, medium, tmp_path)
    try:
        pc.read_until(re.escape(BARE_TITLE))
        pc.type(b"\r")
        # The files were found before that: the volume is right.
        pc.read_until("tallyvisor: refused: this CPU has no VMX")
        pc.read_until("Press Enter for the menu")
        pc.type(b"\r")
        pc.read_until(re.escape(BARE_TITLE))
        pc.type(b"\x0e" * paging.words().index("bare") + b"\r")
        pc.read_until("guest# ")
        pc.type(b"uname -s; exitstat; poweroff\r")
        pc.read_until(r"Linux\n")
        pc.wait()
    finally:
        pc.close()


@pytest.mark.bochs
def test_all_the_way_under_ept(stick, terminal):
    machine = terminal(paging="ept", engine="bochs", disk=stick)
    machine.read_until("Tallyvisor .* has the machine", 180)
    machine.read_until("guest# ", 180)
    machine.type("exitstat -- true; poweroff\r")
    machine.read_until("CPUID", 60)
    got = machine.finish(60)
    assert got.exit_code == 0 and "guest powered off" in got.verdict
    assert got.last_run["outcome"] == "poweroff" and got.last_run["exits_total"] > 1000


def test_a_finished_image_takes_no_changes(run, stick):
    got = run(disk=stick, cmdline="foo")
    assert got.exit_code == 2 and "--cmdline" in got.messages


def test_a_missing_image_is_named(run, tmp_path):
    got = run(disk=tmp_path / "none.iso")
    assert got.exit_code == 2 and "none.iso: no such file" in got.messages
