// The parts that most tests begin or end with.

import assert from 'node:assert/strict';
import { startEmulator, startServer } from './server.mjs';
import { Visitor, loginOf, trackOf } from './visitor.mjs';
import { eventually } from './time.mjs';

/** Things to end, in the opposite order of their start; an `after` that forgets nothing and tries everything. */
export class Cleanup {
  #things = [];

  add(thing) {
    this.#things.push(thing);
    return thing;
  }

  async run() {
    const errors = [];
    for (const thing of this.#things.splice(0).reverse()) {
      try {
        await thing.stop();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }
}

/** An emulator and a server that asks it. */
export async function startPair(cleanup, { emulator: emulatorOptions, dialect = 'json', ...serverOptions } = {}) {
  const emulator = cleanup.add(await startEmulator(emulatorOptions));
  const server = cleanup.add(await startServer({ upstream: [[emulator.url, dialect]], ...serverOptions }));
  return { emulator, server };
}

/** From the first event to the code: gives {login, qr, track}. */
export async function untilCode(stream) {
  const login = await loginOf(stream);
  const qr = await stream.until('qr');
  return { login, qr, track: trackOf(qr) };
}

/** The phone, where a browser shows the code: the one that is waiting is approved. */
export async function scan(emulator) {
  const code = await eventually(async () => (await emulator.codes())[0], 'a code to scan', 15_000);
  await emulator.approve(code.track);
}

/** A whole sign-in over one transport, the person found in /session at the end. */
export async function signIn({ emulator, base, how = 'ws', visitor = new Visitor(base), start = {}, options = {} }) {
  let stream;
  if (how === 'ws') stream = await visitor.startWs(start, options);
  else if (how === 'sse') stream = await visitor.startSse(start, options);
  else {
    const page = await visitor.startPage(start, options);
    stream = visitor.pages(page.login, page.next);
    for (const event of [...page.events].reverse()) stream.events.unshift({ ...event, at: performance.now() });
  }
  const { login, track } = await untilCode(stream);
  await emulator.approve(track);
  const success = await stream.outcome();
  assert.equal(success.event, 'success', JSON.stringify(success));
  const callback = await visitor.callback(success.data.token);
  assert.equal(callback.status, 303, callback.text);
  const session = await visitor.session();
  assert.equal(session.status, 200, session.text);
  return { visitor, stream, login, track, success, callback, session: session.json };
}

/** Every sign-in at MAX was also ended there. */
export function everyLoginEnded(emulator, atLeast = 0) {
  return eventually(async () => {
    const stats = await emulator.stats();
    return stats.logins >= atLeast && stats.logins === stats.logouts && stats;
  }, 'logins == logouts at MAX');
}

/** A problem body with this status and code. */
export function isProblem(answer, status, code) {
  assert.equal(answer.status, status, `${answer.status} ${answer.text}`);
  assert.match(answer.headers['content-type'] ?? '', /^application\/problem\+json/);
  const problem = JSON.parse(answer.text);
  if (code) assert.equal(problem.code, code, answer.text);
  else assert.match(problem.code, /^[a-z][a-z0-9-]*$/, answer.text);
  assert.equal(problem.status, status);
  assert.ok(problem.title, answer.text);
  return problem;
}
