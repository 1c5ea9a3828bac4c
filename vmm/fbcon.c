/* SPDX-License-Identifier: MIT */
/* The screen: what of it touches the machine. */
#include "fbcon.h"

#include "host_paging.h"

/* EFI_GRAPHICS_PIXEL_FORMAT (UEFI specification 2.10, section 12.9 "Graphics Output Protocol"). */
#define PIXEL_RED_GREEN_BLUE_RESERVED 0
#define PIXEL_BLUE_GREEN_RED_RESERVED 1

#define SIDE_MAX 16384 /* pixels; keeps the sizes below in 32 bits */

/** Whether memory that somebody uses lies within the framebuffer: then one of them is mistaken. */
static bool overlaps_memory(const struct boot_info *boot, u64 hpa, u64 size)
{
	for (u32 i = 0; i < boot->nr_mem; i++) {
		const struct boot_mem *m = &boot->mem[i];

		if (m->kind != BOOT_MEM_MMIO && m->kind != BOOT_MEM_RESERVED &&
		    hpa < m->hpa + m->size && m->hpa < hpa + size)
			return true;
	}
	return false;
}

const char *fbcon_init(struct fbcon *s, const struct boot_info *boot)
{
	const struct boot_framebuffer *fb = &boot->fb;
	u64 size = (u64)fb->pitch_pixels * fb->height * sizeof(u32);

	if (!fb->width)
		return "";
	if (fb->format != PIXEL_RED_GREEN_BLUE_RESERVED &&
	    fb->format != PIXEL_BLUE_GREEN_RED_RESERVED)
		return "its pixels are not of 32 bits";
	if (fb->pitch_pixels > SIDE_MAX || fb->height > SIDE_MAX || size > fb->size)
		return "the firmware's description of it contradicts itself";
	if (overlaps_memory(boot, fb->hpa, size))
		return "it lies in memory that is used for something else";
	struct fbtext_surface surface = {
		.pixels = mmio_map_write_combining(HPA(fb->hpa), size),
		.width = fb->width,
		.height = fb->height,
		.pitch = fb->pitch_pixels,
		.red_first = fb->format == PIXEL_RED_GREEN_BLUE_RESERVED,
	};

	if (!fbtext_init(&s->text, &surface))
		return "it is too small for text";
	s->present = true;
	return NULL;
}

void fbcon_put(struct fbcon *s, u8 byte)
{
	fbtext_put(&s->text, byte);
}

bool fbcon_draw(struct fbcon *s, u32 cells)
{
	bool left;

	if (!s->present || s->busy)
		return false;
	s->busy = true;
	left = fbtext_draw(&s->text, cells);
	s->busy = false;
	return left;
}
