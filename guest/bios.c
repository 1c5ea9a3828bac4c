/* SPDX-License-Identifier: MIT */
/* The remains of a BIOS: see bios.h. */
#include "bios.h"

#include "bios_code.h"
#include "lib/mem.h"

#define SEGMENT 0xf000u
#define CODE_OFFSET 0xff00u
#define CODE_BASE (SEGMENT * 16ull + CODE_OFFSET)

/* The words that bios_code begins with: offsets of the handlers in SEGMENT. */
enum handler { HANDLER_IGNORE, HANDLER_TIMER, HANDLER_MASTER, HANDLER_SLAVE };

#define VECTORS 256
#define IRQS 8 /* of one 8259 */
#define MASTER_VECTOR 0x08
#define SLAVE_VECTOR 0x70

/* The BIOS data area. */
#define BDA 0x400ull
#define BDA_BYTES 0x100
#define BDA_COM1 0x00	   /* I/O port of the first serial line */
#define BDA_EBDA 0x0e	   /* segment of the extended data area */
#define BDA_EQUIPMENT 0x10 /* bits 11:9: serial lines; bit 1: there is an FPU */
#define BDA_MEMORY 0x13	   /* KiB below the extended data area */
#define EQUIPMENT (1u << 9 | 1u << 1)
#define COM1_PORT 0x3f8

_Static_assert(CODE_BASE + sizeof(bios_code) == MIB(1), "ends where a reset begins");

static u32 far_pointer(enum handler h)
{
	return SEGMENT << 16 | bios_code[2 * h + 1] << 8 | bios_code[2 * h];
}

static enum handler handler_of(unsigned vector)
{
	if (vector == MASTER_VECTOR)
		return HANDLER_TIMER;
	if (vector > MASTER_VECTOR && vector < MASTER_VECTOR + IRQS)
		return HANDLER_MASTER;
	if (vector >= SLAVE_VECTOR && vector < SLAVE_VECTOR + IRQS)
		return HANDLER_SLAVE;
	return HANDLER_IGNORE;
}

static void put16(u8 *at, u16 value)
{
	at[0] = (u8)value;
	at[1] = value >> 8;
}

static bool write_memory(const struct gmem *gm)
{
	u32 vectors[VECTORS];
	u8 bda[BDA_BYTES] = {0};

	for (unsigned i = 0; i < VECTORS; i++)
		vectors[i] = far_pointer(handler_of(i));
	put16(&bda[BDA_COM1], COM1_PORT);
	put16(&bda[BDA_EBDA], PC_EBDA >> 4);
	put16(&bda[BDA_EQUIPMENT], EQUIPMENT);
	put16(&bda[BDA_MEMORY], PC_EBDA >> 10);
	return gmem_write(gm, GPA(0), vectors, sizeof(vectors)) &&
	       gmem_write(gm, GPA(BDA), bda, sizeof(bda)) &&
	       gmem_write(gm, GPA(CODE_BASE), bios_code, sizeof(bios_code));
}

bool bios_build(struct pc *pc)
{
	/* ICW1 to ICW4 and the mask of each 8259; the 8254's control word (channel 0, both bytes,
	 * mode 2) and the count 65536. */
	static const struct {
		u16 port;
		u8 value;
	} setup[] = {
		{0x20, 0x11}, {0x21, MASTER_VECTOR}, {0x21, 0x04}, {0x21, 0x01}, {0x21, 0xfa},
		{0xa0, 0x11}, {0xa1, SLAVE_VECTOR},  {0xa1, 0x02}, {0xa1, 0x01}, {0xa1, 0xff},
		{0x43, 0x34}, {0x40, 0x00},	     {0x40, 0x00},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(setup); i++)
		pc_pio_write(pc, 0, setup[i].port, 1, setup[i].value);
	return write_memory(&pc->mem);
}
