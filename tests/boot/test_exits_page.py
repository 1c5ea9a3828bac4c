# SPDX-License-Identifier: MIT
"""docs/exits.md is what tools/exits_page.py makes of the sources, and leaves nothing out."""

import re
import subprocess
import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))

import exits_page  # noqa: E402


def test_the_page_is_up_to_date():
    done = subprocess.run([sys.executable, "-B", ROOT / "tools/exits_page.py", "--check"],
                          capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_reason_has_a_section_and_a_row():
    text = exits_page.PAGE.read_text()
    rows = (ROOT / "include/exit_reasons.def").read_text().count("\nEXIT_REASON(")
    sections = re.findall(r"^### (\d+) (\w+)$", text, re.MULTILINE)
    assert len(sections) == rows == len(exits_page.reasons())
    for nr, name in sections:
        assert f"| {nr} | [{name}](#{nr}-{name.lower()}) |" in text


def test_its_links_lead_somewhere():
    text = exits_page.PAGE.read_text()
    anchors = {f"{nr}-{name.lower()}" for nr, name in
               re.findall(r"^### (\d+) (\w+)$", text, re.MULTILINE)}
    links = set(re.findall(r"\]\(([^)]+)\)", text))
    assert len(links) > 100
    for link in links:
        file, _, anchor = link.partition("#")
        assert (ROOT / "docs" / file).exists() if file else anchor in anchors, link


def planted(monkeypatch, tmp_path, file, old, new):
    """The error with one file of the tree changed."""
    for name in ("include", "vmm", "tests", "docs"):
        (tmp_path / name).symlink_to(ROOT / name)
    room, _, rest = file.partition("/")
    (tmp_path / room).unlink()
    subprocess.run(["cp", "-r", ROOT / room, tmp_path / room], check=True)
    text = (ROOT / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new, 1))
    monkeypatch.setattr(exits_page, "ROOT", tmp_path)
    with pytest.raises(exits_page.PageError) as error:
        exits_page.page()
    return str(error.value)


@pytest.mark.parametrize("file,old,new,complaint", [
    ("include/exit_reasons.def", "(13, INVD, cache_flush,", "(13, INVD, cache_drop,",
     "there is no handle_cache_drop()"),
    ("include/exit_reasons.def", "(13, INVD, cache_flush,", "(13, INVED, cache_flush,",
     "there is no case zoo_INVED()"),
    ("include/exit_reasons.def", "CPU2, 28,", "CPU2, 3,", "bit 3 of CPU2 has no name"),
    ("vmm/exits_insn.c", "enum exit_action handle_hlt(", "\nenum exit_action handle_hlt(",
     "handle_hlt() has no comment"),
])
def test_what_is_missing_is_named(monkeypatch, tmp_path, file, old, new, complaint):
    assert complaint in planted(monkeypatch, tmp_path, file, old, new)
