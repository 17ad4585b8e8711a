// @ts-check
/** A sheet with a code on it, and what becomes of it: on the ready page, and in the small dialog. */

const TICK_MS = 1000;

/**
 * @param {(id: string) => any} part of the sheet: code, rest, state, left, sent, others, show, end, badge, title, body, again
 * @param {() => Iterable<Element>} links into MAX
 * @param {Record<string, string>} words
 */
export function showing(part, links, words) {
  let [until, whole] = [0, 1];
  /** @type {any} */
  let ticker;

  /** @param {string} id @param {string} text */
  const say = (id, text) => {
    // Once, or a screen reader would repeat it.
    if (part(id).textContent !== text) part(id).textContent = text;
  };

  const stop = () => clearInterval(ticker);

  const tick = () => {
    const left = Math.max(0, until - Date.now());
    const seconds = Math.ceil(left / 1000);
    part('rest').value = left / whole;
    part('code').classList.toggle('stale', !left);
    say('left', left ? `${words.left} ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}` : '');
    say('state', left ? words.waiting : words.refreshing);
  };

  /** Instead of all else a number, read out together with what to do. @param {string} [number] */
  const pick = (number) => {
    part('show').classList.toggle('pick', !!number);
    if (!number) return;
    stop();
    const digits = Object.assign(document.createElement('b'), { textContent: number });
    part('state').replaceChildren(digits, words.pick);
  };

  /** @param {{ png?: string, qrLink?: string, expiresAt?: number, ttl?: number, textCode?: string }} code */
  const show = ({ png, qrLink, expiresAt = 0, ttl = 0, textCode }) => {
    pick();
    const sent = part('sent');
    // Two groups, and one word to who copies them.
    sent?.querySelectorAll('i').forEach((/** @type {Element} */ group, /** @type {number} */ at) => {
      group.textContent = (textCode ?? '').slice(4 * at, 4 * at + 4);
    });
    if (sent) sent.hidden = !textCode;
    if (png) {
      const image = new Image();
      [image.src, image.alt] = [png, words.qrLabel];
      part('code').replaceChildren(image);
      for (const link of links()) link.setAttribute('href', String(qrLink));
    }
    whole = Math.max(1000, ttl);
    // The visitor's clock may be wrong. What is left is the whole: it starts full.
    const byClock = expiresAt - Date.now();
    if (byClock > 0 && byClock < whole) whole = byClock;
    until = Date.now() + whole;
    stop();
    ticker = setInterval(tick, TICK_MS);
    tick();
  };

  /** @param {'good' | 'bad' | 'busy'} kind @param {string} title @param {string} [body] @param {boolean} [again] */
  const end = (kind, title, body = '', again = false) => {
    stop();
    part('show').hidden = true;
    if (part('others')) part('others').hidden = kind !== 'bad';
    part('end').hidden = false;
    part('badge').className = `badge ${kind}`;
    part('badge').textContent = kind === 'bad' ? '!' : '✓';
    say('title', title);
    say('body', body);
    part('again').hidden = !again;
    if (again) part('again').focus();
  };

  /** @param {{ stage: string, message: string }} status */
  const status = ({ stage, message }) => {
    if (stage === 'approved') end('busy', words.approved, words.approvedText);
    else if (stage === 'finishing') end('busy', words.finishing);
    else if (stage !== 'waiting') {
      stop();
      pick();
      say('state', message);
      say('left', '');
    }
  };

  return {
    show,
    end,
    status,
    stop,
    success: () => end('good', words.success, words.successText),
    error: (/** @type {any} */ { message, retry }) => end('bad', words.errorTitle, message, retry !== false),
    confirm: (/** @type {{ matchCode: string }} */ { matchCode }) => pick(matchCode),
    // A number stands: it needs no line.
    line: (/** @type {{ reached: boolean }} */ { reached }) =>
      part('show').classList.contains('pick') || (reached ? tick() : say('state', words.network)),
  };
}
