/** The real machine of the fleet demo joins the server through TLS: the agent demands it, and the demo's server has none. */
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { makeCertificate } from '../../packages/fleet/simulate/certificate.ts';
import type { Delivery } from '../../packages/fleet/test/guests/delivery.ts';
import { HERE } from '../../packages/fleet/test/guests/machine.ts';
import { Member } from '../../packages/fleet/test/guests/member.ts';

/** Boots it and joins the server at `url`; its connections are decrypted here. */
export async function joinGuest(folder: string, delivery: Delivery, url: string, token: string): Promise<Member> {
  const tls = makeCertificate(join(folder, 'guest-tls'), 2, `IP:${HERE}`);
  const behindPort = Number(new URL(url).port);
  const front = createServer({ cert: readFileSync(tls.certificate), key: readFileSync(tls.key) }, (socket) => {
    const behind = connect(behindPort, '127.0.0.1');
    socket.on('error', () => behind.destroy()).pipe(behind);
    behind.on('error', () => socket.destroy()).pipe(socket);
  });
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
  front.unref();
  const { port } = front.address() as AddressInfo;
  return await Member.join({ name: 'guest-1', folder, delivery, port, authorities: tls.authorities, token });
}
