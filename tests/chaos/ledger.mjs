// What all readers of all logins were told, by the events' ids: an id has one content, and a reader gets one offset after
// the other. Whoever says something else is written down; nothing is thrown in the middle of a story.

/** `EPOCH-OFFSET`; each login has an epoch of its own. */
export function position(id) {
  const [, epoch, offset] = /^([0-9a-f]+)-(\d+)$/.exec(id ?? '') ?? [];
  return epoch === undefined ? null : { epoch, offset: Number(offset) };
}

const contentOf = (event, data) => JSON.stringify([event, data]);
const isLast = (event) => event === 'success' || event === 'error';

export class Ledger {
  /** What must not be, in words. */
  faults = [];
  #contents = new Map();
  #last = new Map();

  fault(text) {
    this.faults.push(text);
  }

  /** Somebody read this, in whatever order. */
  saw(who, { id, event, data }) {
    const at = position(id);
    if (!at) return this.fault(`${who}: ${event} with the id ${id}`);
    const content = contentOf(event, data);
    const known = this.#contents.get(id);
    if (known === undefined) this.#contents.set(id, content);
    else if (known !== content) {
      this.fault(`${who}: the id ${id} names two contents: ${known.slice(0, 150)} and ${content.slice(0, 150)}`);
    }
    const last = this.#last.get(at.epoch);
    if (isLast(event)) {
      if (last && last !== id) this.fault(`${who}: two ends of one login, ${last} and ${id}`);
      this.#last.set(at.epoch, id);
    }
  }

  /** A reader who gets each event once, in order. */
  reader(who) {
    return new OneReader(this, who);
  }

  /** A page that was told contents without ids, since its login with this epoch began: that login's events, from the first. */
  told(who, epoch, told) {
    for (const [index, { event, data }] of told.entries()) {
      const known = this.#contents.get(`${epoch}-${index + 1}`);
      const content = contentOf(event, data);
      if (known === content) continue;
      const where = told.slice(0, index).findIndex((before) => contentOf(before.event, before.data) === content);
      const what = where >= 0 ? 'was told twice' : 'is not what came then';
      return this.fault(`${who}: event ${index + 1} of ${epoch}, ${content.slice(0, 120)}, ${what}; ${story(told)}`);
    }
  }

  get events() {
    return this.#contents.size;
  }
}

class OneReader {
  #ledger;
  #who;
  /** The id to go on from. */
  last;

  constructor(ledger, who) {
    this.#ledger = ledger;
    this.#who = who;
  }

  take(message) {
    this.#ledger.saw(this.#who, message);
    const [at, before] = [position(message.id), position(this.last)];
    if (!at) return;
    if (before && at.epoch !== before.epoch) this.#ledger.fault(`${this.#who}: ${message.id} follows ${this.last}`);
    else if (at.offset !== (before?.offset ?? 0) + 1) {
      const how = at.offset <= (before?.offset ?? 0) ? 'twice, or back' : 'something is left out';
      this.#ledger.fault(`${this.#who}: ${message.id} follows ${this.last ?? 'nothing'} (${how})`);
    }
    this.last = message.id;
  }
}

export const story = (events) =>
  events.map(({ event, data }) => (event === 'status' ? data.stage : event)).join(' ') || 'nothing';
