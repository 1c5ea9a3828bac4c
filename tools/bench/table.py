# SPDX-License-Identifier: MIT
"""The printed comparison: one table for each hypervisor mode, with KVM's figures beside, and an
explanation of every phase that is slower than it should be."""

from __future__ import annotations

from .results import Figures, Phase

# More than this above the bare machine is explained.
TOLERANCE = 0.02

TITLES = {
    "boot": "boot to user space", "shell": "shell fork+exec x200", "fork": "fork+wait x200",
    "mmap": "mmap+touch 16 MiB x2", "dd": "dd 16 MiB into tmpfs", "ls": "ls -lR /proc /sys",
    "pipe": "pipe ping-pong x1000", "mprotect": "mprotect x1000 (2 each)",
    "getppid": "getppid x20000", "compute": "compute",
}

HEADER = (f"{'phase':24} {'bare':>8} {'%s':>8} {'ratio':>6} {'exits':>7} {'in exits':>8}   "
          f"{'KVM':>8} {'ratio':>6} {'exits':>7}")


def _millions(ticks: int) -> str:
    return f"{ticks / 1e6:.2f}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f}%" if whole else "-"


def _kvm_columns(kvm: dict, name: str, mode: str) -> str:
    row = kvm["phases"].get(name, {})
    if mode not in row:
        return ""
    ticks, exits = row[mode]["ticks"], row[mode]["exits"]
    return f"   {ticks:8.1f} {ticks / row['bare']:6.3f} {exits:7}"


def by_reason(phase: Phase) -> str:
    """Reasons with their counts and ticks per exit, those that cost most first."""
    ordered = sorted(phase.reasons.items(), key=lambda item: -item[1].cycles)
    return ", ".join(f"{name} {reason.count} x {reason.cycles // reason.count}"
                     for name, reason in ordered)


def rows(bare: Figures, other: Figures, mode: str, kvm: dict | None) -> list[str]:
    """
    mode  the word for PAGING= that `other` ran with
    kvm   kvm.json, where its figures are comparable; else None
    """
    lines = [(HEADER % mode if kvm else (HEADER % mode).split("   " + f"{'KVM':>8}")[0]).rstrip()]
    for name, phase in other.phases.items():
        base = bare.phases[name].ticks
        line = (f"{TITLES.get(name, name):24} {_millions(base):>8} {_millions(phase.ticks):>8} "
                f"{phase.ticks / base:6.3f} {phase.exits:7} {_percent(phase.cycles, base):>8}")
        lines.append(line + (_kvm_columns(kvm, name, mode) if kvm else ""))
    return lines


def side_by_side(bare: Figures, modes: dict[str, Figures]) -> list[str]:
    """Bare and every mode in one table."""
    lines = ["", "Million ticks by the guest's clock, ratio to bare, and exits", "",
             f"{'phase':24} {'bare':>8}"
             + "".join(f"  {mode:>8} {'ratio':>6} {'exits':>7}" for mode in modes)]
    for name, phase in bare.phases.items():
        line = f"{TITLES.get(name, name):24} {_millions(phase.ticks):>8}"
        for other in modes.values():
            there = other.phases[name]
            line += (f"  {_millions(there.ticks):>8} {there.ticks / phase.ticks:6.3f} "
                     f"{there.exits:7}")
        lines.append(line)
    total = sum(phase.ticks for phase in bare.phases.values())
    line = f"{'all of these':24} {_millions(total):>8}"
    for other in modes.values():
        ticks = sum(phase.ticks for phase in other.phases.values())
        exits = sum(phase.exits for phase in other.phases.values())
        line += f"  {_millions(ticks):>8} {ticks / total:6.3f} {exits:7}"
    return lines + [line]


def slow(bare: Figures, other: Figures) -> list[str]:
    """One sentence for each phase beyond the tolerance: where its ticks went."""
    lines = []
    for name, phase in other.phases.items():
        extra = phase.ticks - bare.phases[name].ticks
        if extra <= TOLERANCE * bare.phases[name].ticks:
            continue
        rest = extra - phase.cycles
        lines.append(f"{TITLES.get(name, name)}: {_millions(extra)} more than bare; "
                     f"{_millions(phase.cycles)} in exits, {_millions(rest)} besides "
                     f"({rest // phase.exits if phase.exits else rest} an exit): "
                     f"{by_reason(phase)}")
    return lines


def report(bare: Figures, other: Figures, mode: str, whole_run: dict,
           kvm: dict | None) -> list[str]:
    """All that is said of one mode.

    whole_run  the run's entry in stats.json
    """
    lines = ["", f"Million ticks, bare and PAGING={mode}; \"in exits\": the hypervisor's own ticks "
             "against bare", ""]
    lines += rows(bare, other, mode, kvm)
    lines += ["", "Exits by reason, and ticks for each:"]
    lines += [f"  {name}: {by_reason(phase) or 'none'}" for name, phase in other.phases.items()]
    lines += ["", f"Whole run: {whole_run['exits_total']} exits"
              + (f" (KVM {kvm['exits'][mode]})" if kvm and mode in kvm["exits"] else "")
              + f", {_millions(whole_run['cycles_total'])} million ticks in them: "
              + ", ".join(f"{row['name']} {row['count']}" for row in whole_run["reasons"]),
              f"A CPUID, instruction to instruction: {other.cpuid_least} ticks at least, "
              f"{other.cpuid_mean} on average (bare {bare.cpuid_least})"]
    explained = slow(bare, other)
    limit = f"{100 * TOLERANCE:.0f} % above bare"
    lines += ["", f"Phases more than {limit}:" if explained else f"No phase is more than {limit}."]
    return lines + ["  " + line for line in explained]
