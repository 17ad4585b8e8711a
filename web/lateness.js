// @ts-check
/**
 * How late a stream is. The server writes when it sent each page, and into each stream marks that say when they were sent
 * and when the next one comes. A stream is as good as its marks: it takes over when some in a row came about as soon as
 * an ordinary answer does on this line, and is given up when one comes late or not at all. Whatever delays, holds or
 * breaks a stream on its way shows in this, so nothing here knows any proxy.
 */

/** @typedef {import('./browser.js').Clock} Clock */
/** @typedef {{ sent: number, next: number }} Mark when it was sent by the server's clock, and until the next one, in ms */

/** What a stream may be later than an ordinary answer, besides the round trip that asking again costs. */
const SLACK_MS = 250;
const TRIP_MAX_MS = 1500;
const KEPT = 5;
/** A timer that comes so much late was held up by the page itself, and what it waited for may be in the queue behind it. */
const STALLED_MS = 200;

/** What the line can do, learned from ordinary answers. */
export class Line {
  /** @type {number[]} from the server's sending to the arrival; the difference of the clocks is in it, and in all that is compared */
  #ways = [];
  /** @type {number[]} */
  #trips = [];

  /** An answer has come. @param {any} page @param {number} askedAt @param {number} now */
  answered(page, askedAt, now) {
    if (!Number.isFinite(page?.asked) || !Number.isFinite(page?.sent)) return;
    keep(this.#ways, now - page.sent);
    keep(this.#trips, Math.max(0, now - askedAt - (page.sent - page.asked)));
  }

  /** Milliseconds that a stream may be late. Polling, too, can be late by a round trip: the time to ask again. */
  get tolerance() {
    return SLACK_MS + (this.#trips.length > 0 ? Math.min(TRIP_MAX_MS, ...this.#trips) : 0);
  }

  /** By how much later something came than an ordinary answer; NaN where there is nothing to compare with. @param {number} sent @param {number} now */
  lateness(sent, now) {
    const usual = [...this.#ways].sort((a, b) => a - b)[Math.floor(this.#ways.length / 2)];
    return now - sent - usual;
  }
}

/** @param {number[]} list @param {number} value */
function keep(list, value) {
  list.push(value);
  if (list.length > KEPT) list.shift();
}

/**
 * @typedef {object} Verdict
 * @property {() => void} [onProven] so many marks in a row were in time
 * @property {(why: 'hang' | 'late' | 'silent') => void} onLate nothing came to begin with, a mark came late, or none came
 */

/** Judges one stream. */
export class Judge {
  inTime = 0;
  #clock;
  #line;
  #needed;
  #verdict;
  #over = false;
  /** @type {any} */
  #timer;

  /** @param {Clock} clock @param {Line} line @param {number} needed @param {number} firstWithin ms @param {Verdict} verdict */
  constructor(clock, line, needed, firstWithin, verdict) {
    this.#clock = clock;
    this.#line = line;
    this.#needed = needed;
    this.#verdict = verdict;
    this.#expect(firstWithin, 'hang');
  }

  /** @param {Mark} mark */
  mark({ sent, next }) {
    if (this.#over) return;
    if (this.#line.lateness(sent, this.#clock.now()) > this.#line.tolerance) return this.#end('late');
    this.#expect(next + this.#line.tolerance, 'silent');
    this.inTime += 1;
    if (this.inTime === this.#needed) this.#verdict.onProven?.();
  }

  /** Something follows within so many milliseconds. @param {number} ms */
  hurry(ms) {
    if (!this.#over) this.#expect(ms, 'silent');
  }

  stop() {
    this.#over = true;
    this.#clock.clearTimeout(this.#timer);
  }

  /** @param {number} ms @param {'hang' | 'silent'} why */
  #expect(ms, why) {
    this.#clock.clearTimeout(this.#timer);
    const due = this.#clock.now() + ms;
    this.#timer = this.#clock.setTimeout(() => {
      if (this.#clock.now() - due > STALLED_MS) this.#expect(this.#line.tolerance, why);
      else this.#end(why);
    }, ms);
  }

  /** @param {'hang' | 'late' | 'silent'} why */
  #end(why) {
    if (this.#over) return;
    this.stop();
    this.#verdict.onLate(why);
  }
}
