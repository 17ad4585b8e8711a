// @ts-check
/**
 * What a stream carries, whichever it is: events, and marks that say when they were sent (lateness.js). From outside a
 * WebSocket and an SSE stream look the same.
 */

/** @typedef {{ id?: string, event: string, data?: any }} Wire */
/**
 * @typedef {object} StreamHandlers
 * @property {(mark: import('./lateness.js').Mark) => void} onMark
 * @property {(wire: Wire) => void} onEvent
 * @property {(why: string, problem?: import('./answers.js').Problem) => void} onEnd at most once, and never after `close()`
 */
/**
 * @typedef {object} Stream
 * @property {(message: object) => boolean} send false where the transport cannot send
 * @property {(code?: number, reason?: string) => void} close
 */

/** The server's heartbeat. */
const BEAT_MS = 10_000;

/** @param {any} beat one without numbers tells that something comes, and no more @returns {import('./lateness.js').Mark} */
export function markOf({ sent, next }) {
  return { sent: Number.isFinite(sent) ? sent : NaN, next: Number.isFinite(next) ? next : BEAT_MS };
}

/** @param {string} text */
export function parseBody(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * @param {unknown} text
 * @returns {Wire | null}
 */
export function parseWire(text) {
  if (typeof text !== 'string') return null;
  const wire = parseBody(text);
  return wire && typeof wire.event === 'string' ? wire : null;
}
