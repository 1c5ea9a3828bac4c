/* SPDX-License-Identifier: MIT */
/*
 * Basic types. Guest-virtual, guest-physical and host-physical addresses are
 * distinct one-member structs, so that passing one for another does not compile.
 */
#ifndef TV_TYPES_H
#define TV_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

/** Guest-virtual (linear), guest-physical and host-physical address. */
typedef struct {
	u64 v;
} gva_t;
typedef struct {
	u64 v;
} gpa_t;
typedef struct {
	u64 v;
} hpa_t;

#define GVA(x) ((gva_t){(x)})
#define GPA(x) ((gpa_t){(x)})
#define HPA(x) ((hpa_t){(x)})

#define KIB(x) ((u64)(x) << 10)
#define MIB(x) ((u64)(x) << 20)
#define GIB(x) ((u64)(x) << 30)

#define PAGE_SHIFT 12
#define PAGE_SIZE KIB(4)
#define PAGE_MASK (~(PAGE_SIZE - 1))

#define BIT(n) (1ull << (n))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define ALIGN_DOWN(x, a) ((x) & ~((u64)(a)-1))
#define ALIGN_UP(x, a) ALIGN_DOWN((x) + (u64)(a)-1, a)
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/** A moment that never comes: the deadline of a timer that is not armed. */
#define NEVER (~0ull)

#endif
