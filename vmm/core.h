/* SPDX-License-Identifier: MIT */
/*
 * The one mutable object of the core at file scope: everything the hypervisor knows of the
 * physical machine. Guests live in struct machine.
 */
#ifndef TV_CORE_H
#define TV_CORE_H

#include "boot_info.h"
#include "console.h"
#include "cpu.h"
#include "heap.h"
#include "lib/mtrrs.h"
#include "types.h"
#include "version.h"
#include "vmx/caps.h"

/** Every line of the hypervisor's on the console begins so; tools look for it. */
#define LOG_PREFIX "tallyvisor: "

struct machine;

struct core {
	struct boot_info *boot;
	struct console console;
	struct heap heap;
	struct cpu cpu; /* the boot processor's block; others join it when guests get more vcpus */
	struct vmx_caps caps;
	struct mtrrs mtrrs;
	u64 tsc_hz;
	u64 direct_base; /* added to a host-physical address; 0 until the core's own tables run */
	bool on_bochs;
	bool panicking;
	struct machine *machine; /* the one that runs, for the panic screen */
};

extern struct core core;

/** The core's pointer to physical memory. MMIO must have been mapped by mmio_map(). */
static inline void *phys_ptr(hpa_t hpa)
{
	return (void *)(hpa.v + core.direct_base);
}

/** The physical address of an object in the core's image (data, bss, stacks). */
static inline hpa_t image_phys(const void *p)
{
	return HPA((u64)p - CORE_BASE + core.boot->core.hpa);
}

#endif
