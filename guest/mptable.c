/* SPDX-License-Identifier: MIT */
/*
 * The MP table (Intel MultiProcessor Specification, version 1.4, order number 242016, chapter 4 "MP
 * Configuration Table"): the same machine as in the ACPI tables, for kernels that do not read them.
 *
 *     0x00000  floating pointer structure --+
 *     0x9fc00  floating pointer structure --+--> 0x9fc10  configuration table
 *
 * The specification has the pointer in the last KiB below the 640 KiB border (or in the BIOS), and
 * 0x9fc00 is where other kernels begin to look. Linux looks through the first KiB of memory before
 * that, and maps a page for every 16 bytes that it looks at: a copy at 0 ends its search at once.
 */
#include "ioapic.h"
#include "lapic_regs.h"
#include "lib/mem.h"
#include "pc.h"
#include "table_checksum.h"

#define FIRST_LOOK 0x0ull
#define TABLE_BASE PC_EBDA
#define TABLE_END 0xa0000ull

#define SPEC_REV 4 /* version 1.4 */
#define PARAGRAPH 16

struct floating_pointer {
	char signature[4];
	u32 physptr;
	u8 length; /* in paragraphs */
	u8 spec_rev, checksum;
	u8 feature[5]; /* 1: 0, there is a table; 2: bit 7 clear, virtual wire mode */
} __attribute__((packed));
_Static_assert(sizeof(struct floating_pointer) == PARAGRAPH, "");

struct mp_header {
	char signature[4];
	u16 base_length;
	u8 spec_rev, checksum;
	char oem_id[8], product_id[12];
	u32 oem_table;
	u16 oem_table_size, entry_count;
	u32 lapic_address;
	u16 extended_length;
	u8 extended_checksum, reserved;
} __attribute__((packed));
_Static_assert(sizeof(struct mp_header) == 44, "");

/** Entry types, in the order in which they have to come. */
enum { MP_PROCESSOR, MP_BUS, MP_IOAPIC, MP_IO_INTERRUPT, MP_LOCAL_INTERRUPT };

struct mp_processor {
	u8 type, apic_id, apic_version, flags;
	u32 signature, features; /* EAX and EDX of CPUID leaf 1 */
	u8 reserved[8];
} __attribute__((packed));
_Static_assert(sizeof(struct mp_processor) == 20, "");

#define PROCESSOR_ENABLED 1
#define PROCESSOR_BSP 2

struct mp_bus {
	u8 type, id;
	char name[6]; /* padded with blanks */
} __attribute__((packed));

#define ISA_BUS 0

struct mp_ioapic {
	u8 type, id, version, flags;
	u32 address;
} __attribute__((packed));

#define IOAPIC_VERSION 0x20 /* as its version register */
#define IOAPIC_ENABLED 1

/** An interrupt of the I/O APIC's, or of the local APICs'. */
struct mp_interrupt {
	u8 type, interrupt;
	u16 flags;
	u8 bus, irq, apic, pin;
} __attribute__((packed));

_Static_assert(sizeof(struct mp_bus) == 8 && sizeof(struct mp_ioapic) == 8 &&
		       sizeof(struct mp_interrupt) == 8,
	       "");

enum { MP_INT, MP_NMI, MP_SMI, MP_EXTINT };

#define AS_THE_BUS 0
#define HIGH_LEVEL 0x0d /* active high, level-triggered */
#define ALL_LAPICS 0xff
#define ISA_IRQS 16
#define CASCADE 2 /* of the 8259s: no interrupt of the machine */

/** The table as it grows in guest memory. */
struct table {
	u8 *at;
	u16 entries;
};

static void add(struct table *t, const void *entry, u32 size)
{
	memcpy(t->at, entry, size);
	t->at += size;
	t->entries++;
}

static void add_processors(struct table *t, unsigned nr, u32 signature, u32 features)
{
	for (unsigned i = 0; i < nr; i++) {
		struct mp_processor p = {
			.type = MP_PROCESSOR,
			.apic_id = i,
			.apic_version = LAPIC_VERSION_VALUE & 0xff,
			.flags = PROCESSOR_ENABLED | (i ? 0 : PROCESSOR_BSP),
			.signature = signature,
			.features = features,
		};

		add(t, &p, sizeof(p));
	}
}

static void add_io_interrupts(struct table *t)
{
	for (unsigned irq = 0; irq < ISA_IRQS; irq++) {
		struct mp_interrupt e = {
			.type = MP_IO_INTERRUPT,
			.interrupt = MP_INT,
			.flags = irq == PM_SCI_GSI ? HIGH_LEVEL : AS_THE_BUS,
			.bus = ISA_BUS,
			.irq = irq,
			.apic = PC_IOAPIC_ID,
			.pin = irq ? irq : PIT_GSI,
		};

		if (irq != CASCADE)
			add(t, &e, sizeof(e));
	}
}

/** LINT0 of the BSP is the 8259s' INTR, and every LINT1 is NMI. */
static void add_local_interrupts(struct table *t)
{
	static const struct mp_interrupt lint[] = {
		{MP_LOCAL_INTERRUPT, MP_EXTINT, AS_THE_BUS, ISA_BUS, 0, 0, 0},
		{MP_LOCAL_INTERRUPT, MP_NMI, AS_THE_BUS, ISA_BUS, 0, ALL_LAPICS, 1},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(lint); i++)
		add(t, &lint[i], sizeof(lint[i]));
}

static void fill_table(struct mp_header *h, unsigned nr_vcpus, u32 signature, u32 features)
{
	static const struct mp_bus isa = {MP_BUS, ISA_BUS, "ISA   "};
	static const struct mp_ioapic ioapic = {MP_IOAPIC, PC_IOAPIC_ID, IOAPIC_VERSION,
						IOAPIC_ENABLED, IOAPIC_BASE};
	struct table t = {.at = (u8 *)(h + 1)};

	add_processors(&t, nr_vcpus, signature, features);
	add(&t, &isa, sizeof(isa));
	add(&t, &ioapic, sizeof(ioapic));
	add_io_interrupts(&t);
	add_local_interrupts(&t);

	memcpy(h->signature, "PCMP", sizeof(h->signature));
	h->base_length = t.at - (u8 *)h;
	h->spec_rev = SPEC_REV;
	memcpy(h->oem_id, "TALLYV  ", sizeof(h->oem_id));
	memcpy(h->product_id, "TALLYVISOR  ", sizeof(h->product_id));
	h->entry_count = t.entries;
	h->lapic_address = LAPIC_DEFAULT_BASE;
	h->checksum = table_checksum(h, h->base_length);
}

bool mptable_build(const struct gmem *gm, unsigned nr_vcpus, u32 signature, u32 features)
{
	struct floating_pointer fp = {
		.signature = {'_', 'M', 'P', '_'},
		.physptr = TABLE_BASE + sizeof(fp),
		.length = sizeof(fp) / PARAGRAPH,
		.spec_rev = SPEC_REV,
	};
	u8 *area = gmem_ptr(gm, GPA(TABLE_BASE), TABLE_END - TABLE_BASE);

	_Static_assert(sizeof(fp) + sizeof(struct mp_header) +
				       PC_MAX_VCPUS * sizeof(struct mp_processor) +
				       (2 + ISA_IRQS + 2) * sizeof(struct mp_interrupt) <=
			       TABLE_END - TABLE_BASE,
		       "the table has room in its KiB");
	if (!area || nr_vcpus > PC_MAX_VCPUS)
		return false;
	fp.checksum = table_checksum(&fp, sizeof(fp));
	memset(area, 0, TABLE_END - TABLE_BASE);
	memcpy(area, &fp, sizeof(fp));
	fill_table((struct mp_header *)(area + sizeof(fp)), nr_vcpus, signature, features);
	return gmem_write(gm, GPA(FIRST_LOOK), &fp, sizeof(fp));
}
