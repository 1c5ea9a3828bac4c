# SPDX-License-Identifier: MIT
"""stats.json, as docs/stats-json.md describes it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from .outcome import Run

SCHEMA = 1
EXCEPTION_NMI, CR_ACCESS = 0, 28  # basic exit reasons


def run_entry(run: Run) -> dict:
    entry = {"paging": run.paging, "vcpus": run.vcpus, "memory_mib": run.memory_mib,
             "features": run.features,
             "exits_switched": None if run.features is None else run.exits_switched or [],
             "outcome": run.outcome, "exit_code": run.exit_code,
             "exits_total": 0, "cycles_total": 0, "idle_cycles": None, "ticks": None,
             "pages_written": run.pages_written, "reasons": [], "exceptions": {},
             "cr_accesses": {}, "paging_counters": None}
    if run.block:
        entry.update(exits_total=run.block.exits_total, cycles_total=run.block.cycles_total,
                     idle_cycles=run.block.idle_cycles, ticks=run.block.ticks,
                     reasons=[row | run.block.detail(row) for row in run.block.reasons],
                     exceptions=run.block.breakdown("exceptions", EXCEPTION_NMI),
                     cr_accesses=run.block.breakdown("cr", CR_ACCESS),
                     paging_counters=run.block.counts.get(run.paging))
    return entry


def document(hypervisor: str | None, engine: str, cpu: str, runs: list[Run]) -> dict:
    return {"schema": SCHEMA, "hypervisor": hypervisor, "engine": engine, "cpu": cpu,
            "runs": [run_entry(run) for run in runs]}


def write(path: Path, contents: dict) -> None:
    """Replace the file in one step: a reader sees the old one or the new one, whole."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(contents, indent=1) + "\n")
    draft.replace(path)
