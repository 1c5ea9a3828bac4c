/* SPDX-License-Identifier: MIT */
/* Reporting a machine check (SDM volume 3, section 16.3 "Machine-Check MSRs"). */
#include "mce.h"

#include "console.h"
#include "insn.h"
#include "msr_index.h"
#include "panic.h"

#define MCI_STATUS_VAL BIT(63)

_Noreturn void panic_machine_check(const char *when)
{
	unsigned banks = rdmsr(MSR_IA32_MCG_CAP) & 0xff;

	for (unsigned i = 0; i < banks; i++) {
		u64 status = rdmsr(MSR_IA32_MC0_CTL + 4 * i + 1);

		if (status & MCI_STATUS_VAL)
			klog("machine-check bank %u: status %016llx", i,
			     (unsigned long long)status);
	}
	panic("machine check %s: MCG_STATUS %llx", when,
	      (unsigned long long)rdmsr(MSR_IA32_MCG_STATUS));
}
