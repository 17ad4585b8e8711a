// @ts-check
/** The emulated phone's other screen: the dialogue with the bot, the link that was scanned, the mini-app. */

/**
 * @typedef {{ type: string, text: string, payload?: string, url?: string }} Key
 * @typedef {object} Message
 * @property {string} mid
 * @property {string} from
 * @property {string | null} text
 * @property {Key[][]} buttons
 * @property {string | null} contact
 * @property {boolean} edited
 */

/** @template {HTMLElement} T @param {string} id @param {new () => T} kind @returns {T} */
function byId(id, kind) {
  const element = document.getElementById(id);
  if (!(element instanceof kind)) throw new Error(`no #${id}`);
  return element;
}
/** @param {string} id */
const part = (id) => byId(id, HTMLElement);

const person = new URLSearchParams(location.search).get('person');

/** @param {string} path @param {Record<string, string>} [query] */
function at(path, query = {}) {
  const all = new URLSearchParams({ ...(person ? { person } : {}), ...query });
  return `phone/bot/${path}${all.size > 0 ? `?${all}` : ''}`;
}

/** @param {string} url @param {string} [body] without one, a GET */
async function ask(url, body) {
  const method = body === undefined ? 'GET' : 'POST';
  const response = await fetch(url, { method, body, cache: 'no-store' });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.detail ?? `${response.status}`);
  return answer;
}

/** What somebody did; the dialogue is looked at afterwards. @param {() => Promise<unknown>} doing */
async function act(doing) {
  tell('');
  try {
    await doing();
  } catch (error) {
    tell(`Не получилось: ${error instanceof Error ? error.message : error}`);
  }
  await refresh();
}

/** What the phone itself has to say; the bot's notices come from the dialogue. */
let said = '';
/** @param {string} text */
function tell(text) {
  said = text;
  part('notice').textContent = text;
  part('notice').hidden = !text;
}

// ---- which screen ------------------------------------------------------------------------------------------------------------

/** @param {boolean} isBot */
function turn(isBot) {
  history.replaceState(null, '', isBot ? '#bot' : location.pathname + location.search);
  part('qr').hidden = isBot;
  part('bot').hidden = !isBot || !part('app').hidden;
  for (const [id, is] of /** @type {[string, boolean][]} */ ([
    ['tab-qr', !isBot],
    ['tab-bot', isBot],
  ])) {
    if (is) part(id).setAttribute('aria-current', 'page');
    else part(id).removeAttribute('aria-current');
  }
  if (!isBot) closeApp();
  else void refresh();
}

// ---- the dialogue ------------------------------------------------------------------------------------------------------------

/** @param {string} name @param {string} [className] @param {string} [text] */
function make(name, className = '', text = '') {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text;
  return element;
}

/** @param {Key} key */
function keyOf(key) {
  const button = make('button', '', key.text);
  button.setAttribute('type', 'button');
  button.addEventListener('click', () => void press(key));
  return button;
}

/** @param {Key} key */
async function press({ type, text, payload = '', url = '' }) {
  if (type === 'callback') await act(() => ask(at(`press/${encodeURIComponent(payload)}`), ''));
  else if (type === 'message') await act(() => ask(at('say'), text));
  else if (type === 'request_contact') await act(() => ask(at('contact', { kind: 'own' }), ''));
  else if (type === 'open_app') await act(() => launch(payload));
  else if (type === 'link') await act(() => follow(url));
  else tell(`Эмулятор не умеет кнопку «${type}».`);
}

/** A link in a message. @param {string} link */
async function follow(link) {
  const seen = await ask(at('scan'), JSON.stringify({ link }));
  if (seen.kind) await lead(seen);
  else window.open(link, '_blank', 'noopener');
}

/** @param {Message} message */
function rowOf(message) {
  const row = make('div', `message ${message.from}`);
  if (message.text) row.append(make('p', '', message.text));
  if (message.contact) {
    const [, phone = ''] = message.contact.match(/^TEL[^:]*:(.*)$/m) ?? [];
    const [, name = ''] = message.contact.match(/^FN:(.*)$/m) ?? [];
    row.append(make('p', '', `Контакт: ${name.trim()}, +${phone.trim()}`));
  }
  for (const keys of message.buttons) {
    const line = make('div', 'keys');
    line.append(...keys.map(keyOf));
    row.append(line);
  }
  if (message.edited) row.append(make('small', '', 'изменено'));
  return row;
}

let drawn = '';
/** @param {{ bot: string, person: { name: string }, started: boolean, standing: string, notice: string | null, messages: Message[] }} dialog */
function show(dialog) {
  const text = JSON.stringify(dialog);
  if (text === drawn) return;
  drawn = text;
  part('bot-name').textContent = `@${dialog.bot}`;
  part('person').textContent = `Эмулятор, не MAX · ${dialog.person.name}`;
  part('stop').hidden = !dialog.started;
  part('begin').hidden = dialog.started;
  part('write').hidden = part('contacts').hidden = !dialog.started;
  const messages = part('messages');
  const nothing = dialog.started ? 'Бот пока молчит.' : 'Бот напишет, когда вы нажмёте «Начать» или откроете ссылку.';
  const silence = dialog.messages.length > 0 ? [] : [make('div', 'silence', nothing)];
  messages.replaceChildren(...silence, ...dialog.messages.map(rowOf));
  messages.scrollTop = messages.scrollHeight;
  if (!said) {
    part('notice').textContent = dialog.notice ?? '';
    part('notice').hidden = !dialog.notice;
  }
}

// ---- links -------------------------------------------------------------------------------------------------------------------

const ALREADY =
  'Диалог уже начат: MAX не сообщает боту, что вы открыли ссылку. Отправьте ему код со страницы сообщением.';

/** @param {{ kind: string | null, payload: string | null }} seen */
async function lead({ kind, payload }) {
  if (kind === 'startapp') return launch(payload ?? '');
  if (kind !== 'start') throw new Error(`это не ссылка на @${document.body.dataset.bot}`);
  const { event } = await ask(at(payload ? `start/${encodeURIComponent(payload)}` : 'start'), '');
  if (!event) tell(ALREADY);
}

/** The last link that was seen, wherever it came from. @type {string | null | undefined} */
let scanned;
async function look() {
  const { link } = await ask(at('scan'));
  const isFresh = scanned !== undefined && link && link !== scanned;
  if (isFresh || (scanned === undefined && link)) byId('link', HTMLInputElement).value = link;
  scanned = link;
  if (!isFresh) return;
  part('scan').classList.add('fresh');
  if (part('bot').hidden && part('app').hidden) turn(true);
}

// ---- the mini-app ------------------------------------------------------------------------------------------------------------

/** @param {string} startapp */
async function launch(startapp) {
  const { url } = await ask(at(startapp ? `launch/${encodeURIComponent(startapp)}` : 'launch'), '');
  if (!url) throw new Error('у бота нет мини-приложения (--mini-app)');
  const frame = byId('frame', HTMLIFrameElement);
  // A frame of its own: only the fragment differs from the one before, and that loads nothing.
  const fresh = /** @type {HTMLIFrameElement} */ (frame.cloneNode());
  fresh.src = url;
  frame.replaceWith(fresh);
  part('app-address').textContent = new URL(url).host;
  part('share').hidden = true;
  part('bot').hidden = true;
  part('app').hidden = false;
}

function closeApp() {
  if (part('app').hidden) return;
  part('app').hidden = true;
  const frame = byId('frame', HTMLIFrameElement);
  const empty = /** @type {HTMLIFrameElement} */ (frame.cloneNode());
  empty.removeAttribute('src');
  frame.replaceWith(empty);
  part('bot').hidden = location.hash !== '#bot';
  void refresh();
}

/** What the mini-app asks of the messenger around it: max-web-app.js. @param {MessageEvent} event */
function hear({ source, data }) {
  const frame = byId('frame', HTMLIFrameElement);
  if (!source || source !== frame.contentWindow || typeof data?.maxWebApp !== 'number') return;
  const id = data.maxWebApp;
  /** @param {object} what */
  const answer = (what) => frame.contentWindow?.postMessage({ maxWebApp: id, ...what }, '*');
  if (data.type === 'close') return closeApp();
  if (data.type !== 'request-contact') return answer({ error: 'unknown request' });
  part('share').hidden = false;
  /** @param {boolean} isYes */
  const decide = async (isYes) => {
    part('share').hidden = true;
    try {
      if (!isYes) throw new Error('client.web_app_request_phone.declined');
      answer({ result: await ask(at('request-contact'), '') });
    } catch (error) {
      answer({ error: error instanceof Error ? error.message : String(error) });
    }
  };
  part('share-yes').onclick = () => void decide(true);
  part('share-no').onclick = () => void decide(false);
}

// ---- all of it ---------------------------------------------------------------------------------------------------------------

async function refresh() {
  try {
    show(await ask(at('dialog')));
  } catch {
    tell('Эмулятор не отвечает.');
    drawn = '';
  }
}

function begin() {
  part('tabs').hidden = false;
  part('tab-qr').addEventListener('click', () => turn(false));
  part('tab-bot').addEventListener('click', () => turn(true));
  part('begin').addEventListener('click', () => void act(() => ask(at('start'), '')));
  part('stop').addEventListener('click', () => void act(() => ask(at('stop'), '')));
  part('close').addEventListener('click', closeApp);
  for (const button of part('contacts').querySelectorAll('button')) {
    button.addEventListener('click', () => {
      void act(() => ask(at('contact', { kind: button.dataset.contact ?? 'own' }), ''));
    });
  }
  part('write').addEventListener('submit', (event) => {
    event.preventDefault();
    const field = byId('text', HTMLInputElement);
    const text = field.value;
    field.value = '';
    void act(() => ask(at('say'), text));
  });
  part('scan').addEventListener('submit', (event) => {
    event.preventDefault();
    part('scan').classList.remove('fresh');
    const link = byId('link', HTMLInputElement).value;
    void act(async () => {
      const seen = await ask(at('scan'), JSON.stringify({ link }));
      scanned = seen.link;
      await lead(seen);
    });
  });
  addEventListener('message', hear);
}

/** @returns {Promise<void>} */
async function tick() {
  if (document.visibilityState === 'visible') {
    await look().catch(() => {});
    if (!part('bot').hidden) await refresh();
  }
  setTimeout(tick, 1000);
}

if (document.body.dataset.bot) {
  begin();
  turn(location.hash === '#bot');
  await tick();
}
export {};
