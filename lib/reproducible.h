/* SPDX-License-Identifier: MIT */
/*
 * reproducible=1: what the hypervisor brings into a guest from outside is fixed, so that two runs
 * of one guest differ only by what the machine itself does differently (docs/options.md). The
 * random-number instructions go by CPUID (struct cpuid_policy, hide_rdrand) and their controls;
 * here is the rest.
 */
#ifndef TV_REPRODUCIBLE_H
#define TV_REPRODUCIBLE_H

#include "types.h"

/** The real-time clock at the guest's first instruction: 2026-01-01 00:00:00 UTC. */
#define REPRODUCIBLE_EPOCH 1767225600ull

/** For Linux: no randomization of the kernel's place in memory, nor of a process's. */
#define REPRODUCIBLE_WORDS "nokaslr norandmaps"

/** A measured clock rate without what varies from one measurement to the next: whole MHz. */
u64 reproducible_hz(u64 hz);

/**
 * Put `words` and a blank in front of a command line in place. In front, because what follows a
 * `--` on it is for Linux's first process and not for Linux.
 *
 * @line, @size  the buffer, a terminated string in it
 * False, and nothing changed: there is no room.
 */
bool cmdline_prepend(char *line, size_t size, const char *words);

#endif
