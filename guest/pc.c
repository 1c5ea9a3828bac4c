/* SPDX-License-Identifier: MIT */
/*
 * The wiring of the PC: who answers at which port and address, how interrupts travel from devices
 * through the 8259 pair and the I/O APIC to the local APICs, and who is next to be served when
 * time passes.
 */
#include "pc.h"

/*
 * Interrupts. Everything that reaches a LAPIC goes through here, so that its vcpu gets kicked.
 */

static bool extint_pending(const struct lapic *l)
{
	return l->extint_pin && lapic_accepts_extint(l);
}

static void kick_if_needed(struct pc *pc, unsigned vcpu)
{
	const struct lapic *l = &pc->lapic[vcpu];

	/* Not only what can be delivered now: the processor may have to be told of what waits. */
	if (l->nmi_pending || l->init_pending || l->sipi_pending || extint_pending(l) ||
	    lapic_highest_irr(l) >= 0)
		pc->cfg.kick(pc->cfg.kick_ctx, vcpu);
}

static void accept(struct pc *pc, struct lapic *l, const struct apic_msg *msg)
{
	lapic_accept(l, msg);
	kick_if_needed(pc, l - pc->lapic);
}

static void send_ipi(void *ctx, struct lapic *from, const struct apic_msg *msg)
{
	struct pc *pc = ctx;

	if (msg->mode == APIC_LOWEST) {
		struct lapic *l = lapic_lowest(pc->lapic, pc->nr_vcpus, from, msg);

		if (l)
			accept(pc, l, msg);
		return;
	}
	for (unsigned i = 0; i < pc->nr_vcpus; i++) {
		if (lapic_matches(&pc->lapic[i], from, msg))
			accept(pc, &pc->lapic[i], msg);
	}
}

static void ioapic_deliver(void *ctx, const struct apic_msg *msg)
{
	send_ipi(ctx, NULL, msg);
}

static void eoi_broadcast(void *ctx, u8 vector)
{
	struct pc *pc = ctx;

	ioapic_eoi(&pc->ioapic, vector);
}

/** INTR of the master 8259 is LINT0 of the BSP. Call after whatever may have changed it. */
static void update_intr(struct pc *pc)
{
	bool intr = pic_intr(&pc->pic);

	if (intr == pc->lapic[0].extint_pin)
		return;
	lapic_set_lint(&pc->lapic[0], 0, intr);
	if (intr)
		kick_if_needed(pc, 0);
}

void pc_irq_set(void *ctx, unsigned gsi, bool level)
{
	struct pc *pc = ctx;

	if (!gsi)
		return;
	if (gsi < 16) {
		pic_set(&pc->pic, gsi == PIT_GSI ? 0 : gsi, level);
		update_intr(pc);
	}
	ioapic_set(&pc->ioapic, gsi, level);
}

int pc_pending_irq(const struct pc *pc, unsigned vcpu)
{
	const struct lapic *l = &pc->lapic[vcpu];
	int vector = lapic_pending(l);

	if (vector >= 0)
		return vector;
	return extint_pending(l) ? PC_IRQ_EXTINT : -1;
}

u8 pc_ack_irq(struct pc *pc, unsigned vcpu)
{
	struct lapic *l = &pc->lapic[vcpu];
	int vector = lapic_pending(l);

	if (vector >= 0) {
		lapic_ack(l, vector);
		return vector;
	}
	return pc_ack_extint(pc);
}

bool pc_extint_pending(const struct pc *pc, unsigned vcpu)
{
	return extint_pending(&pc->lapic[vcpu]);
}

u8 pc_ack_extint(struct pc *pc)
{
	u8 vector = pic_ack(&pc->pic);

	update_intr(pc);
	return vector;
}

bool pc_nmi_wired(const struct pc *pc, unsigned vcpu)
{
	return ioapic_sends_nmi(&pc->ioapic) || (vcpu == 0 && lapic_lint0_is_nmi(&pc->lapic[0]));
}

/*
 * Ports and addresses. The 8259s' handlers look at INTR afterwards; reading changes it, too, by the
 * poll command.
 */

static u64 pic_port_read(struct pc *pc, u64 (*read)(void *, u64, unsigned), u64 offset,
			 unsigned size)
{
	u64 v = read(&pc->pic, offset, size);

	update_intr(pc);
	return v;
}

static void pic_port_write(struct pc *pc, void (*write)(void *, u64, unsigned, u64), u64 offset,
			   unsigned size, u64 value)
{
	write(&pc->pic, offset, size, value);
	update_intr(pc);
}

static u64 master_read(void *pc, u64 offset, unsigned size)
{
	return pic_port_read(pc, pic_master_read, offset, size);
}

static void master_write(void *pc, u64 offset, unsigned size, u64 value)
{
	pic_port_write(pc, pic_master_write, offset, size, value);
}

static u64 slave_read(void *pc, u64 offset, unsigned size)
{
	return pic_port_read(pc, pic_slave_read, offset, size);
}

static void slave_write(void *pc, u64 offset, unsigned size, u64 value)
{
	pic_port_write(pc, pic_slave_write, offset, size, value);
}

static u64 elcr_read(void *pc, u64 offset, unsigned size)
{
	return pic_port_read(pc, pic_elcr_read, offset, size);
}

static void elcr_write(void *pc, u64 offset, unsigned size, u64 value)
{
	pic_port_write(pc, pic_elcr_write, offset, size, value);
}

/** 0xcf8-0xcff: the PCI configuration ports of a machine without PCI, and among them, for accesses
 *  of one byte only, the reset control register. */
#define PCI_PORTS 0xcf8
#define PCI_PORTS_LEN 8
#define CF9_OFFSET (PM_RESET_PORT - PCI_PORTS)

static u64 pci_read(void *dev, u64 offset, unsigned size)
{
	struct pc *pc = dev;

	return offset == CF9_OFFSET && size == 1 ? pm_cf9_read(&pc->pm, 0, 1) : ~0ull;
}

static void pci_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct pc *pc = dev;

	if (offset == CF9_OFFSET && size == 1)
		pm_cf9_write(&pc->pm, 0, 1, value);
}

/** Ports that are written for the delay only (0x80, POST codes; 0xed). */
static u64 delay_read(void *dev, u64 offset, unsigned size)
{
	(void)dev;
	(void)offset;
	(void)size;
	return ~0ull;
}

static void delay_write(void *dev, u64 offset, unsigned size, u64 value)
{
	(void)dev;
	(void)offset;
	(void)size;
	(void)value;
}

static void claim_ranges(struct pc *pc)
{
	const struct bus_range pio[] = {
		{"pic", 0x20, 2, pc, master_read, master_write, 1},
		{"pit", 0x40, 4, &pc->pit, pit_read, pit_write, 1},
		{"keyboard data", 0x60, 1, &pc->pm, pm_kbd_read, pm_kbd_data, 1},
		{"port 61", 0x61, 1, &pc->pit, pit_port61_read, pit_port61_write, 1},
		{"keyboard command", 0x64, 1, &pc->pm, pm_kbd_read, pm_kbd_command, 1},
		{"rtc", 0x70, 2, &pc->rtc, rtc_read, rtc_write, 1},
		{"post", 0x80, 1, pc, delay_read, delay_write, 1},
		{"port 92", PM_PORT92, 1, &pc->pm, pm_port92_read, pm_port92_write, 1},
		{"pic2", 0xa0, 2, pc, slave_read, slave_write, 1},
		{"delay", 0xed, 1, pc, delay_read, delay_write, 1},
		{"debug exit", PM_DEBUG_EXIT_PORT, PM_DEBUG_EXIT_LEN, &pc->pm, pm_debug_exit_read,
		 pm_debug_exit_write, 4},
		{"com1", 0x3f8, 8, &pc->com1, uart_read, uart_write, 1},
		{"elcr", 0x4d0, 2, pc, elcr_read, elcr_write, 1},
		{"pm", PM_BASE, PM_LEN, &pc->pm, pm_read, pm_write, 4},
		{"test irqs", TESTDEV_IRQ_PORTS, TESTDEV_IRQ_LINES, &pc->testdev, testdev_irq_read,
		 testdev_irq_write, 4},
		{"test port", TESTDEV_IO_PORTS, TESTDEV_IO_LEN, &pc->testdev, testdev_io_read,
		 testdev_io_write, 4},
		{"pci", PCI_PORTS, PCI_PORTS_LEN, pc, pci_read, pci_write, 4},
	};
	const struct bus_range mmio = {
		"ioapic",	  IOAPIC_BASE,	     IOAPIC_LEN, &pc->ioapic,
		ioapic_mmio_read, ioapic_mmio_write, 0,
	};

	pc->pio.nr = 0;
	pc->mmio.nr = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(pio); i++)
		bus_claim(&pc->pio, &pio[i]);
	bus_claim(&pc->mmio, &mmio);
}

u64 pc_pio_read(struct pc *pc, unsigned vcpu, u16 port, unsigned size)
{
	u64 v;

	(void)vcpu;
	if (!bus_read(&pc->pio, port, size, &v))
		pc->unclaimed_pio++;
	return v;
}

void pc_pio_write(struct pc *pc, unsigned vcpu, u16 port, unsigned size, u64 value)
{
	(void)vcpu;
	if (!bus_write(&pc->pio, port, size, value))
		pc->unclaimed_pio++;
}

/** Does the whole access go to the vcpu's own LAPIC? In x2APIC mode there is nothing at its page.
 */
static bool lapic_decodes(const struct lapic *l, u64 gpa, unsigned size, u64 *offset)
{
	*offset = gpa - lapic_base(l);
	return lapic_xapic(l) && *offset < PAGE_SIZE && size <= PAGE_SIZE - *offset;
}

u64 pc_mmio_read(struct pc *pc, unsigned vcpu, gpa_t gpa, unsigned size)
{
	u64 v, offset;

	if (lapic_decodes(&pc->lapic[vcpu], gpa.v, size, &offset))
		return lapic_mmio_read(&pc->lapic[vcpu], offset, size);
	if (!bus_read(&pc->mmio, gpa.v, size, &v))
		pc->unclaimed_mmio++;
	return v;
}

void pc_mmio_write(struct pc *pc, unsigned vcpu, gpa_t gpa, unsigned size, u64 value)
{
	u64 offset;

	if (lapic_decodes(&pc->lapic[vcpu], gpa.v, size, &offset))
		lapic_mmio_write(&pc->lapic[vcpu], offset, size, value);
	else if (!bus_write(&pc->mmio, gpa.v, size, value))
		pc->unclaimed_mmio++;
}

bool pc_is_mmio(const struct pc *pc, unsigned vcpu, gpa_t gpa)
{
	u64 offset;

	return lapic_decodes(&pc->lapic[vcpu], gpa.v, 1, &offset) || bus_find(&pc->mmio, gpa.v, 1);
}

/*
 * Time.
 */

/** What waits for a moment: three devices, then the LAPICs. */
enum { SOURCE_PIT, SOURCE_RTC, SOURCE_PM, SOURCE_LAPIC, NR_SOURCES = SOURCE_LAPIC + PC_MAX_VCPUS };

static void deadlines(const struct pc *pc, u64 due[NR_SOURCES])
{
	due[SOURCE_PIT] = pit_next_deadline(&pc->pit);
	due[SOURCE_RTC] = rtc_next_deadline(&pc->rtc);
	due[SOURCE_PM] = pm_next_deadline(&pc->pm);
	for (unsigned i = 0; i < pc->nr_vcpus; i++)
		due[SOURCE_LAPIC + i] = lapic_next_deadline(&pc->lapic[i]);
}

static void advance(struct pc *pc, unsigned source, u64 now)
{
	switch (source) {
	case SOURCE_PIT:
		pit_advance(&pc->pit, now);
		break;
	case SOURCE_RTC:
		rtc_advance(&pc->rtc, now);
		break;
	case SOURCE_PM:
		pm_advance(&pc->pm, now);
		break;
	default:
		lapic_advance(&pc->lapic[source - SOURCE_LAPIC], now);
		kick_if_needed(pc, source - SOURCE_LAPIC);
	}
}

u64 pc_next_deadline(const struct pc *pc)
{
	u64 due[NR_SOURCES], best;

	deadlines(pc, due);
	best = MIN(MIN(due[SOURCE_PIT], due[SOURCE_RTC]), due[SOURCE_PM]);
	for (unsigned i = 0; i < pc->nr_vcpus; i++)
		best = MIN(best, due[SOURCE_LAPIC + i]);
	return best;
}

/** Each source once, in the order of their deadlines: one that is served has caught up with `now`.
 * What one does makes no other due earlier. */
void pc_advance(struct pc *pc, u64 now)
{
	u64 due[NR_SOURCES];

	deadlines(pc, due);
	for (;;) {
		unsigned first = 0;

		for (unsigned i = 1; i < SOURCE_LAPIC + pc->nr_vcpus; i++) {
			if (due[i] < due[first])
				first = i;
		}
		if (due[first] > now || due[first] == NEVER)
			return;
		advance(pc, first, now);
		due[first] = NEVER;
	}
}

/*
 * Power-up.
 */

#define COM1_GSI 4
#define COM1_8N1 0x03
#define COM1_DLAB 0x80

/** COM1 as firmware leaves it, 115200 baud: some guests just write, and some read the divisor. */
static void init_com1(struct pc *pc)
{
	static const u8 setup[][2] = {{3, COM1_DLAB}, {0, 1}, {1, 0}, {3, COM1_8N1}};

	uart_init(&pc->com1, COM1_GSI, &pc->irq, pc->cfg.console_tx, pc->cfg.console_ctx);
	for (unsigned i = 0; i < ARRAY_SIZE(setup); i++)
		uart_write(&pc->com1, setup[i][0], 1, setup[i][1]);
}

#define ELCR_SCI (PM_SCI_GSI / 8) /* its register, and its bit */
#define ELCR_SCI_BIT (1u << PM_SCI_GSI % 8)

void pc_init(struct pc *pc, const struct pc_config *cfg, const struct gclock *clock)
{
	pc->cfg = *cfg;
	pc->clock = *clock;
	pc->nr_vcpus = MIN(cfg->nr_vcpus, PC_MAX_VCPUS);
	pc->irq = (struct irq_sink){pc_irq_set, pc};
	pc->lapic_ops = (struct lapic_ops){send_ipi, eoi_broadcast, pc};
	pc->unclaimed_pio = 0;
	pc->unclaimed_mmio = 0;

	for (unsigned i = 0; i < pc->nr_vcpus; i++)
		lapic_init(&pc->lapic[i], i, i == 0, cfg->lapic_page[i], &pc->clock,
			   &pc->lapic_ops);
	lapic_virtual_wire(&pc->lapic[0]);
	ioapic_init(&pc->ioapic, PC_IOAPIC_ID, ioapic_deliver, pc);
	pic_init(&pc->pic);
	pic_elcr_write(&pc->pic, ELCR_SCI, 1, ELCR_SCI_BIT);
	pit_init(&pc->pit, &pc->clock, &pc->irq);
	rtc_init(&pc->rtc, &pc->clock, &pc->irq, cfg->epoch, pc_low_ram(&pc->mem));
	pm_init(&pc->pm, &pc->clock, &pc->irq);
	testdev_init(&pc->testdev, &pc->irq);
	init_com1(pc);
	claim_ranges(pc);
}
