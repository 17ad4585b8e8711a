// The bot's side of the emulator: what people do on their phones, and what a test does to MAX.

import { fetchWhole } from './http.mjs';
import { startEmulator } from './server.mjs';

export const TOKEN = 'emulator-bot-token';

/** Starts `max-auth emulate --bot`. */
export async function startBotEmulator({ args = [], ...options } = {}) {
  const emulator = await startEmulator({ args: ['--bot', ...args], ...options });
  const api = `${emulator.address}/bot-api`;
  return Object.assign(emulator, {
    api,
    /** The phone of one person; without an id, of the emulator's own account. */
    person: (id) => phoneOf(emulator.address, id),
    botStats: () => asked(`${emulator.address}/phone/bot/stats`),
    /** Replaces the fault script. `more`: `limits`, `noMarker`, `forget`. */
    botFault: (faults, more = {}) => asked(`${emulator.address}/phone/bot/fault`, { faults, ...more }),
    /** A request of a bot, with its token: {status, json, headers}. */
    ask: (method, path, json) =>
      fetchWhole(`${api}${path}`, {
        method,
        headers: { authorization: TOKEN, 'content-type': 'application/json' },
        body: json === undefined ? undefined : JSON.stringify(json),
        ms: 40_000,
      }),
  });
}

/** The phone of a person at an emulator with a bot, or at a demo. */
export function phoneOf(address, id) {
  const base = `${address}/phone/bot`;
  const who = id === undefined ? '' : `person=${id}`;
  const at = (path, query = '') => `${base}/${path}?${[who, query].filter(Boolean).join('&')}`;
  const word = (payload) => encodeURIComponent(payload);
  return {
    start: (payload) => asked(at(payload === undefined ? 'start' : `start/${word(payload)}`), ''),
    stop: () => asked(at('stop'), ''),
    say: (text) => asked(at('say'), text),
    press: (payload) => asked(at(`press/${word(payload)}`), ''),
    contact: (kind = 'own') => asked(at('contact', `kind=${kind}`), ''),
    dialog: () => asked(at('dialog')),
    launch: (startapp) => asked(at(startapp === undefined ? 'launch' : `launch/${word(startapp)}`), ''),
    requestContact: (kind = 'own') => asked(at('request-contact', `kind=${kind}`), ''),
    initData: async (kind, more = {}) => (await asked(at('init-data'), { kind, ...more })).initData,
    change: (changes) => asked(at('person'), changes),
  };
}

async function asked(url, body) {
  const answer = await fetchWhole(url, {
    method: body === undefined ? 'GET' : 'POST',
    body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
  });
  if (answer.status >= 300) throw new Error(`${url}: ${answer.status} ${answer.text}`);
  return answer.text ? answer.json : undefined;
}
