// Who asks MAX about whose code: a login has one writer, so MAX is asked about one code of it at a time. What the
// emulator counts is looked at a few times a second; visitors call each login's device by a name of its own.

import { pause } from '../harness/time.mjs';

const LOOK_MS = 250;

/** A node that was halted asks once more before it knows what it has lost. */
const OVERLAP_MS = 1500;

export class Writers {
  #polls = new Map();
  /** By device: since when two codes are asked about, and the longest such time. */
  #since = new Map();
  #going = true;
  longestMs = 0;
  looks = 0;

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
      const codes = await this.emulator.codes().catch(() => []);
      this.#look(codes, performance.now());
      await pause(LOOK_MS);
    }
  }

  #look(codes, now) {
    this.looks += 1;
    const asked = new Map();
    const polls = new Map();
    for (const { track, deviceName, polls: count } of codes) {
      polls.set(track, count);
      if (count > (this.#polls.get(track) ?? 0)) asked.set(deviceName, [...(asked.get(deviceName) ?? []), track]);
    }
    this.#polls = polls;
    for (const [device, tracks] of asked) {
      if (tracks.length < 2) {
        this.#since.delete(device);
        continue;
      }
      const since = this.#since.get(device) ?? { at: now };
      this.#since.set(device, since);
      const ms = now - since.at;
      this.longestMs = Math.max(this.longestMs, ms);
      if (ms > OVERLAP_MS && !since.told) {
        since.told = true;
        this.fault(`two nodes ask MAX for "${device}" at once, for more than ${OVERLAP_MS} ms: ${tracks.join(', ')}`);
      }
    }
  }
}
