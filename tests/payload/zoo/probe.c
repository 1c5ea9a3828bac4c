/* SPDX-License-Identifier: MIT */
/* One instruction at a time, in any ring of 64-bit and compatibility mode: what goes in, what comes
 * out, how it was left, and the exits it made. */
#include "probe.h"

#include "guest/lapic_regs.h"
#include "lib/fmt.h"
#include "lib/mem.h"

#define PENDING 0x42 /* of the interrupt that waits for STI */
#define STACK_BYTES 4096
#define INT_BYTES 2
#define ICR_SELF 0x40000u
#define DR6_BS BIT(14)
#define ARITHMETIC                                                                                 \
	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF | X86_EFLAGS_SF |           \
	 X86_EFLAGS_OF)
#define PORTS 65536u
#define VERDICT_LOST 0xfd

/* enter.asm */
void zoo_enter(const struct trap_frame *f);
void zoo_left(void);
extern u64 zoo_rsp;

static u64 gdt[GDT_END / 8] = {0,
			       0x00af9b000000ffff,
			       0x00cf93000000ffff,
			       0x00cf9b000000ffff,
			       0x00cff3000000ffff,
			       0x00affb000000ffff,
			       0x00cffb000000ffff};

/* SDM volume 3, figure 8-11 "64-Bit TSS Format". */
static struct {
	u32 reserved0;
	u64 rsp[3], reserved1, ist[7], reserved2;
	u16 reserved3, io_map;
	u8 permission[PORTS / 8 + 1];
} __attribute__((packed, aligned(PAGE_SIZE))) tss;

static const struct {
	const char *name;
	u16 cs, ss;
} places[NR_PLACES] = {
	[RING0] = {"ring 0", CODE64_0, DATA_0},
	[RING3] = {"ring 3", CODE64_3, DATA_3},
	[COMPAT0] = {"compatibility mode, ring 0", CODE32_0, DATA_0},
	[COMPAT3] = {"compatibility mode, ring 3", CODE32_3, DATA_3},
	[PROTECTED0] = {"protected mode, ring 0", CODE32_0, DATA_0},
	[PROTECTED3] = {"protected mode, ring 3", CODE32_3, DATA_3},
	[VIRTUAL8086] = {"virtual-8086 mode", 0x6000, 0x6000},
	[REAL] = {"real mode", 0x6000, 0x6000},
};

static _Alignas(PAGE_SIZE) u8 trap_stack_memory[STACK_BYTES], stack[STACK_BYTES];
static _Alignas(PAGE_SIZE) u8 room[64];
static _Alignas(PAGE_SIZE) u64 pdpt[512], pd[512], pt[512];
static struct trap_frame landed;
static volatile bool flying;
static bool exit_came_first;

static void on_landing(struct trap_frame *f)
{
	landed = *f;
	if (!flying) {
		check(false, "vector %lu at %lx, and nothing was fired", (unsigned long)f->vector,
		      (unsigned long)f->rip);
		payload_exit(VERDICT_LOST);
	}
	flying = false;
	f->rip = (u64)zoo_left;
	f->cs = CODE64_0;
	f->rflags = X86_EFLAGS_FIXED;
	f->rsp = zoo_rsp;
	f->ss = DATA_0;
}

u64 *probe_gdt(void)
{
	return gdt;
}

u8 *legacy_stack(void)
{
	return stack + STACK_BYTES;
}

bool exited_first(void)
{
	return exit_came_first;
}

u64 *window_entries(void)
{
	return pt;
}

void permit_port(u16 port, bool yes)
{
	u8 bit = (u8)(1 << port % 8);

	if (yes)
		tss.permission[port / 8] &= (u8)~bit;
	else
		tss.permission[port / 8] |= bit;
	legacy_permit_port(port, yes);
}

/** Everything for ring 3, too. */
static void open_pages(void)
{
	u64 *pml4 = (u64 *)(read_cr3() & PAGE_MASK);
	u64 *low = (u64 *)(pml4[0] & PAGE_MASK & ~PTE_NX);

	pml4[0] |= PTE_U;
	for (unsigned i = 0; i < 4; i++) {
		u64 *directory = (u64 *)(low[i] & PAGE_MASK);

		low[i] |= PTE_U;
		for (unsigned j = 0; j < 512; j++)
			directory[j] |= PTE_U;
	}
	pdpt[0] = (u64)pd | PTE_P | PTE_W | PTE_U;
	pd[0] = (u64)pt | PTE_P | PTE_W | PTE_U;
	pml4[WINDOW >> 39] = (u64)pdpt | PTE_P | PTE_W | PTE_U;
	write_cr3(read_cr3());
}

void probe_takes(u8 vector)
{
	trap_set(vector, on_landing);
}

void probe_init(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) gdtr = {sizeof(gdt) - 1, (u64)gdt};
	const u64 base = (u64)&tss;

	open_pages();
	tss.rsp[0] = (u64)trap_stack_memory + STACK_BYTES;
	tss.ist[0] = tss.rsp[0];
	tss.io_map = offsetof(__typeof__(tss), permission);
	memset(tss.permission, 0xff, sizeof(tss.permission));
	gdt[TSS_64 / 8] = ((sizeof(tss) - 1) & 0xffff) | (base & 0xffffff) << 16 | 0x89ull << 40 |
			  (base >> 24 & 0xff) << 56;
	gdt[TSS_64 / 8 + 1] = base >> 32;
	__asm__ volatile("lgdt %0\n\t"
			 "ltr %w1\n\t"
			 "movl %2, %%ds\n\t"
			 "movl %2, %%es" ::"m"(gdtr),
			 "r"(TSS_64), "r"(DATA_3)
			 : "memory");
	for (unsigned vector = 0; vector < 256; vector++) {
		trap_set((u8)vector, on_landing);
		trap_stack((u8)vector, 1);
	}
	trap_from_user(LANDING);
	mmio_write(LAPIC_DEFAULT_BASE + LAPIC_SVR, SVR_ENABLE | 0xff);
}

/** struct trap_frame's first 15 words, by enum x86_reg; RSP is not among them. */
static u64 *slot(struct trap_frame *f, unsigned reg)
{
	static const u8 place[16] = {14, 13, 12, 11, 0, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0};

	return reg == REG_RSP ? &f->rsp : &f->r15 + (reg >= REG_R8 ? 15 - reg : place[reg]);
}

/** STI, the code, NOP, INT, without those where it is fired by itself: RIP behind the code is the
 *  return value. What follows is for a RIP that is wrong: INT's second byte and the next 5 add 0 to
 * EAX, and there are INT3s, by whose vector no shot lands. */
static u64 load(const struct code *c, u8 *at, enum way way, u64 *begin)
{
	static const u8 tail[] = {0x90, 0xcd, LANDING, 0xc0, 0, 0, 0, 0, 0xcc, 0xcc, 0xcc, 0xcc};
	const unsigned skip = way == PLAIN;

	if (way == BEHIND_STI)
		*at++ = 0xfb;
	*begin = (u64)at;
	memcpy(at, c->from, (size_t)(c->to - c->from));
	at += c->to - c->from;
	memcpy(at, tail + skip, sizeof(tail) - skip);
	return (u64)at;
}

static bool narrow(enum place p)
{
	return p >= COMPAT0;
}

static bool legacy(enum place p)
{
	return p >= PROTECTED0;
}

/** From `before` on until the landing. */
static void go(enum place p, const struct trap_frame *before)
{
	if (legacy(p)) {
		legacy_enter(p, before, &landed);
	} else {
		flying = true;
		zoo_enter(before);
	}
}

static void fill(struct trap_frame *f, const struct shot *s, enum place p)
{
	const u64 mask = narrow(p) ? 0xffffffff : ~0ull;

	for (unsigned reg = 0; reg < 16; reg++)
		*slot(f, reg) = s->in[reg].given ? s->in[reg].v
						 : mask & (0x1122334455667700ull * (reg + 1) + reg);
	f->rsp = s->in[REG_RSP].given ? s->in[REG_RSP].v : (u64)stack + STACK_BYTES - 64;
	f->cs = places[p].cs;
	f->ss = places[p].ss;
	f->rflags = X86_EFLAGS_FIXED | ARITHMETIC | s->flags;
}

static void check_registers(const char *what, const struct shot *s, enum place p,
			    struct trap_frame *before)
{
	const u64 mask = narrow(p) ? 0xffffffff : ~0ull;

	for (unsigned reg = 0; reg < (narrow(p) ? 8u : 16u); reg++) {
		u64 want = s->out[reg].given && !s->fault ? s->out[reg].v : *slot(before, reg);
		u64 got = *slot(&landed, reg);

		if (((s->any & BIT(reg)) && !s->fault) || (reg == REG_RSP && legacy(p)))
			continue;
		check((got & mask) == (want & mask), "%s: register %u is %lx, not %lx", what, reg,
		      (unsigned long)got, (unsigned long)want);
	}
}

static struct exit_counts way_there[NR_PLACES];

void legacy_exits(enum place p, struct exit_counts *out)
{
	*out = way_there[p];
}

static void check_exits(const char *what, const struct shot *s, enum place p, enum way way)
{
	struct exit_counts got, want = {{0}};

	exits_end(&got);
	for (u32 i = 0; i < NR_EXIT_REASONS; i++)
		got.n[i] -= way_there[p].n[i];
	/* On page tables of the hypervisor's, the way back may find other ones than last time. */
	if (legacy(p) && on_shadow())
		got.n[EXIT_REASON_EXCEPTION_NMI] = 0;
	want.n[s->exit]++;
	want.n[EXIT_REASON_EXCEPTION_NMI] += s->also + (way == STEPPED);
	if (s->departs && s->exit == NO_EXIT && got.n[s->early] == 1) {
		exit_came_first = true;
		got.n[s->early] = 0;
	}
	/* On page tables of the hypervisor's, a page fault of the guest's may have to be an exit.
	 */
	if (s->fault == PF_VECTOR && s->exit == NO_EXIT && on_shadow() &&
	    got.n[EXIT_REASON_EXCEPTION_NMI] <= 1)
		got.n[EXIT_REASON_EXCEPTION_NMI] = want.n[EXIT_REASON_EXCEPTION_NMI];
	/* Whether the interrupt that waits for STI needs an exit of its own is not the
	 * instruction's affair. */
	if (way == BEHIND_STI && got.n[EXIT_REASON_INTERRUPT_WINDOW] <= 1)
		got.n[EXIT_REASON_INTERRUPT_WINDOW] = want.n[EXIT_REASON_INTERRUPT_WINDOW];
	for (u32 i = 0; i < NR_EXIT_REASONS; i++) {
		const char *name = exit_reason_name(i);

		check(got.n[i] == want.n[i], "%s: %u exits %u %s, not %u", what, got.n[i], i,
		      name ? name : "(undefined)", want.n[i]);
	}
}

static u64 read_dr6(void)
{
	u64 value;

	__asm__ volatile("mov %%dr6, %0" : "=r"(value));
	return value;
}

/** RFLAGS as the frame must have it. */
static u64 flags_after(const struct shot *s, enum place p, u64 before, enum way way)
{
	/* Real mode pushes 16 bits of them. */
	if (s->fault)
		return p == REAL ? before : before | X86_EFLAGS_RF;
	if (way == BEHIND_STI)
		before |= X86_EFLAGS_IF;
	return (before & ~s->flags_written) | s->flags_out;
}

static u64 vector_of(const struct shot *s, enum way way)
{
	static const u8 usual[NR_WAYS] = {
		[PLAIN] = LANDING, [BEHIND_STI] = PENDING, [STEPPED] = DB_VECTOR};

	if (s->fault)
		return s->fault & 0xff;
	return s->trap ? s->trap : usual[way];
}

static void fire(const struct shot *s, enum place p, enum way way)
{
	static const char *const how[] = {"", ", behind STI", ", with TF"};
	struct trap_frame before = {0};
	u64 flags_before;
	u8 *at = legacy(p) && legacy_room(p) ? legacy_room(p) : room;
	u64 begin, behind = load(&s->code, at, way, &begin), flags;
	const u64 vector = vector_of(s, way);
	const u64 rip = s->fault ? begin : behind + (vector == LANDING ? INT_BYTES : 0);
	char what[96];

	fmt_snprintf(what, sizeof(what), "%s, %s%s", s->what, places[p].name, how[way]);
	fill(&before, s, p);
	before.rip = (u64)at;
	if (way == STEPPED)
		before.rflags |= X86_EFLAGS_TF;
	flags_before = before.rflags;
	/* RF lasts for one instruction, whoever completes it. IRET of 16 bits does not load it. */
	if (way == PLAIN && p != REAL)
		before.rflags |= X86_EFLAGS_RF;
	if (way == BEHIND_STI)
		mmio_write(LAPIC_DEFAULT_BASE + LAPIC_ICR, ICR_SELF | PENDING);
	__asm__ volatile("mov %0, %%dr6" ::"r"(0ul));
	exits_begin();
	go(p, &before);
	check_exits(what, s, p, way);
	if (way == BEHIND_STI)
		mmio_write(LAPIC_DEFAULT_BASE + LAPIC_EOI, 0);
	check(landed.vector == vector && (!s->fault || landed.error == s->error),
	      "%s: vector %lu, error code 0x%lx, not vector %lu", what,
	      (unsigned long)landed.vector, (unsigned long)landed.error, (unsigned long)vector);
	check(landed.rip == rip, "%s: RIP is %ld bytes off", what, (long)(landed.rip - rip));
	check_registers(what, s, p, &before);
	flags = flags_after(s, p, flags_before, way);
	check(landed.rflags == flags, "%s: RFLAGS %lx, not %lx", what, (unsigned long)landed.rflags,
	      (unsigned long)flags);
	check(landed.cs == places[p].cs, "%s: CS %lx", what, (unsigned long)landed.cs);
	if (way == STEPPED)
		check(read_dr6() & DR6_BS, "%s: DR6 %lx", what, (unsigned long)read_dr6());
}

static u64 ways_of(const struct shot *s, enum place p)
{
	if (s->ways)
		return s->ways;
	if (s->exit != NO_EXIT && !s->fault && !legacy(p))
		return WAY(PLAIN) | WAY(STEPPED) | (p == RING0 ? WAY(BEHIND_STI) : 0);
	return WAY(PLAIN);
}

/** The exits of a flight that does nothing; the first one may find nothing prepared. */
static void measure_way(enum place p)
{
	static const struct shot nothing = {.what = "nothing"};
	struct trap_frame before = {0};
	u8 *at = legacy_room(p) ? legacy_room(p) : room;
	u64 begin;

	if (!legacy(p) || way_there[p].n[EXIT_REASON_CR_ACCESS])
		return;
	load(&nothing.code, at, PLAIN, &begin);
	fill(&before, &nothing, p);
	before.rip = (u64)at;
	for (unsigned i = 0; i < 2; i++) {
		exits_begin();
		go(p, &before);
		exits_end(&way_there[p]);
	}
	check(landed.vector == LANDING, "the way to %s: vector %lu, error code 0x%lx, at %lx",
	      places[p].name, (unsigned long)landed.vector, (unsigned long)landed.error,
	      (unsigned long)landed.rip);
}

const struct trap_frame *shoot(const struct shot *s)
{
	exit_came_first = false;
	for (unsigned p = 0; p < NR_PLACES; p++) {
		if (!(s->places & BIT(p)) || (p == REAL && !real_mode_is_there()))
			continue;
		measure_way(p);
		for (unsigned way = 0; way < NR_WAYS; way++) {
			if (ways_of(s, p) & WAY(way))
				fire(s, p, way);
		}
	}
	return &landed;
}
