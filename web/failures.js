// @ts-check
/** What went wrong on the way: kept for the page that asks, and told to the server, whose metrics show it. */

/** @typedef {import('./browser.js').Clock} Clock */
/** @typedef {{ at: number, transport: string, why: string }} Report */

const KEPT_MAX = 20;
const UNTOLD_MAX = 10; // failures that wait to be told to the server

export class Failures {
  /** @type {Report[]} the last ones */
  report = [];
  /** @type {string[]} of those, what the server has not been told */
  #untold = [];
  #clock;

  /** @param {Clock} clock */
  constructor(clock) {
    this.#clock = clock;
  }

  /** @param {string} transport @param {string} why */
  note(transport, why) {
    this.report.push({ at: this.#clock.now(), transport, why });
    if (this.report.length > KEPT_MAX) this.report.shift();
    const [reason, status] = why.split(' ');
    if (this.#untold.length < UNTOLD_MAX)
      this.#untold.push(`${transport}.${reason}${reason === 'http' ? `-${status}` : ''}`);
  }

  /** What goes along with the next request, once. */
  takeUntold() {
    return this.#untold.splice(0).join(',');
  }
}
