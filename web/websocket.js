// @ts-check
/** A stream over a WebSocket. */

import { markOf, parseWire } from './wire.js';

/** @typedef {import('./browser.js').Clock} Clock */
/** @typedef {import('./wire.js').Stream} Stream */
/** @typedef {import('./wire.js').StreamHandlers} StreamHandlers */

/**
 * @param {{ clock: Clock, WebSocket: any }} env
 * @param {string} url
 * @param {object | null} hello the first message, where the address does not say it all
 * @param {StreamHandlers} handlers
 * @returns {Stream}
 */
export function openSocket(env, url, hello, handlers) {
  let over = false;
  /** @type {any} */
  let socket = null;

  /** @param {string} why */
  const end = (why) => {
    if (over) return;
    release(4000, 'Resuming elsewhere');
    handlers.onEnd(why);
  };
  /** @param {number} code @param {string} reason */
  const release = (code, reason) => {
    over = true;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.onerror = () => {}; // the ws package throws an error that nobody hears
    try {
      socket.close(code, reason);
    } catch {
      // already closed
    }
  };

  try {
    socket = new env.WebSocket(url);
  } catch {
    // A policy of the page (CSP, mixed content) refuses: report it like any other failure, never inside this call.
    env.clock.setTimeout(() => end('refused'), 0);
  }
  if (socket) {
    socket.onopen = () => hello && socket.send(JSON.stringify(hello));
    socket.onmessage = (/** @type {{ data: unknown }} */ message) => {
      if (over) return;
      const wire = parseWire(message.data);
      if (wire?.event === 'beat') handlers.onMark(markOf(wire));
      else if (wire) handlers.onEvent(wire);
    };
    socket.onclose = (/** @type {{ code: number }} */ event) => end(`closed ${event.code}`);
    socket.onerror = () => {}; // a close always follows
  }

  return {
    send(message) {
      if (over || socket?.readyState !== 1) return false;
      socket.send(JSON.stringify(message));
      return true;
    },
    close: (code = 1000, reason = 'Client closed') => {
      if (!over) release(code, reason);
    },
  };
}
