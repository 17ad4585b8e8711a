// @ts-check
/** A stream of server-sent events. */

import { nameOf, readProblem } from './answers.js';
import { parseBody } from './wire.js';

/** @typedef {import('./answers.js').Problem} Problem */
/** @typedef {import('./browser.js').Clock} Clock */
/** @typedef {import('./wire.js').Stream} Stream */
/** @typedef {import('./wire.js').StreamHandlers} StreamHandlers */
/** @typedef {import('./wire.js').Wire} Wire */

/**
 * Server-sent events by `fetch`, because an EventSource hides what a broken answer was.
 * @param {{ clock: Clock, fetch: typeof fetch }} env
 * @param {string} url
 * @param {StreamHandlers} handlers
 * @returns {Stream}
 */
export function openSse(env, url, handlers) {
  let over = false;
  const abort = new AbortController();
  const release = () => {
    over = true;
    abort.abort();
  };
  /** @param {string} why @param {Problem} [problem] */
  const end = (why, problem) => {
    if (over) return;
    release();
    handlers.onEnd(why, problem);
  };
  const parser = sseParser(
    (mark) => {
      if (!over) handlers.onMark(mark);
    },
    (wire) => {
      if (!over) handlers.onEvent(wire);
    },
  );

  const read = async () => {
    const response = await env.fetch(url, {
      headers: { Accept: 'text/event-stream' },
      credentials: 'include',
      cache: 'no-store',
      signal: abort.signal,
    });
    if (!response.ok) return end(`http ${response.status}`, await readProblem(response, env.clock.now()));
    const type = response.headers.get('content-type') ?? '';
    if (!type.startsWith('text/event-stream') || !response.body) return end('not a stream');
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    for (;;) {
      const { done, value } = await reader.read();
      if (over) return;
      if (done) return end('ended');
      parser(decoder.decode(value, { stream: true }));
    }
  };
  read().catch((error) => end(`failed ${nameOf(error)}`));

  return {
    send: () => false,
    close: () => {
      if (!over) release();
    },
  };
}

/**
 * An incremental parser of text/event-stream. A mark is a comment of two numbers.
 * @param {(mark: import('./lateness.js').Mark) => void} onMark
 * @param {(wire: Wire) => void} onEvent
 * @returns {(text: string) => void}
 */
export function sseParser(onMark, onEvent) {
  let rest = '';
  let id = '';
  let event = '';
  /** @type {string[]} */
  let data = [];

  /** @param {string} line */
  const take = (line) => {
    if (line === '') {
      const body = data.length ? parseBody(data.join('\n')) : undefined;
      if (event && body !== undefined) onEvent({ id, event, data: body });
      event = '';
      data = [];
      return;
    }
    const mark = line.match(/^: (\d{1,15}) (\d{1,9})$/);
    if (mark) return onMark({ sent: Number(mark[1]), next: Number(mark[2]) });
    const cut = line.indexOf(':'); // 0 for a comment: a field without a name, which nothing below takes
    const field = cut < 0 ? line : line.slice(0, cut);
    const value = cut < 0 ? '' : line.slice(cut + (line[cut + 1] === ' ' ? 2 : 1));
    if (field === 'id') id = value;
    else if (field === 'event') event = value;
    else if (field === 'data') data.push(value);
  };

  return (text) => {
    rest += text;
    for (;;) {
      const cut = rest.search(/[\r\n]/);
      // A CR at the very end may be the first half of a CRLF: wait for what follows.
      if (cut < 0 || (rest[cut] === '\r' && cut === rest.length - 1)) return;
      const line = rest.slice(0, cut);
      rest = rest.slice(cut + (rest.startsWith('\r\n', cut) ? 2 : 1));
      take(line);
    }
  };
}
