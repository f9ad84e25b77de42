/** What a process that may run as root does not take over from the user who started it. */

/** Variables that make Node or OpenSSL load foreign code or trust foreign certificates. */
export const risky = [
  'NODE_OPTIONS',
  'NODE_EXTRA_CA_CERTS',
  'OPENSSL_CONF',
  'OPENSSL_ENGINES',
  'OPENSSL_MODULES',
  'SSL_CERT_DIR',
  'SSL_CERT_FILE',
] as const;

/**
 * Files and folders of this process are never writable by others, whatever the umask was. Under sudo, which keeps variables
 * with `-E`, programs that it starts (openssl, apt, make) do not see the risky ones.
 */
export function harden(env: NodeJS.ProcessEnv = process.env): void {
  process.umask(process.umask() | 0o022);
  if (env.SUDO_UID === undefined) return;
  for (const name of risky) delete env[name];
}
