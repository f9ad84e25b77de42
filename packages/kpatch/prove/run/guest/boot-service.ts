/** The part of a system boot that a guest performs: unpack the store of an earlier guest and load the installed patches. */

/** The folder of the installed patches, as on a host. */
export const STORE = '/var/lib/kpatch';

/** Path of the store of an earlier guest. */
export const STORE_ARCHIVE = '/kpatch/store.tar';

/** The command of `kpatch.service` (packaging/systemd). */
export const SERVICE_COMMAND = 'kpatch load --all --boot';

/** Results of the boot for the checks: `status`, `output`, `uptime`, and the kernel `log` from before the load. */
export const SERVICE_RESULT = '/run/kpatch-boot';

/**
 * The script for init of the guest, before anything else runs. It also prints to the console in case it does not finish.
 */
export const bootService = `mkdir -p ${SERVICE_RESULT}
tar -C / -xf ${STORE_ARCHIVE}
dmesg -r >${SERVICE_RESULT}/log
cut -d' ' -f1 /proc/uptime >${SERVICE_RESULT}/uptime
echo 'at boot: ${SERVICE_COMMAND}'
{ ${SERVICE_COMMAND}; echo $? >${SERVICE_RESULT}/status; } 2>&1 | tee ${SERVICE_RESULT}/output`;
