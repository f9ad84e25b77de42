/** What of a system's boot a guest does: the store that an earlier guest left is unpacked, and installed patches are loaded. */

/** The folder of the installed patches, as the host has it. */
export const STORE = '/var/lib/kpatch';

/** Where a guest finds the store of an earlier one. */
export const STORE_ARCHIVE = '/kpatch/store.tar';

/** What `kpatch.service` runs (packaging/systemd). */
export const SERVICE_COMMAND = 'kpatch load --all --boot';

/** What the boot leaves for the checks: `status`, `output`, `uptime`, and the kernel's `log` from before the load. */
export const SERVICE_RESULT = '/run/kpatch-boot';

/** For the guest's init, before anything else runs; also shown on the console, in case it does not come to its end. */
export const bootService = `mkdir -p ${SERVICE_RESULT}
tar -C / -xf ${STORE_ARCHIVE}
dmesg -r >${SERVICE_RESULT}/log
cut -d' ' -f1 /proc/uptime >${SERVICE_RESULT}/uptime
echo 'at boot: ${SERVICE_COMMAND}'
{ ${SERVICE_COMMAND}; echo $? >${SERVICE_RESULT}/status; } 2>&1 | tee ${SERVICE_RESULT}/output`;
