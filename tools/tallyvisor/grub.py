# SPDX-License-Identifier: MIT
"""GRUB's configuration: quoting, and the menu."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import UsageError
from .paging import MODES, Paging

# The file whose presence tells GRUB which of the machine's disks is ours.
MARKER = "/tallyvisor.img"

# Linked into GRUB's image: what the menu needs, and what helps at its prompt.
MODULES = ("part_gpt fat search search_fs_file normal configfile linux chain boot echo ls cat test "
           "reboot halt terminal serial efi_gop read").split()

# Run by GRUB's image before anything else.
EARLY_CONFIG = f"search --no-floppy --set=root --file {MARKER}\nconfigfile ($root)/grub.cfg\n"


KERNEL, INITRD, ZOO = "/vmlinuz", "/initrd.img", "/zoo.elf"


@dataclass(frozen=True)
class Extra:
    """One more entry for the hypervisor, with another initramfs, or another kernel."""

    name: str  # of the entry within GRUB
    title: str
    mode: Paging
    initrd: str  # its path on the volume; "": none
    options: str = ""  # more words for the hypervisor
    kernel: str = KERNEL  # its path
    cmdline: str | None = None  # for it; None: the menu's


@dataclass(frozen=True)
class Menu:
    default: Paging
    mem_mib: int
    options: str  # more words for the hypervisor, separated by white space
    cmdline: str  # the guest kernel's command line
    timeout: int  # seconds the menu waits
    initrd: bool = True  # there is one
    serial: bool = False  # GRUB drives COM1 itself; False where the firmware's console does
    pause: bool = False  # wait for Enter where the hypervisor refused: somebody reads it
    extras: tuple[Extra, ...] = ()


def zoo(mode: Paging) -> Extra:
    """The exit zoo (docs/zoo.md), whose file is ZOO on the volume. It stays on the screen."""
    return Extra(f"zoo-{mode.word}", f"Tallyvisor: exit zoo, paging={mode.word}", mode, "",
                 "zoo=1 poll_ms=0", ZOO, "stay")


def quote(word: str) -> str:
    """One word of a GRUB command, taken literally whatever is in it."""
    return "'" + word.replace("'", "'\\''") + "'"


def check_text(name: str, text: str) -> None:
    """A setting that goes through GRUB and UEFI must be printable ASCII on one line."""
    if not text.isascii() or not text.replace("\t", " ").isprintable():
        raise UsageError(f"{name} must be printable ASCII on one line")


def kernel_words(cmdline: str) -> list[str]:
    """Split a command line as Linux does: at white space outside double quotes. The quotes are
    dropped, because GRUB's `linux` puts its own round each word that has a space in it."""
    words, word, quoted = [], None, False
    for char in cmdline:
        if char == '"':
            quoted = not quoted
            word = word or ""
        elif char.isspace() and not quoted:
            if word is not None:
                words.append(word)
            word = None
        else:
            word = (word or "") + char
    if quoted:
        raise UsageError('CMDLINE has a double quote without its partner')
    return words if word is None else words + [word]


def check_bare(cmdline: str) -> None:
    """GRUB's `linux` puts a backslash before these, and Linux would keep it."""
    for char in "'\\":
        if char in cmdline:
            raise UsageError(f"CMDLINE with {char} cannot pass GRUB's linux command unchanged, "
                             "which PAGING=bare uses: leave it out")
    kernel_words(cmdline)


def _backslashes(path: str) -> str:
    return path.replace("/", "\\")


def _hypervisor_entry(menu: Menu, mode: Paging, initrd: str = INITRD, options: str = "",
                      kernel: str = KERNEL, cmdline: str | None = None) -> list[str]:
    words = [f"paging={mode.word}", f"mem={menu.mem_mib}", f"kernel={_backslashes(kernel)}",
             "initrd=" + (_backslashes(initrd) if menu.initrd else "")]
    words += options.split() + menu.options.split()
    line = " ".join(quote(word) for word in words)
    text = menu.cmdline if cmdline is None else cmdline
    chain = f"chainloader /tallyvisor.efi {line} -- {quote(text)}"
    # What follows `boot` is executed only where it failed.
    return [chain, "boot", "echo 'Press Enter for the menu.'", "read"] if menu.pause else [chain]


def _bare_entry(menu: Menu) -> list[str]:
    # The guest under the hypervisor has mem_mib of memory; `mem=` gives the bare one as much.
    words = kernel_words(menu.cmdline) + [f"mem={menu.mem_mib}M"]
    line = " ".join(quote(word) for word in words)
    return [f"linux /vmlinuz {line}"] + (["initrd /initrd.img"] if menu.initrd else [])


def _entry(title: str, name: str, body: list[str]) -> list[str]:
    return [f"menuentry {quote(title)} --id {name} {{", *("\t" + line for line in body), "}"]


def config(menu: Menu) -> str:
    """The text of /grub.cfg."""
    lines = ["# Written by Tallyvisor's tools.", "set gfxpayload=keep"]
    if menu.serial:
        lines += ["serial --unit=0 --speed=115200",
                  "terminal_input serial console", "terminal_output serial console"]
    lines += [f"set default={menu.default.word}", f"set timeout={menu.timeout}"]
    for mode in MODES:
        body = _hypervisor_entry(menu, mode) if mode.hypervisor else _bare_entry(menu)
        lines += _entry(mode.title, mode.word, body)
    for extra in menu.extras:
        body = _hypervisor_entry(menu, extra.mode, extra.initrd, extra.options, extra.kernel,
                                 extra.cmdline)
        lines += _entry(extra.title, extra.name, body)
    return "\n".join(lines) + "\n"
