#!/bin/sh
# SPDX-License-Identifier: MIT
# What the Linux on the emulated machine does: load KVM, run QEMU with Tallyvisor in it on this
# console, and say afterwards how often KVM's guests exited. tools/nested/log.py reads the lines
# that begin with "nested: ".
cd /nested || exit 1
export PATH=/bin:/usr/bin HOME=/root

say() {
	echo "nested: $*"
}

uptime() {
	cut -d ' ' -f 1 /proc/uptime
}

# A histogram of a tracepoint of KVM's: one line a value.
count() {
	echo "hist:keys=$2" >"$events/$1/trigger"
}
counted() {
	sed -n "s/^{ $2: *\([0-9]*\) } hitcount: *\([0-9]*\)$/nested: $1 \1 \2/p" "$events/$1/hist"
}

say "linux $(uname -r) up at $(uptime)"
for module in irqbypass kvm; do
	insmod $module.ko || exit 2
done
# shellcheck disable=SC2046  # words
insmod kvm-intel.ko $(cat kvm-intel.options) || exit 3
# Some 5 MiB that QEMU may have.
rm ./*.ko
grep -m 1 '^flags' /proc/cpuinfo
for parameter in /sys/module/kvm_intel/parameters/*; do
	say "parameter $(basename "$parameter") $(cat "$parameter")"
done
[ -c /dev/kvm ] && say "device /dev/kvm"

mount -t tracefs tracefs /sys/kernel/tracing
events=/sys/kernel/tracing/events/kvm
count kvm_exit exit_reason
count kvm_nested_vmexit exit_reason
count kvm_nested_vmexit_inject exit_code

say "qemu starts at $(uptime)"
# The machine inside may print whatever this one does: its lines get a mark.
{
	sh ./qemu </dev/null
	echo $? >status
} | awk '{ print "| " $0; fflush() }'
status=$(cat status)
say "qemu ended at $(uptime) with $status"
counted kvm_exit exit_reason
counted kvm_nested_vmexit exit_reason
counted kvm_nested_vmexit_inject exit_code
exit $status
