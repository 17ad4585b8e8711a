// Who asks MAX about whose code: a login has one writer, so MAX is asked about its newest code only. What the emulator counts
// is looked at a few times a second; visitors call each login's device by a name of its own.

import { pause } from '../harness/time.mjs';

const LOOK_MS = 250;

/** A node that was halted asks once more before it knows what it has lost. */
const OVERLAP_MS = 2000;

export class Writers {
  #polls = new Map();
  /** By device: its newest code. */
  #newest = new Map();
  /** Codes that are asked about though there is a newer one: since when. */
  #since = new Map();
  #going = true;
  longestMs = 0;

  constructor(emulator, fault) {
    this.emulator = emulator;
    this.fault = fault;
    this.done = this.#watch();
  }

  async stop() {
    this.#going = false;
    await this.done;
  }

  async #watch() {
    while (this.#going) {
      const codes = await this.emulator.codes().catch(() => null);
      if (codes) this.#look(codes, performance.now());
      await pause(LOOK_MS);
    }
  }

  /** Codes come the oldest first. */
  #look(codes, now) {
    const before = this.#polls;
    this.#polls = new Map(codes.map(({ track, polls }) => [track, polls]));
    for (const { track, deviceName } of codes) if (!before.has(track)) this.#newest.set(deviceName, track);
    for (const { track, deviceName, polls } of codes) {
      const asked = before.has(track) && polls > before.get(track);
      if (!asked || this.#newest.get(deviceName) === track) {
        this.#since.delete(track);
        continue;
      }
      const since = this.#since.get(track) ?? { at: now };
      this.#since.set(track, since);
      const ms = now - since.at;
      this.longestMs = Math.max(this.longestMs, ms);
      if (ms > OVERLAP_MS && !since.told) {
        since.told = true;
        this.fault(`a node goes on asking MAX for "${deviceName}", ${Math.round(ms)} ms, though another took it over`);
      }
    }
  }
}
