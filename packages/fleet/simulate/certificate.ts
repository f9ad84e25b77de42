/** A certificate authority and server certificates for tests, measurements and the demo, made with openssl(1). */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface TestCertificate {
  /** The certificate of the authority (PEM). */
  readonly authorities: string;
  readonly authoritiesFile: string;
  readonly certificate: string;
  readonly key: string;
}

/** Makes an authority in the folder and a certificate for localhost and 127.0.0.1; `days` below 0: it has expired. */
export function makeCertificate(folder: string, days = 30, names = 'DNS:localhost,IP:127.0.0.1'): TestCertificate {
  mkdirSync(folder, { recursive: true });
  const at = (name: string): string => join(folder, name);
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { stdio: 'ignore' });
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl(
    'req',
    '-x509',
    ...curve,
    '-keyout',
    at('ca.key'),
    '-out',
    at('ca.pem'),
    '-days',
    '3650',
    '-subj',
    '/CN=kpatch fleet',
  );
  openssl('req', ...curve, '-keyout', at('server.key'), '-out', at('server.csr'), '-subj', '/CN=localhost');
  writeFileSync(at('names'), `subjectAltName=${names}\n`);
  const until = days < 0 ? ['-days', '-1'] : ['-days', String(days)];
  openssl(
    'x509',
    '-req',
    '-in',
    at('server.csr'),
    '-CA',
    at('ca.pem'),
    '-CAkey',
    at('ca.key'),
    '-CAcreateserial',
    '-out',
    at('server.pem'),
    '-extfile',
    at('names'),
    ...until,
  );
  return {
    authorities: readFileSync(at('ca.pem'), 'utf8'),
    authoritiesFile: at('ca.pem'),
    certificate: at('server.pem'),
    key: at('server.key'),
  };
}
