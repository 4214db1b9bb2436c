// What every driver shares: the person with the browser is on the other side of the terminal.

import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

/** What a driver is told: where the gateway is, which app it is, and what it is to use of its library. */
export const { values: told } = parseArgs({
  options: {
    gateway: { type: 'string' },
    app: { type: 'string' },
    redirect: { type: 'string', default: 'http://127.0.0.1:9/callback' }, // RFC 863's port: nobody listens, and no request is sent
    dpop: { type: 'string' }, // what its proofs are signed with
    par: { type: 'boolean', default: false },
    oidc: { type: 'boolean', default: false }, // discovery as OpenID Connect has it
  },
});

export const issuer = new URL(`${told.gateway}/mobile`);
export const orders = new URL('/api/orders', told.gateway);

/** Has the person open an address, and returns the one that their browser comes back with. */
export async function visit(address) {
  const terminal = createInterface({ input: process.stdin });
  const answer = once(terminal, 'line');
  console.log(String(address));
  const [line] = await answer;
  terminal.close();
  return new URL(line);
}

/** Says that something was done, which the test counts. */
export const did = (what) => console.log(`did: ${what}`);
