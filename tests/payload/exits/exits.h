/* SPDX-License-Identifier: MIT */
/* What the files of this payload share. */
#ifndef TV_EXITS_H
#define TV_EXITS_H

#include "payload.h"

/** Is this cause switched on? The test that runs the payload says so on the command line, by the
 * name that the boot line has for it. */
#define SWITCHED(name) option(name)

/** A count to expect of a cause: none where it is off. */
#define WHEN(name, count) (SWITCHED(name) ? (count) : 0)

/** The vector of what TRY() ran, its error code, and that it was raised at the instruction. */
void expect_fault(const char *what, s64 got, s64 want, u64 error);

/* debug.c */
void test_debug_registers(void);
void test_debug_faults(void);
void test_general_detect(void);

/* tables.c */
void test_table_registers(void);
void test_ldtr(void);
void test_tr(void);
void test_selector_stores(void);
void test_stale_code(void);

/* exceptions.c */
void test_exceptions(void);
void test_software_exceptions(void);
void test_page_faults(void);
void test_double_fault(void);

#endif
