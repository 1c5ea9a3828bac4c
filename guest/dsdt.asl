/* SPDX-License-Identifier: MIT */
/*
 * The DSDT: what the fixed registers of the FADT cannot say. guest/dsdt.h is this table, compiled:
 *
 *     iasl -p dsdt guest/dsdt.asl
 *     xxd -i dsdt.aml
 *
 * The build does not need iasl; tests/host/test_acpi.c checks that the table is whole.
 */
DefinitionBlock ("", "DSDT", 2, "TALLYV", "TALLYVSR", 1)
{
	/* Soft off: SLP_TYP 5, as guest/pm.h has it. No other sleeping states. */
	Name (\_S5, Package () { 5, 5, 0, 0 })

	Scope (\_SB)
	{
		Device (COM1)
		{
			Name (_HID, EisaId ("PNP0501"))
			Name (_UID, 1)
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, 0x03f8, 0x03f8, 1, 8)
				IRQNoFlags () { 4 }
			})
		}

		Device (RTC)
		{
			Name (_HID, EisaId ("PNP0B00"))
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, 0x0070, 0x0070, 1, 2)
				IRQNoFlags () { 8 }
			})
		}
	}
}
