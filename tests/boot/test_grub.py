# SPDX-License-Identifier: MIT
"""GRUB's configuration: tools/tallyvisor/grub.py. Where grub-script-check is installed, GRUB's own
parser judges the text."""

import shutil
import subprocess

import pytest

from tallyvisor import grub, paging
from tallyvisor.errors import UsageError

NASTY = """a=$b "c  d" e;f g|h `i` j'k l\\m {n} #o &p <q> ~r !s %t *u [v]"""


def unquote(text):
    """What a shell, whose rules for single quotes are GRUB's, makes of the words."""
    done = subprocess.run(["sh", "-c", f"printf '%s\\n' {text}"], capture_output=True, text=True,
                          check=True)
    return done.stdout.splitlines()


def menu(**changes):
    fields = dict(default=paging.find("ept"), mem_mib=512, options="", cmdline="quiet", timeout=0)
    return grub.Menu(**{**fields, **changes})


def entry_line(text, command):
    return next(line.strip() for line in text.splitlines() if line.strip().startswith(command))


@pytest.mark.parametrize("word", ["", "plain", NASTY, "'", "''", "it's", "\\'"])
def test_quote_keeps_a_word(word):
    assert unquote(grub.quote(word)) == [word]


def test_hypervisor_entry():
    text = grub.config(menu(mem_mib=256, options="leaves=2022  verbose=1", cmdline=NASTY))
    line = entry_line(text, "chainloader")
    words = unquote(line.removeprefix("chainloader"))
    # Everything after `--` is one word: GRUB joins words by single spaces.
    assert words == ["/tallyvisor.efi", "paging=ept", "mem=256", r"kernel=\vmlinuz",
                     r"initrd=\initrd.img", "leaves=2022", "verbose=1", "--", NASTY]


def test_the_exit_zoo_is_a_kernel_of_its_own():
    text = grub.config(menu(extras=(grub.zoo(paging.find("shadow")),)))
    line = next(line.strip() for line in text.splitlines() if "zoo.elf" in line)
    assert unquote(line.removeprefix("chainloader")) == [
        "/tallyvisor.efi", "paging=shadow", "mem=512", r"kernel=\zoo.elf", "initrd=", "zoo=1",
        "poll_ms=0", "--", "stay"]
    assert "menuentry 'Tallyvisor: exit zoo, paging=shadow' --id zoo-shadow {" in text


def test_without_an_initrd():
    text = grub.config(menu(initrd=False))
    assert "initrd=" in unquote(entry_line(text, "chainloader").removeprefix("chainloader"))
    assert "initrd.img" not in text


def test_bare_entry_has_the_same_memory():
    text = grub.config(menu(mem_mib=256, cmdline='quiet foo="a  b" $x;y'))
    words = unquote(entry_line(text, "linux").removeprefix("linux"))
    assert words == ["/vmlinuz", "quiet", "foo=a  b", "$x;y", "mem=256M"]
    assert "initrd /initrd.img" in text


def test_every_mode_has_an_entry_and_the_chosen_one_is_the_default():
    for mode in paging.MODES:
        text = grub.config(menu(default=mode, timeout=3))
        assert f"set default={mode.word}\n" in text
        assert "set timeout=3\n" in text
        for other in paging.MODES:
            assert f"--id {other.word} {{" in text


def test_serial_terminals_where_asked():
    assert "terminal_output" not in grub.config(menu())
    assert "terminal_output serial console\n" in grub.config(menu(serial=True))


@pytest.mark.skipif(not shutil.which("grub-script-check"), reason="no grub-script-check")
@pytest.mark.parametrize("cmdline", ["", "quiet", NASTY.replace('"', ""), "'", "a{b}", "$(x)", "$"])
def test_grub_accepts_it(cmdline, tmp_path):
    path = tmp_path / "grub.cfg"
    path.write_text(grub.config(menu(cmdline=cmdline, options="a=$b c;d")))
    subprocess.run(["grub-script-check", path], check=True)


@pytest.mark.parametrize("text,words", [
    ("", []), ("  a  b\tc ", ["a", "b", "c"]), ('a="b c" d', ["a=b c", "d"]),
    ('"a b"', ["a b"]), ('a=""', ["a="]), ('""', [""])])
def test_kernel_words(text, words):
    assert grub.kernel_words(text) == words


def test_unbalanced_quote_is_refused():
    with pytest.raises(UsageError, match="double quote"):
        grub.kernel_words('a="b c')


@pytest.mark.parametrize("bad", ["a'b", "a\\b", 'a"b'])
def test_what_bare_cannot_carry_is_refused(bad):
    with pytest.raises(UsageError, match="CMDLINE"):
        grub.check_bare(bad)


@pytest.mark.parametrize("bad", ["a\nb", "a\x07b", "café", "a\x00"])
def test_control_characters_are_refused(bad):
    with pytest.raises(UsageError, match="OPTIONS"):
        grub.check_text("OPTIONS", bad)


def test_printable_text_is_accepted():
    grub.check_text("CMDLINE", NASTY + "\t")


def test_unknown_paging_word_names_the_known_ones():
    with pytest.raises(UsageError, match="PAGING=foo.*ept, shadow, compare, bare"):
        paging.find("foo")
