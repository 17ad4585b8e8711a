// A chain of proxies in front of a server of its own, the emulator of MAX behind.

import { existsSync } from 'node:fs';
import { fetchWhole } from '../harness/http.mjs';
import { freePort } from '../harness/process.mjs';
import { BASE_PATH, startEmulator, startServer } from '../harness/server.mjs';
import { eventually } from '../harness/time.mjs';
import { certificate } from '../harness/certificate.mjs';
import { startRelay } from '../harness/relay.mjs';
import { installed, startTier } from './proxies.mjs';

/** How often the server asks the emulator, in milliseconds. */
const POLL_MS = 100;

export const startMax = (options = {}) => startEmulator({ pollMs: POLL_MS, ...options });

/** Products of a chain that are not on this machine. */
export const missing = (chain) => [
  ...chain.tiers.map(({ product }) => product).filter((product) => !installed(product)),
  ...[chain.needs ?? []].flat().filter((file) => !existsSync(file)),
];

/**
 * Starts `chain`: server first, then the tiers from the inside out.
 * `change` gets a tier's number, text and ports, and gives the text to use; `settings` may be a
 * function of the address that visitors use. `relayed`: there is a relay in front that can cut
 * (harness/relay.mjs).
 */
export async function startChain(
  chain,
  emulator,
  { settings = {}, change = (_tier, text) => text, relayed = false } = {},
) {
  const ports = [];
  for (const _ of chain.tiers) ports.push(await freePort());
  const backend = await freePort();
  const front = relayed ? await freePort() : ports[0];
  const origin = `${chain.tls ? 'https' : 'http'}://127.0.0.1:${front}`;
  const things = [];
  let server = null;
  const stop = async () => {
    for (const thing of things.splice(0).reverse()) await thing.stop();
  };
  try {
    const startBackend = async () => {
      server = await startServer({
        upstream: [[emulator.url, 'json']],
        publicUrl: origin,
        port: backend,
        settings: {
          LOG_LEVEL: 'info',
          ...chain.settings,
          ...(typeof settings === 'function' ? settings({ origin }) : settings),
        },
      });
      return server;
    };
    things.push({ stop: () => server?.stop() });
    if (!chain.noBackend) await startBackend();
    const tiers = chain.tiers.map(({ product, config }, i) => {
      const place = { listen: ports[i], next: ports[i + 1] ?? backend, certificate: certificate() };
      return { product, name: chain.name, ...place, text: change(i, config(place), place), running: null };
    });
    const startAt = async (i) => {
      tiers[i].running = await startTier(tiers[i]);
    };
    things.push({ stop: () => Promise.all(tiers.map(({ running }) => running?.stop())) });
    for (let i = tiers.length - 1; i >= 0; i--) await startAt(i);
    const relay = relayed ? await startRelay(ports[0], { listen: front }) : null;
    if (relay) things.push(relay);
    // A proxy that accepts connections may still be reading its routes.
    const arrives = async () => (await fetchWhole(`${origin}${BASE_PATH}/session`, { ms: 2000 })).status === 401;
    if (chain.delivered === undefined) await eventually(arrives, `${chain.name} to pass a request on`);
    return {
      chain,
      origin,
      tiers,
      relay,
      stop,
      get server() {
        return server;
      },
      base: origin + BASE_PATH,
      /** The server without any proxy. */
      direct: `http://127.0.0.1:${backend}${BASE_PATH}`,
      stopTier: (i) => tiers[i].running.stop(),
      startTier: startAt,
      restartServer: async () => {
        await server.stop();
        await startBackend();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
