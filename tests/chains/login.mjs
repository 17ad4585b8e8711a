// One login over a chain, measured: web/client.js as a visitor's browser would run it, beside a reader that asks the
// server itself. What the client told is compared with what the server made: what, in which order, how late.

import assert from 'node:assert/strict';
import { Visitor, trackOf } from '../harness/visitor.mjs';
import { deadline, eventually, pause } from '../harness/time.mjs';
import { BrowserLike } from '../harness/client.mjs';

/** A visitor may see an event so much later than a reader without proxies: the promise of the project. */
export const LIVE_MS = 450;
/** The first event comes within a round trip and so much. */
export const FIRST_MS = 100;

const RANK = { 'long-poll': 0, sse: 1, websocket: 2 };

/** A login over `running` (from setup.mjs). Told events are in `told`, the reference in `made`. */
export class Login {
  told = [];
  made = [];
  #wakers = new Set();

  /** `browser`: who runs the client (client.mjs, chromium.mjs). */
  constructor(running, emulator, browser = new BrowserLike(running.origin, { h2: Boolean(running.chain.tls) })) {
    this.running = running;
    this.emulator = emulator;
    this.browser = browser;
  }

  roundTrip() {
    return this.browser.roundTrip(`${this.running.base}/session`);
  }

  async start() {
    this.startedAt = performance.now();
    // A browser apart knows better when its page began.
    const startedAt = await this.browser.start(this.running.base, (event, data, at = performance.now()) => {
      this.told.push({ event, data, at, transport: this.browser.transport });
      if (this.told.length === 1)
        this.#reference(data.login).catch((error) => {
          this.referenceError = error;
        });
      for (const wake of this.#wakers) wake();
    });
    if (startedAt !== undefined) this.startedAt = startedAt;
  }

  /** The same login, read from the server itself with the same cookie. */
  async #reference(login) {
    this.login = login;
    const visitor = new Visitor(this.running.direct, {
      jar: await this.browser.cookies(),
      origin: this.running.origin,
    });
    const stream = await visitor.resume('ws-url', login);
    this.referenceAt = performance.now();
    this.reference = stream;
    this.made = stream.events;
  }

  /** Waits until the client has told an event that fits, at or behind place `from`. */
  until(fits, what, ms = 15_000, from = 0) {
    const test = typeof fits === 'string' ? ({ event }) => event === fits : fits;
    let wake;
    return deadline(
      new Promise((resolve) => {
        wake = () => {
          const found = this.told.slice(from).find(test);
          if (found) resolve(found);
        };
        this.#wakers.add(wake);
        wake();
      }),
      ms,
      what ?? `"${fits}"`,
    )
      .catch(async (error) => {
        error.message += `; told: ${story(this.told)}; made: ${story(this.made)}; client: ${JSON.stringify(await this.browser.report())}`;
        throw error;
      })
      .finally(() => this.#wakers.delete(wake));
  }

  /** Waits until the client has made up its mind: a WebSocket that delivers, or none and then SSE or none. */
  async settled(ms = 12_000) {
    const tried = (kind) => {
      const all = this.browser.carriers.filter((carrier) => carrier.kind === kind);
      return all.length > 0 && all.every(({ ended }) => ended);
    };
    const end = performance.now() + ms;
    let calmSince = 0;
    while (performance.now() < end) {
      const now = performance.now();
      const decided = this.browser.transport !== 'long-poll' || (tried('websocket') && tried('sse'));
      if (!decided) calmSince = 0;
      else calmSince ||= now;
      if (calmSince && now - calmSince > 300) return this.browser.transport;
      await pause(25);
    }
    return this.browser.transport;
  }

  /** A fresh code: the old one is said to have run out. Gives the new one. */
  async newCode(qr) {
    const from = this.told.indexOf(qr) + 1;
    await this.emulator.expire(trackOf(qr));
    return this.until('qr', 'a fresh code', 15_000, from);
  }

  approve(qr) {
    return this.emulator.approve(trackOf(qr));
  }

  async outcome(ms = 15_000) {
    const last = await this.until(({ event }) => event === 'success' || event === 'error', 'the outcome', ms);
    // Whatever would come twice has a moment to do so, and the reference its own last event.
    await pause(300);
    await eventually(
      () => this.made.some(({ event }) => event === 'success' || event === 'error'),
      'the outcome without proxies',
      5000,
    ).catch(() => {});
    return last;
  }

  async stop() {
    await this.browser.stop();
    this.reference?.cut();
    // The DELETE of a stopped client has a moment to leave.
    await pause(20);
    await this.browser.close();
  }

  /** Everything that was made was told, once, in order, and no error. */
  assertWhole() {
    if (this.referenceError) throw this.referenceError;
    const plain = (events) => events.map(({ event, data }) => ({ event, data }));
    const error = this.told.find(({ event }) => event === 'error');
    assert.equal(error, undefined, `the visitor saw an error: ${JSON.stringify(error?.data)}`);
    assert.equal(story(this.told), story(this.made), 'what was told is not what was made');
    assert.deepEqual(plain(this.told), plain(this.made));
  }

  /**
   * Milliseconds by which each event came later than at the reference. An event that the reference got in its first
   * burst (the log as it was when it came) counts from the start of the login: never too kind.
   */
  lateness() {
    const replayed = (event) => event.at - this.referenceAt < 5;
    return this.told.slice(1).map((event, i) => {
      const made = this.made[i + 1];
      const since = replayed(made) ? this.startedAt : made.at;
      return {
        event: event.event,
        stage: event.data.stage,
        transport: event.transport,
        ms: Math.max(0, event.at - since),
      };
    });
  }

  get firstMs() {
    return this.told[0].at - this.startedAt;
  }
}

export const story = (events) =>
  events.map(({ event, data }) => (event === 'status' ? data.stage : event)).join(' ') || 'nothing';

export const atLeastAsGood = (transport, wanted) => RANK[transport] >= RANK[wanted];

/**
 * The login of the matrix: code, a fresh code while the transports still race, another when they have settled, approval.
 * Gives what the table shows; `faults` are texts, timing apart from the rest.
 */
export async function measuredLogin(running, emulator, browser = undefined) {
  const login = new Login(running, emulator, browser);
  const result = { name: running.chain.name, transport: '-', firstMs: NaN, worstMs: NaN, faults: [], timing: [] };
  try {
    const roundTrip = await login.roundTrip();
    await login.start();
    let qr = await login.until('qr');
    await pause(700);
    qr = await login.newCode(qr);
    await login.settled();
    await pause(running.chain.stayMs ?? 300);
    result.transport = login.browser.transport;
    qr = await login.newCode(qr);
    await pause(300);
    await login.approve(qr);
    await login.outcome();
    login.assertWhole();

    const late = login.lateness();
    result.firstMs = login.firstMs;
    result.worstMs = Math.max(...late.map(({ ms }) => ms));
    result.late = late;
    if (result.firstMs > roundTrip + FIRST_MS)
      result.timing.push(
        `first event after ${result.firstMs.toFixed(0)} ms, a round trip takes ${roundTrip.toFixed(0)} ms`,
      );
    for (const { event, stage, ms, transport } of late) {
      if (ms > LIVE_MS) result.timing.push(`${stage ?? event} ${ms.toFixed(0)} ms late (${transport})`);
    }
  } catch (error) {
    result.faults.push(error.message);
    result.stack = error.stack;
  } finally {
    result.report = await login.browser.report();
    await login.stop();
  }
  return result;
}
