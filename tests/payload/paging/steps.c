/* SPDX-License-Identifier: MIT */
/* Lists of steps: made, run, compared. */
#include "paging.h"

#include "lib/fmt.h"

#define MOST_MESSAGES 5
#define MOST_STEPS 40 /* of a message */
#define ROOM_FOR_A_CHECK 32

static struct world world;
static struct step *const list = (struct step *)STEPS;
static unsigned nr;
static bool begins;
static u32 compared;
static unsigned messages;
static u64 stores; /* so that no two write the same */

void steps_begin(const struct world *w)
{
	world = *w;
	nr = 0;
	begins = true;
}

void step_check(void)
{
	begins = true;
}

static struct step *add(enum step_op op, u64 address, u64 value)
{
	struct step *s = &list[nr++];

	if ((u64)(s + 2) > STEPS_END) {
		check(false, "too many steps");
		payload_exit(1);
	}
	*s = (struct step){.op = op,
			   .address = address,
			   .value = value,
			   .vector = NO_VECTOR,
			   .want_vector = NO_VECTOR,
			   .begins = begins};
	begins = false;
	return s;
}

bool steps_room(void)
{
	return (u64)(list + nr + ROOM_FOR_A_CHECK) < STEPS_END;
}

void step_store(u64 slot, u64 value)
{
	add(STEP_STORE, slot, value);
}

void step_load(u64 slot, u64 want, u64 may)
{
	struct step *s = add(STEP_LOAD, slot, 0);

	s->want = want;
	s->may = may;
}

void step_invlpg(u64 addr)
{
	add(STEP_INVLPG, addr, 0);
}

void step_cr(enum step_op op, u64 value)
{
	add(op, 0, value);
}

void step_cr_faults(enum step_op op, u64 value, u32 vector)
{
	add(op, 0, value)->want_vector = vector;
}

/** What an access of this world's width sees of a word. */
static u64 narrow(u64 value)
{
	return world.c.mode == MODE_64 ? value : (u32)value;
}

void step_works(u32 access, u64 addr, u64 phys)
{
	u32 kind = access & ACCESS_KIND;
	struct step *s = add(STEP_ACCESS, addr, 0);

	s->access = access;
	s->value = narrow(~mark(phys) ^ stores++ << 8);
	s->want = kind == ACCESS_READ ? narrow(mark(phys)) : s->value;
	if (kind != ACCESS_WRITE)
		return;
	step_load(phys, s->value, narrow(~0ull) ^ ~0ull);
	step_store(phys, mark(phys));
}

void step_faults(u32 access, u64 addr, u64 error)
{
	struct step *s = add(STEP_ACCESS, addr, 0);

	s->access = access;
	s->want_vector = PF_VECTOR;
	s->want_error = (u32)error;
	s->want_cr2 = addr;
}

void step_faults_at(u32 access, u64 addr, u64 error, u64 cr2)
{
	step_faults(access, addr, error);
	list[nr - 1].want_cr2 = cr2;
}

void step_gains(u32 access, u64 addr, u64 phys, u64 error)
{
	step_faults(access, addr, error);
	list[nr - 1].spurious = true;
	step_works(access, addr, phys);
}

void step_write(u32 access, u64 addr, u64 value)
{
	struct step *s = add(STEP_ACCESS, addr, narrow(value));

	s->access = access;
}

void step_reads(u32 access, u64 addr, u64 want, u64 may)
{
	struct step *s = add(STEP_ACCESS, addr, 0);

	s->access = access;
	s->want = narrow(want);
	s->may = may;
}

void step_reads_either(u32 access, u64 addr, u64 a, u64 b)
{
	struct step *s = add(STEP_ACCESS, addr, 0);

	s->access = access;
	s->want = narrow(mark(a));
	s->want_cr2 = narrow(mark(b));
	s->either = true;
}

void step_invpcid(u64 type, u64 pcid, u64 addr, u32 vector)
{
	struct step *s = add(STEP_INVPCID, addr, pcid);

	s->type = (u8)type;
	s->want_vector = vector;
}

static const char *access_name(u32 access)
{
	static const char *const kinds[] = {"read",	    "write", "fetch", "4-byte read",
					    "4-byte write", "push",  "call"};
	static char name[40];

	fmt_snprintf(name, sizeof(name), "%s %s%s", access & ACCESS_USER ? "user" : "supervisor",
		     kinds[access & ACCESS_KIND], access & ACCESS_AC ? " with AC" : "");
	return name;
}

static void say_end(u32 vector, u32 error, u64 cr2, u64 value)
{
	if (vector == NO_VECTOR)
		print("done, value %lx", (unsigned long)value);
	else if (vector == PF_VECTOR)
		print("#PF error %x cr2 %lx", error, (unsigned long)cr2);
	else
		print("vector %u error %x", vector, error);
}

static void say_step(const struct step *s)
{
	static const char *const names[] = {"end", "store", "load", "invlpg", "access",
					    "cr0", "cr3",   "cr4",  "invpcid"};

	print("    %s %lx", s->op == STEP_ACCESS ? access_name(s->access) : names[s->op],
	      (unsigned long)s->address);
	if (s->op == STEP_STORE || s->op >= STEP_CR0)
		print(" := %lx", (unsigned long)s->value);
	if (s->op == STEP_LOAD)
		print(" = %lx, not %lx (or with %lx)", (unsigned long)s->got,
		      (unsigned long)s->want, (unsigned long)s->may);
	if (s->op == STEP_ACCESS || s->op >= STEP_CR0) {
		print(": ");
		say_end(s->vector, s->error, s->cr2, s->got);
		print(", wanted: ");
		say_end(s->want_vector, s->want_error, s->want_cr2, s->want);
	}
	print("\n");
}

/** Say what the check did, up to the step where it went wrong. */
static void say_mismatch(const struct step *s)
{
	const struct step *from = s;

	if (++messages > MOST_MESSAGES) {
		check(messages > MOST_MESSAGES + 1, "and more of the kind");
		return;
	}
	while (!from->begins && s - from < MOST_STEPS)
		from--;
	check(false,
	      "%s, cr0 %lx cr4 %lx nxe %u pkru %x, window %lx:", mode_info[world.c.mode].name,
	      (unsigned long)world.c.cr0, (unsigned long)world.c.cr4, !!(world.c.efer & EFER_NX),
	      world.c.pkru, (unsigned long)world.window);
	for (; from <= s; from++)
		say_step(from);
}

static bool reads(u32 access)
{
	return (access & ACCESS_KIND) == ACCESS_READ || (access & ACCESS_KIND) == ACCESS_READ4;
}

static bool as_wanted(const struct step *s)
{
	switch (s->op) {
	case STEP_LOAD:
		return !((s->got ^ s->want) & ~s->may);
	case STEP_ACCESS:
		if (s->vector != s->want_vector)
			return s->spurious && s->vector == NO_VECTOR;
		if (s->vector == PF_VECTOR)
			return s->error == s->want_error && s->cr2 == s->want_cr2;
		return s->vector != NO_VECTOR || !reads(s->access) ||
		       !((s->got ^ s->want) & ~s->may) || (s->either && s->got == s->want_cr2);
	default:
		return s->vector == s->want_vector;
	}
}

void steps_run(void)
{
	add(STEP_END, 0, 0);
	exec_steps(&world, list);
	for (const struct step *s = list; s->op; s++) {
		compared += s->op == STEP_LOAD || s->op >= STEP_ACCESS;
		if (!as_wanted(s))
			say_mismatch(s);
	}
	nr = 0;
	begins = true;
}

bool check_result(const char *what, struct access_result r, u32 vector, u64 error, u64 cr2)
{
	bool fine = r.vector == vector;

	compared++;
	if (vector != NO_VECTOR)
		fine = fine && r.error == error && r.cr2 == cr2;
	return check(fine, "%s: vector %x error %x cr2 %lx, wanted %x, %lx, %lx", what, r.vector,
		     r.error, (unsigned long)r.cr2, vector, (unsigned long)error,
		     (unsigned long)cr2);
}

static u32 steps_compared(void)
{
	u32 n = compared;

	compared = 0;
	messages = 0;
	return n;
}

void say_count(const char *name)
{
	u32 n = steps_compared();

	check(n, "%s: nothing was checked", name);
	print("%s: %u checks\n", name, n);
}
