# SPDX-License-Identifier: MIT
"""The shadow MMU's oracle (tests/host/oracle/) finds bugs: each of these, planted in a copy of
shadow/, fails it within a bounded number of operations, and shadow/ as it is does not."""

import os
import re
import shutil
import subprocess

import pytest

from conftest import BUILD, ROOT

OPERATIONS = 3_000_000
SEED = 1
# A run ends where a bug is found, mostly long before this. What shows only if another vcpu stores
# something in a certain moment, or if a few rare things come together, takes longer.
ENOUGH = 30_000_000

# What is wrong, in which file, and the text that becomes another. A text must be there once.
PLANTS = {
    "CR0.WP ignored": (
        "load.c", "vc->role.wp0 = !(r->cr0 & X86_CR0_WP);", "vc->role.wp0 = true;"),
    "NX dropped in an upper entry": (
        "spte.c", "parent.wp0 ? PTE_U : entry & (PTE_U | PTE_NX)",
        "parent.wp0 ? PTE_U : entry & PTE_U"),
    "NX dropped in a leaf": (
        "mmu.h", "(PTE_U | PTE_G | PTE_NX | SPTE_PKEY_MASK)",
        "(PTE_U | PTE_G | SPTE_PKEY_MASK)"),
    "stale large page": (
        "sync.c", "} else if (!refresh_link(s, sp, index, entry)) {",
        "} else if (!spte_is_leaf(s->spt[ref], sp->role.level) &&\n"
        "\t\t   !refresh_link(s, sp, index, entry)) {"),
    "large page flushed at one address only": (
        "load.c", "if (before == FLUSH_NOTHING && !others) {",
        "if (before != FLUSH_ADDRESS && !others) {"),
    "A bit not set": (
        "fault.c", "new = entry | PTE_A | (f->access & WALK_WRITE ? PTE_D : 0);",
        "new = entry | (f->access & WALK_WRITE ? PTE_D : 0);"),
    "D bit not set": (
        "fault.c", "new = entry | PTE_A | (f->access & WALK_WRITE ? PTE_D : 0);",
        "new = entry | PTE_A;"),
    "D bit not tracked in a large page": (
        "spte.c", "(!leaf || (entry & PTE_D))", "true"),
    "wrong reserved mask": (
        "load.c", "guest_reserved_bits(r, 1, true);", "guest_reserved_bits(r, 1, true) & ~PTE_NX;"),
    "reserved bit dropped where a link is kept": (
        "sync.c", "if (entry & guest_reserved_bits(&r, level, leaf) ||\n\t    ", "if ("),
    "missed INVLPG": (
        "load.c", "if (entry == s->snap[ref])\n\t\t\t\treturn false;",
        "if (entry)\n\t\t\t\treturn false;"),
    "stale upper entry after INVLPG": (
        "load.c", "sync_lists(s, root_owner(vc), UNSYNC_UPPER);\n\tbefore", "before"),
    "INVLPG without a flush": (
        "load.c", "s->flush = FLUSH_ADDRESS;", "s->flush = FLUSH_NOTHING;"),
    "PCID mixed up: roots told apart by it alone": (
        "load.c", "\t\tvc->regs.cr3 = r->cr3;\n\t\tset_root(",
        "\t\tu64 changed = vc->regs.cr3 ^ r->cr3;\n\t\tvc->regs.cr3 = r->cr3;\n"
        "\t\tif (!(r->cr4 & X86_CR4_PCIDE) || changed & 0xfff)\n\t\tset_root("),
    "PCID mixed up: part of the root's address": (
        "load.c", "return (cr3 & s->cr3_mask) >> PAGE_SHIFT;",
        "return ((cr3 & s->cr3_mask) >> PAGE_SHIFT) + (cr3 >> 4 & 1);"),
    "CR3 of the same address space does not compare": (
        "load.c", "\tif (!keep || !keep_pcid(s, vc))\n\t\tsync_all(s, vc);\n",
        "\twant_flush_all(s);\n"),
    "load() without a flush": (
        "load.c", "\twant_flush_all(s);\n\t/* Mostly all", "\t/* Mostly all"),
    "bit 63 keeps what was filled while the PCID was not in use": (
        "load.c", "\t\tdrop_if_stale(s, s->recent[n % SHADOW_RECENT]);\n", "\t\t;\n"),
    "bit 63 keeps what INVLPG has named": (
        "load.c", "\t\tinvalidate_entry(s, &s->page[vc->root[0]], vc->flushed[n % SHADOW_FLUSHED]);\n",
        "\t\t;\n"),
    "INVPCID of one address ignored": (
        "load.c", "\tif (gva)\n\t\tnote_flushed(vc, gva->v);\n\telse\n", "\tif (!gva)\n"),
    "INVPCID of one address spares the tables above": (
        "load.c", "\t\t\tif (entry != s->snap[ref]) {\n", "\t\t\tif (false) {\n"),
    "INVPCID of a PCID ignored": (
        "load.c", "\telse\n\t\tlast->known = false;\n\tcount", "\tcount"),
    "PCID mixed up: what is known of another one": (
        "load.c", "last->pcid != pcid || last->gfn !=", "last->gfn !="),
    "PCID kept with another root": (
        "load.c", "|| last->gfn != frame_of(s, vc->regs.cr3) ||", "||"),
    "PCID kept though a cached table was linked": (
        "entry.h", "\ts->filled += SHADOW_RECENT + 1;\n", ""),
    "PCID kept though a link was refreshed": (
        "sync.c", "\tnote_filled(s, ref);\n\twant_flush_all(s);", "\twant_flush_all(s);"),
    "PCID kept past a change of CR4": (
        "load.c", "\tforget_pcids(vc);\n\tsync_all", "\tsync_all"),
    "PCID kept past a flush": (
        "load.c", "\tforget_pcids(&s->vcpu[vcpu]);\n", ""),
    "SMAP's AC ignored": (
        "fault.c", "else if (r->cpl == 3)", "else"),
    "SMAP of implicit accesses ignored": (
        "fault.c", "\telse if (r->cpl == 3)\n\t\taccess |= WALK_IMPLICIT;\n", ""),
    "missing write protection": (
        "sync.c", "__atomic_fetch_and(&s->spt[ref], ~PTE_W, __ATOMIC_SEQ_CST);", ";"),
    "protected table compared before other vcpus know": (
        "sync.c", "\twant_flush_all(s);\n\tflush_now(s);\n", "\twant_flush_all(s);\n"),
    "an entry that other vcpus changed since the walk installed": (
        "fault.c", "if (!sp->role.direct && read_guest_entry(sp, index) != entry) {", "if (false) {"),
    "write protection lost in a new entry": (
        "entry.h", "if (*head & HEAD_PROTECTED)\n\t\tspte &= ~PTE_W;", ""),
    "an emulated write not noticed": (
        "shadow.c", "if (head && *head & HEAD_PROTECTED && !watch_wrote(s, gpa, len))", "if (false)"),
    "quadrant wrong": (
        "link.c", "role.quadrant = index & 1;", "role.quadrant = 0;"),
    "PSE-36 bits dropped": (
        "spte.c", " | (entry >> 13 & 0xff) << 20 |", " |"),
    "freed table still linked": (
        "page.c", "\tspte_drop_list(s, &sp->parents);\n", ""),
    "table of a dead root not compared": (
        "page.c", "\tdisown(s, sp);\n", ""),
    "cached table linked without a comparison": (
        "link.c", "\tunwatch_reached(s);\n\tsync_page(s, sp);\n",
        "\tunwatch_reached(s);\n"),
    "what is below a cached table not compared": (
        "link.c", "if (sp->role.level == 1 || sp->role.direct)\n\t\treturn;\n\tsync_lists",
        "return;\n\tsync_lists"),
    "more rights given to what is stale": (
        "sync.c", "(!leaf && more_rights(s->snap[ref], entry))", "false"),
    "entry dropped without a flush": (
        "entry.h", "\tsp->present--;\n\twant_flush_all(s);\n", "\tsp->present--;\n"),
    "hole not honoured": (
        "shadow.c", "\t\tspte_drop_list(s, head);\n", ""),
    "hole in a large page not honoured": (
        "shadow.c", "\t\tspte_drop_list(s, &region->head);\n", ""),
    "overlay page left behind": (
        "shadow.c", "\tspte_drop_list(s, &s->overlay_head);\n", ""),
    "protection key dropped": (
        "mmu.h", "PTE_NX | SPTE_PKEY_MASK)", "PTE_NX)"),
    "PAT ignored": (
        "mmu.h", "types[(entry >> 3 & 3) | (entry >> 5 & 4)]", "types[0]"),
    "PAT bit of a large page taken for that of a small one": (
        "spte.c", "entry & (large ? SPTE_PAT_LARGE : SPTE_PAT_4K)", "entry & SPTE_PAT_4K"),
    "MTRRs ignored": (
        "frames.c", "region->types = type < 0 ? NULL : s->type_bits[type];",
        "region->types = s->type_bits[MEMTYPE_WB];"),
    "key not folded with CR0.WP=0": (
        "fault.c", "return f->pferr & PFERR_PK ? FOLD_KEY : FOLD_READ_ONLY;",
        "return FOLD_READ_ONLY;"),
    "folded page executable under SMEP": (
        "spte.c", "(role.smep ? PTE_NX : 0)", "0"),
    "frame number in an entry that is not present": (
        "entry.h", "__atomic_store_n(&s->spt[ref], s->unknown, __ATOMIC_RELEASE);",
        "__atomic_store_n(&s->spt[ref], s->spt[ref] & ~PTE_P, __ATOMIC_RELEASE);"),
    "a fault leaves stale entries": (
        "fault.c", "\t\tforget_stale(f);\n", ""),
    "silence: an entry that goes taken for one that is not present": (
        "entry.h", "__atomic_store_n(&s->spt[ref], s->unknown, __ATOMIC_RELEASE);",
        "__atomic_store_n(&s->spt[ref], 0, __ATOMIC_RELEASE);"),
    "silence: a rewritten entry not dropped": (
        "watch.c", "\t\tspte_drop_small(s, ref);\n", "\t\treturn true;\n"),
    "silence: a written entry not looked at": (
        "watch.c", "\tif (!prefetch(s, sp, ref, entry))\n", "\tif (false)\n"),
    "silence: a table that may be written to": (
        "sync.c", "\t\tunwatch(s, sp);\n", ""),
    "silence: a table above that may be written to": (
        "sync.c", "\t\tif (sp->role.level > 1)\n\t\t\tunwatch_all(s);\n", ""),
    "silence: another way to the table": (
        "link.c", "\tunwatch_reached(s);\n\tsync_page", "\tsync_page"),
    "a look at the tables takes large pages for small ones": (
        "load.c", "\tat &= (1ull << level_shift(level)) - 1;\n", "\tat &= PAGE_SIZE - 1;\n"),
    "silence: another root that leads to the table": (
        "link.c", "\tunwatch_reached(s);\n\tsync_lists", "\tsync_lists"),
    "silence: a second parent of a table not seen": (
        "watch.c", "ref && !s->link[ref].next ?", "ref ?"),
    "silence: the error code of a fetch tells of EFER.NXE": (
        "load.c", "lma && ((r->cr4 & X86_CR4_SMEP) || (r->efer & EFER_NX));", "lma;"),
    "silence: no bit is reserved where MAXPHYADDR is 52": (
        "page.c", "s->env.maxphyaddr < 52 ? SPTE_UNKNOWN : 0", "SPTE_UNKNOWN"),
    "a page at the wrong place": (
        "spte.c", "return sp->gfn + index * level_frames(sp->role.level);",
        "return sp->gfn + index * level_frames(1);"),
}


@pytest.fixture(scope="session")
def objects():
    """The oracle and what it needs besides shadow/, compiled by make."""
    subprocess.run(["make", "-s", f"BUILD={BUILD}", BUILD / "oracle/mmu-oracle"], cwd=ROOT,
                   check=True)
    return [path for path in sorted((BUILD / "oracle").rglob("*.o"))
            if path.parent != BUILD / "oracle/shadow"
            and (ROOT / path.relative_to(BUILD / "oracle")).with_suffix(".c").is_file()]


def run(program, operations=OPERATIONS):
    return subprocess.run([program, str(operations), str(SEED)], capture_output=True, text=True,
                          timeout=300)


@pytest.fixture
def planted(tmp_path, objects):
    def build(file, old, new):
        shutil.copytree(ROOT / "shadow", tmp_path / "shadow")
        source = tmp_path / "shadow" / file
        text = source.read_text()
        assert text.count(old) == 1, f"shadow/{file}: {text.count(old)} times: {old}"
        source.write_text(text.replace(old, new))
        subprocess.run([os.environ.get("HOST_CC", "gcc"), "-std=gnu17", "-O1", "-w", "-I",
                        tmp_path, "-I", ROOT / "include", "-I", ROOT, "-o", tmp_path / "mmu-oracle",
                        *sorted((tmp_path / "shadow").glob("*.c")), *objects], check=True)
        return run(tmp_path / "mmu-oracle", ENOUGH)
    return build


@pytest.mark.parametrize("name", PLANTS)
def test_planted_bug_is_found(planted, name):
    done = planted(*PLANTS[name])
    found = re.search(r"oracle: operation (\d+), .*", done.stderr)
    assert done.returncode != 0 and found, f"not found in {ENOUGH} operations"
    print(f"{name}: {found[0]}")


def test_without_a_plant_nothing_is_found(objects):
    done = run(BUILD / "oracle/mmu-oracle")
    assert done.returncode == 0, done.stderr
