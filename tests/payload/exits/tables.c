/* SPDX-License-Identifier: MIT */
/* Descriptor-table registers, LDTR and TR in 64-bit mode (SDM volume 2, the instructions' pages).
 */
#include "exits.h"

#include "lib/mem.h"
#include "x86.h"

#define HOLE 0x0000800000000000ul

struct pseudo {
	u16 limit;
	u64 base;
} __attribute__((packed));

/* Selectors of a GDT of this file's own, whose first three descriptors are the payload's. */
enum {
	LDT = 0x20,
	LDT_ABSENT = 0x30,
	TSS = 0x40,
	TSS_ABSENT = 0x50,
	TSS_ODD = 0x60, /* the upper half has a type */
	TSS_FAR = 0x70, /* its base is not canonical */
	END = 0x80,
};

#define SYSTEM(type, base) (0x67ull | ((base)&0xffffff) << 16 | (u64)(type) << 40)

static u64 gdt[END / 8 + 1];
static u8 tss[104];

static struct pseudo sgdt(void)
{
	struct pseudo p;

	__asm__ volatile("sgdt %0" : "=m"(p));
	return p;
}

static void lgdt(u64 *base, u16 limit)
{
	const struct pseudo p = {limit, (u64)base};

	__asm__ volatile("lgdt %0" ::"m"(p));
}

void test_table_registers(void)
{
	struct pseudo before = sgdt(), after, p;
	struct {
		struct pseudo p;
		u8 guard[6];
	} out;

	exits_begin();
	lgdt(gdt, 0x17);
	after = sgdt();
	lgdt((u64 *)before.base, before.limit);
	__asm__ volatile("sidt %0" : "=m"(p));
	__asm__ volatile("lidt %0" ::"m"(p));
	EXITS("tables", [EXIT_REASON_GDTR_IDTR_ACCESS] = WHEN("descriptor-table", 5));
	check(after.base == (u64)gdt && after.limit == 0x17, "GDTR %lx, %x",
	      (unsigned long)after.base, after.limit);
	memset(&out, 0x5a, sizeof(out));
	__asm__ volatile("sidt (%0,%1,2)" ::"r"((u64)&out - 0x20), "r"(0x10ul) : "memory");
	check(out.p.base == p.base && out.p.limit == p.limit, "IDTR %lx, %x",
	      (unsigned long)out.p.base, out.p.limit);
	for (unsigned i = 0; i < sizeof(out.guard); i++)
		check(out.guard[i] == 0x5a, "SIDT wrote more than 10 bytes");
	p.base = HOLE;
	expect_fault("LIDT of a base that is not canonical", TRY("lidt %0", ::"m"(p)), GP_VECTOR,
		     0);
	expect_fault("LGDT of it", TRY("lgdt %0", ::"m"(p)), GP_VECTOR, 0);
	expect_fault("LGDT from there", TRY("lgdt (%0)", ::"r"(HOLE)), GP_VECTOR, 0);
	expect_fault("SGDT to there", TRY("sgdt (%%rsp,%0)", ::"r"(HOLE) : "memory"), SS_VECTOR, 0);
	expect_fault("LGDT of a page that is not present", TRY("lgdt (%0)", ::"r"(BIT(45))),
		     PF_VECTOR, 0);
	/* The SDM does not say which of its parts is read first. */
	check(read_cr2() - BIT(45) < 10, "CR2 %lx", (unsigned long)read_cr2());
	expect_fault("SIDT to it", TRY("sidt (%0)", ::"r"(BIT(45)) : "memory"), PF_VECTOR, 2);
	after = sgdt();
	check(after.base == before.base && after.limit == before.limit, "GDTR changed");
}

static void set_up(void)
{
	struct pseudo p = sgdt();

	if (p.base != (u64)gdt)
		memcpy(gdt, (void *)p.base, 3 * 8);
	gdt[LDT / 8] = SYSTEM(0x82, (u64)gdt);
	gdt[LDT / 8 + 1] = 0;
	gdt[LDT_ABSENT / 8] = SYSTEM(0x02, (u64)gdt);
	gdt[LDT_ABSENT / 8 + 1] = 0;
	gdt[TSS / 8] = SYSTEM(0x89, (u64)tss);
	gdt[TSS / 8 + 1] = 0;
	gdt[TSS_ABSENT / 8] = SYSTEM(0x09, (u64)tss);
	gdt[TSS_ABSENT / 8 + 1] = 0;
	gdt[TSS_ODD / 8] = SYSTEM(0x89, (u64)tss);
	gdt[TSS_ODD / 8 + 1] = BIT(40);
	gdt[TSS_FAR / 8] = SYSTEM(0x89, (u64)tss);
	gdt[TSS_FAR / 8 + 1] = 0x8000;
	gdt[END / 8] = SYSTEM(0x82, (u64)gdt);
	lgdt(gdt, sizeof(gdt) - 1);
}

#define LLDT(selector) TRY("lldt %w0", ::"r"(selector))
#define LTR(selector) TRY("ltr %w0", ::"r"(selector))

static u64 sldt(void)
{
	u64 value;

	__asm__ volatile("sldt %0" : "=r"(value));
	return value;
}

static u64 str(void)
{
	u64 value;

	__asm__ volatile("str %0" : "=r"(value));
	return value;
}

void test_ldtr(void)
{
	u16 selector = LDT;
	u64 stored;
	u32 rights;

	set_up();
	/* The LDT is the GDT: a selector with TI leads to what one without leads to. */
	exits_begin();
	__asm__ volatile("lldt %0" ::"m"(selector));
	stored = sldt();
	EXITS("LDTR", [EXIT_REASON_LDTR_TR_ACCESS] = WHEN("descriptor-table", 2));
	check(stored == LDT, "LDTR %lx", (unsigned long)stored);
	__asm__ volatile("lar %1, %0" : "=r"(rights) : "r"(0x10 | 4));
	check((rights >> 8 & 0x9f) == 0x93, "a descriptor of the LDT: %x", rights);
	expect_fault("null", LLDT(3), NO_FAULT, 0);
	check(sldt() == 3, "LDTR %lx", (unsigned long)sldt());
	expect_fault("a selector of an LDT that is none", TRY("mov %w0, %%fs", ::"r"(0x10 | 4)),
		     GP_VECTOR, 0x14);
	expect_fault("TI", LLDT(LDT | 4), GP_VECTOR, LDT | 4);
	expect_fault("beyond the limit", LLDT(END), GP_VECTOR, END);
	expect_fault("a TSS", LLDT(TSS), GP_VECTOR, TSS);
	expect_fault("data", LLDT(0x10), GP_VECTOR, 0x10);
	expect_fault("not present", LLDT(LDT_ABSENT), NP_VECTOR, LDT_ABSENT);
	check(sldt() == 3, "LDTR %lx after faults", (unsigned long)sldt());
	expect_fault("null", LLDT(0), NO_FAULT, 0);
}

void test_tr(void)
{
	u64 was = str();

	set_up();
	expect_fault("null", LTR(0), GP_VECTOR, 0);
	expect_fault("an LDT", LTR(LDT | 3), GP_VECTOR, LDT);
	expect_fault("not present", LTR(TSS_ABSENT), NP_VECTOR, TSS_ABSENT);
	expect_fault("a type above", LTR(TSS_ODD), GP_VECTOR, TSS_ODD);
	expect_fault("not canonical", LTR(TSS_FAR), GP_VECTOR, TSS_FAR);
	check(str() == was && gdt[TSS_ODD / 8] >> 40 == 0x89, "TR %lx after faults",
	      (unsigned long)str());
	exits_begin();
	expect_fault("a TSS", LTR(TSS), NO_FAULT, 0);
	EXITS("LTR", [EXIT_REASON_LDTR_TR_ACCESS] = WHEN("descriptor-table", 1));
	check(str() == TSS && (gdt[TSS / 8] >> 40 & 0xff) == 0x8b, "TR %lx, descriptor %lx",
	      (unsigned long)str(), (unsigned long)gdt[TSS / 8]);
	expect_fault("it is busy", LTR(TSS), GP_VECTOR, TSS);
}

void test_selector_stores(void)
{
	u64 value;
	u16 around[3] = {0x5a5a, 0, 0x5a5a};

	set_up();
	__asm__ volatile("movq $-1, %%rax\n\tstr %%ax" : "=a"(value));
	check(value == (0xffffffffffff0000 | str()), "STR of 16 bits: %lx", (unsigned long)value);
	__asm__ volatile("movq $-1, %%r12\n\tstr %%r12d\n\tmovq %%r12, %0" : "=r"(value)::"r12");
	check(value == str(), "STR of 32 bits: %lx", (unsigned long)value);
	__asm__ volatile("str %0" : "=m"(around[1]));
	check(around[0] == 0x5a5a && around[1] == str() && around[2] == 0x5a5a,
	      "STR to memory: %x %x %x", around[0], around[1], around[2]);
	expect_fault("SLDT to a page that is not present",
		     TRY("sldt (%0)", ::"r"(BIT(45))
			 : "memory"),
		     PF_VECTOR, 2);
}

static _Alignas(PAGE_SIZE) u64 pdpt[512], pd[512], pt[512];
static _Alignas(PAGE_SIZE) u8 code[2][PAGE_SIZE];

/** A page of code that another one takes the place of, without an INVLPG: the processor may go on
 * by what it has cached. What is emulated by its bytes must neither be something else for it, nor
 * exit for ever. */
void test_stale_code(void)
{
	/* SGDT (RDI), or STR (RDI), or INVLPG (RDI), or none; JMP RSI. */
	static const u8 sgdt_rdi[] = {0x0f, 0x01, 0x07, 0xff, 0xe6},
			str_rdi[] = {0x0f, 0x00, 0x0f, 0xff, 0xe6},
			invlpg_rdi[] = {0x0f, 0x01, 0x3f, 0xff, 0xe6},
			nops[] = {0x90, 0x90, 0x90, 0xff, 0xe6};
	static const u8 *const others[] = {str_rdi, invlpg_rdi, nops};
	u64 *pml4 = (u64 *)(read_cr3() & PAGE_MASK);
	const u64 window = BIT(39), bits = PTE_P | PTE_W | PTE_A;
	struct pseudo p, untouched;

	memset(&untouched, 0x5a, sizeof(untouched));
	pdpt[0] = (u64)pd | PTE_P | PTE_W;
	pd[0] = (u64)pt | PTE_P | PTE_W;
	pml4[1] = (u64)pdpt | PTE_P | PTE_W;
	memcpy(code[0], sgdt_rdi, sizeof(sgdt_rdi));
	for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
		memcpy(code[1], others[i], sizeof(nops));
		for (unsigned page = 0; page < 2; page++) {
			*(volatile u64 *)pt = (u64)code[page] | bits;
			if (!page)
				write_cr3(read_cr3());
			p = untouched;
			__asm__ volatile("leaq 1f(%%rip), %%rsi\n\tjmp *%0\n1:" ::"r"(window),
					 "D"(&p)
					 : "rsi", "memory");
		}
		check((p.limit == sgdt().limit && p.base == sgdt().base) ||
			      ((p.limit == str() || p.limit == untouched.limit) &&
			       p.base == untouched.base),
		      "%lx, %x", (unsigned long)p.base, p.limit);
	}
}
