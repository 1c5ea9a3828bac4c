/* SPDX-License-Identifier: MIT */
/* VMX definitions: the VMCS field enum, control bits, and the layout of exit information. */
#ifndef TV_VMX_H
#define TV_VMX_H

#include "types.h"

enum vmcs_field {
#define VMCS_FIELD(encoding, name) name = encoding,
#include "vmcs_fields.def"
#undef VMCS_FIELD
};

/* SDM volume 3, section 25.6.1 "Pin-Based VM-Execution Controls". */
#define PIN_EXTERNAL_INTERRUPT BIT(0)
#define PIN_NMI_EXITING BIT(3)
#define PIN_VIRTUAL_NMIS BIT(5)
#define PIN_PREEMPTION_TIMER BIT(6)
#define PIN_POSTED_INTERRUPTS BIT(7)

/* Section 25.6.2 "Processor-Based VM-Execution Controls": primary. */
#define CPU1_INTERRUPT_WINDOW BIT(2)
#define CPU1_TSC_OFFSETTING BIT(3)
#define CPU1_HLT_EXITING BIT(7)
#define CPU1_INVLPG_EXITING BIT(9)
#define CPU1_MWAIT_EXITING BIT(10)
#define CPU1_RDPMC_EXITING BIT(11)
#define CPU1_RDTSC_EXITING BIT(12)
#define CPU1_CR3_LOAD_EXITING BIT(15)
#define CPU1_CR3_STORE_EXITING BIT(16)
#define CPU1_TERTIARY BIT(17)
#define CPU1_CR8_LOAD_EXITING BIT(19)
#define CPU1_CR8_STORE_EXITING BIT(20)
#define CPU1_TPR_SHADOW BIT(21)
#define CPU1_NMI_WINDOW BIT(22)
#define CPU1_MOV_DR_EXITING BIT(23)
#define CPU1_UNCOND_IO_EXITING BIT(24)
#define CPU1_IO_BITMAPS BIT(25)
#define CPU1_MONITOR_TRAP_FLAG BIT(27)
#define CPU1_MSR_BITMAPS BIT(28)
#define CPU1_MONITOR_EXITING BIT(29)
#define CPU1_PAUSE_EXITING BIT(30)
#define CPU1_SECONDARY BIT(31)

/* Secondary. */
#define CPU2_APIC_ACCESSES BIT(0)
#define CPU2_EPT BIT(1)
#define CPU2_DESC_TABLE_EXITING BIT(2)
#define CPU2_RDTSCP BIT(3)
#define CPU2_X2APIC_MODE BIT(4)
#define CPU2_VPID BIT(5)
#define CPU2_WBINVD_EXITING BIT(6)
#define CPU2_UNRESTRICTED_GUEST BIT(7)
#define CPU2_APIC_REGISTER_VIRT BIT(8)
#define CPU2_VIRT_INTR_DELIVERY BIT(9)
#define CPU2_PAUSE_LOOP_EXITING BIT(10)
#define CPU2_RDRAND_EXITING BIT(11)
#define CPU2_INVPCID BIT(12)
#define CPU2_VMFUNC BIT(13)
#define CPU2_RDSEED_EXITING BIT(16)
#define CPU2_PML BIT(17)
#define CPU2_XSAVES BIT(20)
#define CPU2_SPP BIT(23)

/* Section 25.7.1 "VM-Exit Controls". */
#define EXIT_SAVE_DEBUG_CONTROLS BIT(2)
#define EXIT_HOST_ADDR_SPACE_SIZE BIT(9)
#define EXIT_LOAD_PERF_GLOBAL_CTRL BIT(12)
#define EXIT_ACK_INTERRUPT BIT(15)
#define EXIT_SAVE_PAT BIT(18)
#define EXIT_LOAD_PAT BIT(19)
#define EXIT_SAVE_EFER BIT(20)
#define EXIT_LOAD_EFER BIT(21)
#define EXIT_SAVE_PREEMPTION_TIMER BIT(22)

/* Section 25.8.1 "VM-Entry Controls". */
#define ENTRY_LOAD_DEBUG_CONTROLS BIT(2)
#define ENTRY_IA32E_MODE_GUEST BIT(9)
#define ENTRY_LOAD_PERF_GLOBAL_CTRL BIT(13)
#define ENTRY_LOAD_PAT BIT(14)
#define ENTRY_LOAD_EFER BIT(15)

/* Section 25.8.3 "VM-Entry Controls for Event Injection" and 25.9.2, 25.9.3. */
#define INTR_INFO_VECTOR_MASK 0xffu
#define INTR_INFO_TYPE_MASK 0x700u
#define INTR_TYPE_EXTERNAL (0u << 8)
#define INTR_TYPE_NMI (2u << 8)
#define INTR_TYPE_HARD_EXCEPTION (3u << 8)
#define INTR_TYPE_SOFT_INTERRUPT (4u << 8)
#define INTR_TYPE_PRIV_SW_EXCEPTION (5u << 8)
#define INTR_TYPE_SOFT_EXCEPTION (6u << 8)
#define INTR_TYPE_OTHER (7u << 8) /* with vector 0: a monitor-trap-flag exit is pending */
#define INTR_INFO_ERROR_CODE BIT(11)
#define INTR_INFO_NMI_UNBLOCK BIT(12)
#define INTR_INFO_VALID BIT(31)

/* Section 25.4.2 "Guest Non-Register State": interruptibility and activity. */
#define INTERRUPTIBILITY_STI BIT(0)
#define INTERRUPTIBILITY_MOV_SS BIT(1)
#define INTERRUPTIBILITY_SMI BIT(2)
#define INTERRUPTIBILITY_NMI BIT(3)
#define PENDING_DBG_BS BIT(14)
#define ACTIVITY_ACTIVE 0
#define ACTIVITY_HLT 1
#define ACTIVITY_SHUTDOWN 2
#define ACTIVITY_WAIT_SIPI 3

/* Exit qualification of an EPT violation, table 28-7. */
#define EPT_VIOLATION_READ BIT(0)
#define EPT_VIOLATION_WRITE BIT(1)
#define EPT_VIOLATION_FETCH BIT(2)
#define EPT_VIOLATION_ALLOWED (7u << 3) /* what the entry lets pass: read, write, fetch */
#define EPT_VIOLATION_GVA_VALID BIT(7)
#define EPT_VIOLATION_GVA_TRANSLATED BIT(8)
#define EPT_VIOLATION_NMI_UNBLOCK BIT(12)

/* IA32_VMX_EPT_VPID_CAP, appendix A.10 "VPID and EPT Capabilities". */
#define EPT_CAP_EXEC_ONLY BIT(0)
#define EPT_CAP_PAGE_WALK_4 BIT(6)
#define EPT_CAP_UC BIT(8)
#define EPT_CAP_WB BIT(14)
#define EPT_CAP_2M BIT(16)
#define EPT_CAP_1G BIT(17)
#define EPT_CAP_INVEPT BIT(20)
#define EPT_CAP_AD BIT(21)
#define EPT_CAP_INVEPT_SINGLE BIT(25)
#define EPT_CAP_INVEPT_ALL BIT(26)
#define VPID_CAP_INVVPID BIT(32)
#define VPID_CAP_INDIVIDUAL BIT(40)
#define VPID_CAP_SINGLE BIT(41)
#define VPID_CAP_ALL BIT(42)
#define VPID_CAP_SINGLE_RETAIN_GLOBALS BIT(43)

/* The EPT pointer, table 25-9: accessed and dirty flags are enabled. */
#define EPTP_AD BIT(6)

/** The name of a VMCS field, of a VM-instruction error; "?" where there is none. */
const char *vmcs_field_name(u32 field);
const char *vmx_error_name(u32 nr);

#endif
