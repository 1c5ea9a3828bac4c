/* SPDX-License-Identifier: MIT */
/*
 * The ACPI tables (ACPI 6.4, chapter 5 "ACPI Software Programming Model"), written into guest
 * memory below 1 MiB where the e820 map reserves it:
 *
 *     0xe0000  RSDP -> RSDT, XSDT -> FADT, MADT;  FADT -> FACS, DSDT
 *
 * The machine they describe: ACPI mode always (no SMI command), SCI on IRQ 9, no buttons, no PCI,
 * no VGA, no keyboard controller, and the legacy devices COM1 and the clock.
 */
#include "dsdt.h"
#include "lib/mem.h"
#include "pc.h"
#include "table_checksum.h"

#define ACPI_BASE 0xe0000ull
#define ACPI_LEN 0x1000ull
#define ACPI_ALIGN 64 /* the FACS needs it; the others may have it */

struct rsdp {
	char signature[8];
	u8 checksum; /* of the first 20 bytes */
	char oem_id[6];
	u8 revision;
	u32 rsdt;
	u32 length;
	u64 xsdt;
	u8 extended_checksum;
	u8 reserved[3];
} __attribute__((packed));
_Static_assert(sizeof(struct rsdp) == 36, "");

struct header {
	char signature[4];
	u32 length;
	u8 revision, checksum;
	char oem_id[6], oem_table_id[8];
	u32 oem_revision;
	char creator_id[4];
	u32 creator_revision;
} __attribute__((packed));
_Static_assert(sizeof(struct header) == 36, "");

/** Generic address structure. */
struct gas {
	u8 space, bit_width, bit_offset, access;
	u64 address;
} __attribute__((packed));

#define GAS_IO 1
#define GAS_BYTE 1
#define GAS_WORD 2
#define GAS_DWORD 3

struct fadt {
	struct header header;
	u32 facs, dsdt;
	u8 reserved0, pm_profile;
	u16 sci_int;
	u32 smi_cmd;
	u8 acpi_enable, acpi_disable, s4bios_req, pstate_cnt;
	u32 pm1a_evt, pm1b_evt, pm1a_cnt, pm1b_cnt, pm2_cnt, pm_tmr, gpe0, gpe1;
	u8 pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len, gpe0_len, gpe1_len, gpe1_base;
	u8 cst_cnt;
	u16 p_lvl2_lat, p_lvl3_lat, flush_size, flush_stride;
	u8 duty_offset, duty_width, day_alarm, month_alarm, century;
	u16 iapc_boot_arch;
	u8 reserved1;
	u32 flags;
	struct gas reset_reg;
	u8 reset_value;
	u16 arm_boot_arch;
	u8 minor_version;
	u64 x_facs, x_dsdt;
	struct gas x_pm1a_evt, x_pm1b_evt, x_pm1a_cnt, x_pm1b_cnt, x_pm2_cnt, x_pm_tmr, x_gpe0,
		x_gpe1, sleep_control, sleep_status;
	char hypervisor[8];
} __attribute__((packed));
_Static_assert(sizeof(struct fadt) == 276, "");

#define FADT_WBINVD BIT(0)
#define FADT_PROC_C1 BIT(2)
#define FADT_PWR_BUTTON BIT(4) /* set: no fixed power button */
#define FADT_SLP_BUTTON BIT(5) /* set: no fixed sleep button */
#define FADT_FIX_RTC BIT(6)    /* set: no fixed RTC wake status */
#define FADT_TMR_VAL_EXT BIT(8)
#define FADT_RESET_REG_SUP BIT(10)

#define BOOT_LEGACY_DEVICES BIT(0)
#define BOOT_NO_VGA BIT(2) /* bit 1, a keyboard controller, is clear: drivers need not look */

#define NO_C2 101 /* a latency that means the state is not there */
#define NO_C3 1001

struct facs {
	char signature[4];
	u32 length, hardware_signature, waking_vector, global_lock, flags;
	u64 x_waking_vector;
	u8 version, reserved[31];
} __attribute__((packed));
_Static_assert(sizeof(struct facs) == 64, "");

struct madt_lapic {
	u8 type, length, uid, id;
	u32 flags;
} __attribute__((packed));

struct madt_ioapic {
	u8 type, length, id, reserved;
	u32 address, gsi_base;
} __attribute__((packed));

struct madt_override {
	u8 type, length, bus, irq;
	u32 gsi;
	u16 flags;
} __attribute__((packed));

struct madt_lapic_nmi {
	u8 type, length, uid;
	u16 flags;
	u8 lint;
} __attribute__((packed));

struct madt {
	struct header header;
	u32 lapic_address, flags;
	struct madt_ioapic ioapic;
	struct madt_override timer, sci;
	struct madt_lapic_nmi nmi;
	struct madt_lapic lapic[]; /* one a vcpu */
} __attribute__((packed));

#define MADT_PCAT_COMPAT 1 /* there is a pair of 8259s */
#define MADT_ALL_UIDS 0xff
#define MPS_HIGH_LEVEL 0x0d /* active high, level-triggered */

/** The tables as they lie in guest memory. */
struct layout {
	u8 *mem; /* ACPI_LEN bytes at ACPI_BASE */
	u32 used;
};

/** Room for a table; ACPI_LEN is ample for PC_MAX_VCPUS. */
static void *take(struct layout *l, u32 size, u32 *address)
{
	u32 at = ALIGN_UP(l->used, ACPI_ALIGN);

	l->used = at + size;
	*address = ACPI_BASE + at;
	return l->mem + at;
}

static void put_header(struct header *h, const char *signature, u8 revision, u32 length)
{
	memcpy(h->signature, signature, sizeof(h->signature));
	h->length = length;
	h->revision = revision;
	memcpy(h->oem_id, "TALLYV", sizeof(h->oem_id));
	memcpy(h->oem_table_id, "TALLYVSR", sizeof(h->oem_table_id));
	h->oem_revision = 1;
	memcpy(h->creator_id, "TLYV", sizeof(h->creator_id));
	h->creator_revision = 1;
}

/** The last step of each table. */
static void seal(struct header *h)
{
	h->checksum = table_checksum(h, h->length);
}

static struct gas gas_io(u16 port, u8 bits, u8 access)
{
	return (struct gas){GAS_IO, bits, 0, access, port};
}

static u32 put_facs(struct layout *l)
{
	u32 address;
	struct facs *f = take(l, sizeof(*f), &address);

	memcpy(f->signature, "FACS", sizeof(f->signature));
	f->length = sizeof(*f);
	f->version = 2;
	return address;
}

static u32 put_dsdt(struct layout *l)
{
	u32 address;

	memcpy(take(l, sizeof(dsdt_aml), &address), dsdt_aml, sizeof(dsdt_aml));
	return address;
}

static u32 put_fadt(struct layout *l, u32 facs, u32 dsdt)
{
	u32 address;
	struct fadt *f = take(l, sizeof(*f), &address);

	*f = (struct fadt){
		.facs = facs, /* X_FIRMWARE_CTRL stays 0: only one of the two may be used */
		.dsdt = dsdt,
		.x_dsdt = dsdt,
		.sci_int = PM_SCI_GSI,
		.pm1a_evt = PM_BASE + PM1_EVT,
		.pm1a_cnt = PM_BASE + PM1_CNT,
		.pm_tmr = PM_BASE + PM_TMR,
		.pm1_evt_len = 4,
		.pm1_cnt_len = 2,
		.pm_tmr_len = 4,
		.x_pm1a_evt = gas_io(PM_BASE + PM1_EVT, 32, GAS_WORD),
		.x_pm1a_cnt = gas_io(PM_BASE + PM1_CNT, 16, GAS_WORD),
		.x_pm_tmr = gas_io(PM_BASE + PM_TMR, 32, GAS_DWORD),
		.p_lvl2_lat = NO_C2,
		.p_lvl3_lat = NO_C3,
		.century = RTC_CENTURY,
		.iapc_boot_arch = BOOT_LEGACY_DEVICES | BOOT_NO_VGA,
		.flags = FADT_WBINVD | FADT_PROC_C1 | FADT_PWR_BUTTON | FADT_SLP_BUTTON |
			 FADT_FIX_RTC | FADT_TMR_VAL_EXT | FADT_RESET_REG_SUP,
		.reset_reg = gas_io(PM_RESET_PORT, 8, GAS_BYTE),
		.reset_value = PM_RESET_VALUE,
		.minor_version = 4,
	};
	memcpy(f->hypervisor, "Tallyvsr", sizeof(f->hypervisor));
	put_header(&f->header, "FACP", 6, sizeof(*f));
	seal(&f->header);
	return address;
}

static u32 put_madt(struct layout *l, unsigned nr_vcpus)
{
	u32 address, size = sizeof(struct madt) + nr_vcpus * sizeof(struct madt_lapic);
	struct madt *m = take(l, size, &address);

	put_header(&m->header, "APIC", 5, size);
	m->lapic_address = LAPIC_DEFAULT_BASE;
	m->flags = MADT_PCAT_COMPAT;
	m->ioapic = (struct madt_ioapic){1, sizeof(m->ioapic), PC_IOAPIC_ID, 0, IOAPIC_BASE, 0};
	m->timer = (struct madt_override){2, sizeof(m->timer), 0, 0, PIT_GSI, 0};
	m->sci = (struct madt_override){2,	    sizeof(m->sci), 0,
					PM_SCI_GSI, PM_SCI_GSI,	    MPS_HIGH_LEVEL};
	m->nmi = (struct madt_lapic_nmi){4, sizeof(m->nmi), MADT_ALL_UIDS, 0, 1};
	for (unsigned i = 0; i < nr_vcpus; i++)
		m->lapic[i] = (struct madt_lapic){0, sizeof(m->lapic[i]), i, i, 1};
	seal(&m->header);
	return address;
}

/** RSDT or XSDT, by the size of their pointers. */
static u32 put_root(struct layout *l, const char *signature, u32 pointer_size, const u32 *tables,
		    unsigned nr)
{
	u32 address, size = sizeof(struct header) + nr * pointer_size;
	struct header *h = take(l, size, &address);
	u8 *p = (u8 *)(h + 1);

	put_header(h, signature, 1, size);
	for (unsigned i = 0; i < nr; i++, p += pointer_size)
		memcpy(p, &tables[i], sizeof(tables[i]));
	seal(h);
	return address;
}

u64 acpi_build(const struct gmem *gm, unsigned nr_vcpus)
{
	struct layout l = {.mem = gmem_ptr(gm, GPA(ACPI_BASE), ACPI_LEN)};
	u32 tables[2], facs, address;
	struct rsdp *r;

	if (!l.mem || nr_vcpus > PC_MAX_VCPUS)
		return 0;
	memset(l.mem, 0, ACPI_LEN);
	r = take(&l, sizeof(*r), &address);
	facs = put_facs(&l);
	tables[0] = put_fadt(&l, facs, put_dsdt(&l));
	tables[1] = put_madt(&l, nr_vcpus);

	memcpy(r->signature, "RSD PTR ", sizeof(r->signature));
	memcpy(r->oem_id, "TALLYV", sizeof(r->oem_id));
	r->revision = 2;
	r->rsdt = put_root(&l, "RSDT", sizeof(u32), tables, ARRAY_SIZE(tables));
	r->length = sizeof(*r);
	r->xsdt = put_root(&l, "XSDT", sizeof(u64), tables, ARRAY_SIZE(tables));
	r->checksum = table_checksum(r, offsetof(struct rsdp, length));
	r->extended_checksum = table_checksum(r, sizeof(*r));
	return address;
}
