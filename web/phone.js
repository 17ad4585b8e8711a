// @ts-check
/** The emulator's simulated phone: open codes, and what somebody holding a phone could do with them. */

/**
 * @typedef {object} Code
 * @property {string} track
 * @property {string} link
 * @property {number} expiresAt
 * @property {number} polls
 * @property {string} state
 * @property {string} dialect
 * @property {string} [deviceName]
 * @property {string} [osVersion]
 */

const ACTIONS = /** @type {[string, string, string][]} */ ([
  ['approve', 'Подтвердить', 'yes'],
  ['decline', 'Отклонить', 'no'],
  ['expire', 'Состарить', 'no'],
]);
const STATES = /** @type {Record<string, string>} */ ({
  open: 'ждёт',
  waiting: 'ждёт',
  approved: 'подтверждён',
  password: 'ждёт пароль',
  declined: 'отклонён',
  expired: 'истёк',
});

/** @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
/** @type {Map<string, { row: HTMLElement, facts: HTMLElement, left: HTMLElement }>} */
const rows = new Map();

/** @param {string} name @param {string} [className] @param {string} [text] */
function make(name, className = '', text = '') {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text;
  return element;
}

/** @param {Code} code */
function rowOf(code) {
  const known = rows.get(code.track);
  if (known) return known;
  const row = make('li');
  const head = make('div', 'head');
  const left = make('span', 'left');
  const where = [code.deviceName, code.osVersion].filter(Boolean).join(', ') || 'браузер';
  head.append(make('b', '', where), left);
  const facts = make('p', 'facts');
  const buttons = make('div', 'buttons');
  for (const [action, label, kind] of ACTIONS) {
    const button = make('button', kind, label);
    button.setAttribute('type', 'button');
    button.setAttribute('aria-label', `${label}: ${where}`);
    button.addEventListener('click', () => void press(action, code.track, row));
    buttons.append(button);
  }
  row.append(head, make('p', 'ask', 'Вход на новом устройстве'), facts, buttons);
  const made = { row, facts, left };
  rows.set(code.track, made);
  return made;
}

/** @param {string} action @param {string} track @param {HTMLElement} row */
async function press(action, track, row) {
  row.classList.add('pressed');
  try {
    const response = await fetch(`phone/${action}/${encodeURIComponent(track)}`, { method: 'POST' });
    if (!response.ok) throw new Error(`${response.status}`);
  } catch (error) {
    complain(`Не получилось: ${error instanceof Error ? error.message : error}`);
  }
  row.classList.remove('pressed');
  await refresh();
}

/** @param {string} text */
function complain(text) {
  byId('trouble').textContent = text;
  byId('trouble').hidden = !text;
}

/** @param {Code[]} codes */
function show(codes) {
  const seen = new Set(codes.map((code) => code.track));
  for (const [track, { row }] of rows) {
    if (seen.has(track)) continue;
    row.remove();
    rows.delete(track);
  }
  for (const code of codes) {
    const { row, facts, left } = rowOf(code);
    const seconds = Math.max(0, Math.round((code.expiresAt - Date.now()) / 1000));
    const open = STATES[code.state] === 'ждёт' || !STATES[code.state];
    left.textContent = open
      ? `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
      : STATES[code.state];
    facts.textContent = `…${code.track.slice(-6)} · ${code.dialect} · вопросов: ${code.polls}`;
    row.classList.toggle('done', !open);
    if (!row.isConnected) byId('codes').prepend(row);
  }
  byId('none').hidden = codes.length > 0;
}

/** @param {string} path */
async function get(path) {
  const response = await fetch(path, { headers: { Accept: 'application/json' }, cache: 'no-store' });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

/** @param {Record<string, unknown>} stats */
function showStats(stats) {
  const names = /** @type {Record<string, string>} */ ({
    codes: 'коды',
    logins: 'входы',
    logouts: 'выходы',
    connections: 'соединения',
  });
  const known = Object.keys(names).filter((key) => key in stats);
  byId('stats').replaceChildren(
    ...known.map((key) => {
      const span = make('span', '', `${names[key]} `);
      span.append(make('b', '', String(stats[key])));
      return span;
    }),
  );
}

async function refresh() {
  try {
    const [{ codes }, stats] = await Promise.all([get('phone/codes'), get('phone/stats')]);
    show(codes);
    showStats(stats);
    complain('');
  } catch {
    complain('Эмулятор не отвечает.');
  }
}

/** @returns {Promise<void>} */
async function tick() {
  byId('clock').textContent = new Date().toLocaleTimeString('ru', { hour: '2-digit', minute: '2-digit' });
  if (document.visibilityState === 'visible') await refresh();
  setTimeout(tick, 1000);
}

document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible') void refresh();
});
await tick();
export {};
