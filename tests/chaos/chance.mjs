// Chance that can be had again: the same seed draws the same.

export class Chance {
  #state;

  /** @param {...(number | string)} seed */
  constructor(...seed) {
    // FNV-1a: neighbouring seeds have nothing in common.
    let hash = 0x811c9dc5;
    for (const char of seed.join('/')) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193);
    this.#state = hash >>> 0;
  }

  /** From 0 to 1 (mulberry32). */
  next = () => {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };

  /** A whole number; both ends may come. */
  between(from, to) {
    return from + Math.floor(this.next() * (to - from + 1));
  }

  pick(list) {
    return list[Math.floor(this.next() * list.length)];
  }

  /** @param {number} share 0.3: three times of ten */
  happens(share) {
    return this.next() < share;
  }
}
