/* SPDX-License-Identifier: MIT */
/*
 * The local APIC of one vcpu (SDM volume 3, chapter 11 "Advanced Programmable Interrupt
 * Controller (APIC)"): xAPIC and x2APIC, the timer in its three modes, IPIs, priorities.
 *
 * The registers live in a 4 KiB page in the architectural layout: it may serve as the processor's
 * virtual-APIC page (chapter 30 "APIC Virtualization and Virtual Interrupts"). What the structure
 * below keeps beside it is either not a register of that page (MSRs, the timer's phase, the pins)
 * or a cache named as such. Where the processor uses the page,
 * the TPR in it is the processor's to change; with virtual-interrupt delivery IRR and ISR are, too.
 *
 * Policies, where the SDM leaves a choice:
 * - The page of registers may be anywhere below MAXPHYADDR, over memory or another device, too:
 *   for its own processor it covers what is there (lapic_base()). The BSP bit of IA32_APIC_BASE
 *   reads back what it was; writing it is ignored.
 * - Clearing IA32_APIC_BASE.EN, and setting it again, gives the power-up state.
 * - The APIC ID is read-only in xAPIC mode too, as on processors that lock it.
 * - An IPI is always edge-triggered and asserted; only INIT level de-assert looks at the ICR's
 *   level and trigger bits, and does nothing. Self and all-including-self shorthands with NMI,
 *   INIT or SIPI, which the SDM calls invalid, are delivered like any other. SMIs go nowhere:
 *   there is no SMM.
 * - ExtINT messages are ignored: the 8259 pair is wired to LINT0 (lapic_accepts_extint()).
 *
 * A LAPIC has no lock: whoever shares it between host CPUs serializes the calls.
 */
#ifndef TV_LAPIC_H
#define TV_LAPIC_H

#include "device.h"
#include "types.h"

#define LAPIC_DEFAULT_BASE 0xfee00000ull

/** So many registers of 16 bytes has a local APIC. */
#define LAPIC_KEPT 64

enum apic_delivery {
	APIC_FIXED = 0,
	APIC_LOWEST = 1,
	APIC_SMI = 2,
	APIC_NMI = 4,
	APIC_INIT = 5,
	APIC_SIPI = 6,
	APIC_EXTINT = 7,
};

/** An interrupt message: from an IOAPIC pin, an MSI, or another local APIC's ICR. */
struct apic_msg {
	u32 dest;     /* APIC id, or logical destination */
	bool logical; /* destination mode */
	u8 mode;      /* enum apic_delivery */
	u8 vector;
	bool level;   /* trigger mode: true level, false edge */
	bool assert;  /* false: de-assert, which does nothing */
	u8 shorthand; /* 0 none, 1 self, 2 all including self, 3 all excluding self */
};

struct lapic;

/** What a local APIC needs from the machine around it. */
struct lapic_ops {
	/** Send an IPI that this LAPIC's ICR or self-IPI register asked for. The machine calls
	 *  lapic_accept() on every LAPIC that lapic_matches(), or on lapic_lowest() alone. */
	void (*send_ipi)(void *ctx, struct lapic *from, const struct apic_msg *msg);
	/** A level-triggered vector was EOIed: tell the IOAPICs. */
	void (*eoi_broadcast)(void *ctx, u8 vector);
	void *ctx;
};

struct lapic {
	u32 id; /* initial APIC id = x2APIC id */
	bool bsp;
	bool has_x2apic;       /* as CPUID says; true after lapic_init() */
	bool has_tsc_deadline; /* the same */
	u8 maxphyaddr;	       /* the same; 36 after lapic_init() */
	u64 apic_base;	       /* IA32_APIC_BASE */
	u8 *page;	       /* 4 KiB, caller's: registers at their xAPIC offsets */
	bool virtual_delivery; /* the processor changes IRR and ISR: the caches are not used */
	bool tmr_changed;      /* since whoever needs to know set it to false */
	s16 max_irr, max_isr;  /* caches: highest bit set in IRR and in ISR, -1: none */
	/* Registers as they were last written here, by offset / 16, for lapic_written(). */
	u32 kept[LAPIC_KEPT];
	u64 tsc_deadline; /* IA32_TSC_DEADLINE, 0: disarmed */
	/* The running timer. Mode, period and divider are kept apart from the page: a processor
	 * that virtualizes register writes changes the page before it tells us. */
	u32 timer_mode;	  /* bits 18:17 of the timer's LVT entry */
	u8 timer_shift;	  /* log2 of the divider */
	u64 timer_period; /* undivided ticks of a full count */
	u64 timer_start;  /* guest TSC from which the count is reckoned */
	u64 timer_expiry; /* next expiry in undivided ticks after timer_start */
	u64 timer_due;	  /* guest TSC of the next expiry, NEVER: not armed */
	u32 esr_pending;  /* errors noted since the ESR was last written */
	bool nmi_pending, init_pending, sipi_pending; /* the processor's: it clears them */
	u8 sipi_vector;
	bool extint_pin; /* level of LINT0 as the 8259 drives it */
	bool lint1_pin;
	const struct gclock *clock;
	const struct lapic_ops *ops;
};

/** Rate of the timer before its divider. */
#define LAPIC_BUS_HZ 100000000ull

/** A periodic timer faster than this, in undivided ticks (200 us, as KVM has it), loses ticks but
 *  keeps its phase: else a guest could ask for more interrupts than there is time to deliver. One
 *  with its EOI takes some 50 us where the local APIC's page is emulated. */
#define LAPIC_MIN_PERIOD 20000ull

/** Power-up state. `page` is 4 KiB, aligned, and outlives the LAPIC, as `clock` and `ops` do;
 *  clock->tsc_hz is not 0. SDM volume 3, section 11.4.7.1 "Local APIC State After Power-Up or
 *  Reset". */
void lapic_init(struct lapic *l, u32 id, bool bsp, u8 *page, const struct gclock *clock,
		const struct lapic_ops *ops);

/** What an INIT does to the LAPIC: power-up values, but the mode (xAPIC or x2APIC) stays, and so do
 *  the pending flags, which are the processor's. Section 11.4.7.3 "Local APIC State After an INIT
 *  Reset (Wait-for-SIPI State)". */
void lapic_init_reset(struct lapic *l);

/** The state in which a PC's firmware leaves the BSP: enabled, LINT0 ExtINT, LINT1 NMI
 *  (MultiProcessor Specification 1.4, section 3.6.2.2 "Virtual Wire Mode"). For guests started
 *  without firmware that then use the 8259 pair. */
void lapic_virtual_wire(struct lapic *l);

/** xAPIC register access; offset 0-0xfff from the APIC base. Writes count as 32-bit accesses at
 *  multiples of 16 only; reads may also fetch 1, 2 or 4 bytes that lie within such a register.
 *  Other accesses, undefined by section 11.4.1 "The Local APIC Block Diagram", read 0 and write
 *  nothing. Outside xAPIC mode nothing is there: reads give all-ones. */
u64 lapic_mmio_read(void *l, u64 offset, unsigned size);
void lapic_mmio_write(void *l, u64 offset, unsigned size, u64 value);

/** The processor has written the guest's value to the register at `offset` (0-0x3ff) of the page,
 * as APIC-register virtualization does: let the write have its effect, checks and all.
 * Section 30.4.3.3 "APIC-Write VM Exits". */
void lapic_written(struct lapic *l, u32 offset);

/** The processor has virtualized an EOI of `vector`: the rest of what an EOI does. Section 30.1.4
 *  "EOI Virtualization". */
void lapic_eoi_virtualized(struct lapic *l, u8 vector);

/** MSRs 0x1b (IA32_APIC_BASE), 0x6e0 (IA32_TSC_DEADLINE) and 0x800-0x8ff (x2APIC).
 *  False: the access must raise #GP(0), and nothing has changed. */
bool lapic_msr_read(struct lapic *l, u32 msr, u64 *value);
bool lapic_msr_write(struct lapic *l, u32 msr, u64 value);

/** Is this LAPIC a destination of `msg` sent by `from` (NULL: not from a LAPIC)? A broadcast is
 *  0xff or, from a LAPIC in x2APIC mode, 0xffffffff. Section 11.6.2 "Determining IPI Destination".
 *  Lowest-priority arbitration is lapic_lowest()'s. */
bool lapic_matches(const struct lapic *l, const struct lapic *from, const struct apic_msg *msg);

/** Of the `nr` LAPICs in `set`, the one that a lowest-priority message goes to: it matches, is
 *  software-enabled, and has the lowest processor priority; equals take turns by vector. NULL:
 *  none. Section 11.6.2.4 "Lowest Priority Delivery Mode". */
struct lapic *lapic_lowest(struct lapic *set, unsigned nr, const struct lapic *from,
			   const struct apic_msg *msg);

/** Take a message in: sets IRR, or the pending NMI/INIT/SIPI flag. A fixed interrupt is dropped
 *  while the APIC is software-disabled; an INIT supersedes an older SIPI. */
void lapic_accept(struct lapic *l, const struct apic_msg *msg);

/** Drive LINT0 or LINT1 (`pin` 0 or 1; others are ignored); `level` is the asserted state, whatever
 *  the LVT's polarity bit says. ExtINT is not latched here: see lapic_accepts_extint(). */
void lapic_set_lint(struct lapic *l, unsigned pin, bool level);

/** The highest vector that may be delivered now (IRR above the processor priority), or -1. Vectors
 *  pending when the APIC gets software-disabled stay pending (section 11.4.7.2 "Local APIC State
 *  After It Has Been Software Disabled"). */
int lapic_pending(const struct lapic *l);

/** The highest vector in IRR and in ISR, deliverable or not, or -1. */
int lapic_highest_irr(const struct lapic *l);
int lapic_highest_isr(const struct lapic *l);

/** Were bits `32 * word` and up of the TMR set on acceptance? (For the EOI-exit bitmap; `word`
 * < 8.) */
u32 lapic_tmr(const struct lapic *l, unsigned word);

/** The processor took `vector`: IRR to ISR. */
void lapic_ack(struct lapic *l, u8 vector);

/** The processor-priority register. Section 11.8.3.1 "Task and Processor Priorities". */
u8 lapic_ppr(const struct lapic *l);

/** True where LINT0 is unmasked ExtINT (or the APIC is globally disabled) so that the 8259's
 *  output reaches the processor. */
bool lapic_accepts_extint(const struct lapic *l);

/** True where LINT0 delivers NMIs, and is unmasked. */
bool lapic_lint0_is_nmi(const struct lapic *l);

/** TPR through CR8 (bits 7:4 of the TPR). Works with the APIC globally disabled, too. Section
 *  11.8.6 "Task Priority in IA-32e Mode". */
u64 lapic_get_cr8(const struct lapic *l);
void lapic_set_cr8(struct lapic *l, u64 cr8);

/** Guest TSC of the next timer expiry that interrupts, or NEVER; fire what is due at `now`. */
u64 lapic_next_deadline(const struct lapic *l);
void lapic_advance(struct lapic *l, u64 now);

static inline bool lapic_x2apic(const struct lapic *l)
{
	return (l->apic_base & 0xc00) == 0xc00;
}

/** Where the registers are in xAPIC mode, guest-physical. */
static inline u64 lapic_base(const struct lapic *l)
{
	return l->apic_base & PAGE_MASK;
}

static inline bool lapic_enabled(const struct lapic *l)
{
	return l->apic_base & 0x800;
}

/** xAPIC mode: the registers are in memory. */
static inline bool lapic_xapic(const struct lapic *l)
{
	return lapic_enabled(l) && !lapic_x2apic(l);
}

#endif
