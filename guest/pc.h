/* SPDX-License-Identifier: MIT */
/*
 * The whole PC that a guest sees: the devices, their wiring, guest memory, and the firmware tables.
 * One struct pc is one machine; nothing here is global, and nothing here is privileged.
 */
#ifndef TV_PC_H
#define TV_PC_H

#include "device.h"
#include "gmem.h"
#include "ioapic.h"
#include "lapic.h"
#include "pic.h"
#include "pit.h"
#include "pm.h"
#include "rtc.h"
#include "testdev.h"
#include "types.h"
#include "uart.h"

#define PC_MAX_VCPUS 8
#define PC_IOAPIC_ID PC_MAX_VCPUS /* no local APIC has it */

/** The extended BIOS data area: from here to 1 MiB the e820 map reserves what is RAM underneath. */
#define PC_EBDA 0x9fc00ull

/** RAM below 4 GiB ends here at the latest; the rest continues at 4 GiB. */
#define PC_LOW_RAM_MAX 0xc0000000ull

/** The page directory of the identity map on which a guest with paging off runs where the processor
 *  needs one (vmx/guest_cr.h): below 4 GiB, where firmware would be. Reserved in any case. */
#define PC_IDENTITY_MAP 0xfffbc000ull

struct pc_config {
	unsigned nr_vcpus;
	u64 epoch;		      /* real-time clock, seconds since 1970 */
	u8 *lapic_page[PC_MAX_VCPUS]; /* 4 KiB each */
	void (*console_tx)(void *ctx, u8 byte);
	void *console_ctx;
	/** A LAPIC got something to deliver (vector, ExtINT, NMI, INIT, SIPI): wake or kick that
	 *  vcpu. Called from within any access or pc_advance(), also for the vcpu that made it. */
	void (*kick)(void *ctx, unsigned vcpu);
	void *kick_ctx;
};

struct pc {
	struct gmem mem;
	struct bus pio, mmio; /* the local APIC is not on the MMIO bus: pc_mmio_*() adds it */
	struct gclock clock;
	unsigned nr_vcpus;
	struct lapic lapic[PC_MAX_VCPUS];
	struct ioapic ioapic;
	struct pic pic;
	struct pit pit;
	struct rtc rtc;
	struct pm pm;
	struct uart com1;
	struct testdev testdev;
	struct lapic_ops lapic_ops;
	struct irq_sink irq; /* pc_irq_set(): to the PIC and the IOAPIC; ISA IRQ 0 is GSI 2 */
	struct pc_config cfg;
	u64 unclaimed_pio, unclaimed_mmio; /* accesses nobody answered */
};

/** Build the devices and claim their ranges, and leave the machine as firmware does: BSP in virtual
 *  wire mode, the SCI level-triggered in the ELCR, COM1 at 115200 8n1. pc->mem must be filled in
 *  before; `clock` and `cfg` are copied; `pc` must stay where it is. cfg->nr_vcpus is 1 to
 *  PC_MAX_VCPUS; vcpu 0 is the BSP, and the APIC id of each is its number. */
void pc_init(struct pc *pc, const struct pc_config *cfg, const struct gclock *clock);

/** Port I/O and MMIO as vcpu `vcpu` does it; `size` is 1, 2, 4 or (MMIO) 8. Unclaimed reads give
 *  all-ones. After each, pc->pm.request says whether the guest asked for its end. */
u64 pc_pio_read(struct pc *pc, unsigned vcpu, u16 port, unsigned size);
void pc_pio_write(struct pc *pc, unsigned vcpu, u16 port, unsigned size, u64 value);
u64 pc_mmio_read(struct pc *pc, unsigned vcpu, gpa_t gpa, unsigned size);
void pc_mmio_write(struct pc *pc, unsigned vcpu, gpa_t gpa, unsigned size, u64 value);

/** True where `gpa` belongs to a device (or the LAPIC of `vcpu`). */
bool pc_is_mmio(const struct pc *pc, unsigned vcpu, gpa_t gpa);

/** Drive an interrupt line by GSI: 2 is ISA IRQ 0, 1 and 3-15 are the ISA IRQs, and all are the I/O
 *  APIC's pins. GSI 0 has nothing on it. */
void pc_irq_set(void *pc, unsigned gsi, bool level);

/** Earliest moment (guest TSC) at which some device has something to do, or NEVER; do it. */
u64 pc_next_deadline(const struct pc *pc);
void pc_advance(struct pc *pc, u64 now);

/** Can a device send an NMI to `vcpu`, as guests arrange it for their watchdogs: by a pin of the
 * I/O APIC, or the 8259 pair by LINT0? */
bool pc_nmi_wired(const struct pc *pc, unsigned vcpu);

/** What pc_pending_irq() says where the 8259 pair interrupts: its vector is not known before the
 *  acknowledge. */
#define PC_IRQ_EXTINT 256

/** The interrupt that vcpu could take now: a vector of its LAPIC, else PC_IRQ_EXTINT, else -1; and
 *  taking it (pc_ack_irq acknowledges the LAPIC or the 8259 pair, and returns the vector actually
 *  delivered). Only the BSP is wired to the 8259s. */
int pc_pending_irq(const struct pc *pc, unsigned vcpu);
u8 pc_ack_irq(struct pc *pc, unsigned vcpu);

/** The same of the 8259 pair alone, where the processor itself delivers what the LAPIC has. */
bool pc_extint_pending(const struct pc *pc, unsigned vcpu);
u8 pc_ack_extint(struct pc *pc);

/** Lay out guest RAM over `nr` host chunks (their gpa is ignored) in an empty `gm`: below
 *  PC_LOW_RAM_MAX from 0, the rest from 4 GiB. Every piece has gpa = hpa modulo 2 MiB (what of a
 *  chunk is no whole 2 MiB page of the host is left out), and where the chunk that crosses the
 *  limit has 1 GiB or more to spare, its part at 4 GiB has gpa = hpa modulo 1 GiB. Returns bytes
 *  placed. */
u64 pc_place_memory(struct gmem *gm, const struct gmem_slot *chunks, unsigned nr);

/** RAM that begins at 0, without a gap, up to PC_LOW_RAM_MAX at most: bytes. */
u64 pc_low_ram(const struct gmem *gm);

/** Write the ACPI tables (RSDP, RSDT, XSDT, FADT, FACS, DSDT, MADT) into guest memory at 0xe0000.
 *  Returns the RSDP's address, or 0 where the memory is not there or there are too many vcpus. */
u64 acpi_build(const struct gmem *gm, unsigned nr_vcpus);

/** Write the MP table (Intel MultiProcessor Specification 1.4) into guest memory at 0x9fc00, which
 *  the e820 map reserves, and a second pointer to it at address 0. `signature` and `features` are
 *  EAX and EDX of the guest's CPUID leaf 1. False where the memory is not there or there are too
 *  many vcpus. */
bool mptable_build(const struct gmem *gm, unsigned nr_vcpus, u32 signature, u32 features);

/** The e820 map: returns the number of entries written (at most `max`). */
struct e820_entry {
	u64 addr, size;
	u32 type; /* 1 RAM, 2 reserved, 3 ACPI */
} __attribute__((packed));
unsigned e820_build(const struct gmem *gm, struct e820_entry *e, unsigned max);

#endif
