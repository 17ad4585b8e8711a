// @ts-check
/** Waiting: how long before the next try, and what cuts a wait short. */

/** @typedef {import('./browser.js').Clock} Clock */

export const SECOND = 1000;

/** 0.5 s × 2^n, at most 10 s, the upper half of it by chance. @param {() => number} random @param {number} n */
export function backoff(random, n) {
  return Math.min(10_000, 500 * 2 ** n) * (0.5 + random() / 2);
}

/** A wait that can be ended early. One at a time. */
export class Nap {
  #clock;
  /** @type {{ timer: any, done: () => void } | null} */
  #now = null;

  /** @param {Clock} clock */
  constructor(clock) {
    this.#clock = clock;
  }

  /** @param {number} ms */
  sleep(ms) {
    this.end();
    return new Promise((resolve) => {
      const done = () => {
        this.#now = null;
        resolve(undefined);
      };
      this.#now = { timer: this.#clock.setTimeout(done, ms), done };
    });
  }

  end() {
    if (!this.#now) return;
    this.#clock.clearTimeout(this.#now.timer);
    this.#now.done();
  }
}
