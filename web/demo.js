// @ts-check
/** The demo site: a button, who is signed in, and the events of a login as they come. */

const BASE = '/api/auth/max';
const STORY_KEY = 'max-auth:demo-story';

const ENGLISH = {
  widget: 'The widget',
  phone: 'Open the phone',
  other: 'Русский',
  title: 'Sign in with MAX in one tap',
  lead: 'Press the button, scan the code in MAX and confirm on the phone. No forms, no passwords.',
  page: 'or on a page of its own',
  ways: 'Who asks MAX',
  wayQr: 'Web sign-in code',
  wayQrSays: 'For everybody at once, but unofficial: the server holds full access to the account for a second.',
  wayBot: 'Bot',
  wayBotSays: "Official: a chat with the site's bot and a number from the screen. Nobody gets access to the account.",
  wayApp: 'Mini-app',
  wayAppSays: 'Official: a page of the site inside MAX and a number from the screen.',
  leave: 'Sign out',
  got: 'You are signed in. The site received your profile only.',
  gotSession: 'The temporary MAX session has ended.',
  tip: 'This demo needs no network: an emulator answers instead of MAX, and the code is confirmed on a simulated',
  tipPhone: 'phone',
  story: 'What is happening',
  empty: 'The events of a login appear here as the server sends them.',
};
const NAMES = {
  ru: {
    qr: 'Код показан',
    confirm: 'Код открыли на телефоне',
    password: 'Нужен облачный пароль',
    success: 'Вход выполнен',
    error: 'Ошибка',
    close: 'Окно закрыто',
    again: 'Свежий код',
  },
  en: {
    qr: 'Code shown',
    confirm: 'Opened on the phone',
    password: 'Cloud password asked',
    success: 'Signed in',
    error: 'Error',
    close: 'Dialog closed',
    again: 'Fresh code',
  },
};

const wanted = new URLSearchParams(location.search).get('locale') ?? navigator.language ?? 'ru';
const locale = /^(ru|be|uk|kk)\b/i.test(wanted) ? 'ru' : 'en';
const names = NAMES[locale];

/** @template {HTMLElement} [T=HTMLElement] @param {string} id */
const byId = (id) => /** @type {T} */ (document.getElementById(id));

document.documentElement.lang = locale;
for (const link of /** @type {NodeListOf<HTMLAnchorElement>} */ (document.querySelectorAll('[data-to=locale]'))) {
  link.href = locale === 'ru' ? '?locale=en' : '?locale=ru';
}
if (locale === 'en') {
  document.title = 'max-auth: sign in with MAX';
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('[data-say]'))) {
    element.textContent = ENGLISH[/** @type {keyof typeof ENGLISH} */ (element.dataset.say)] ?? element.textContent;
  }
}
document.querySelector('max-auth-button')?.setAttribute('locale', locale);

// ---- who asks MAX ---------------------------------------------------------------------------------------------------

byId('ways').addEventListener('change', (event) => {
  if (!(event.target instanceof HTMLInputElement)) return;
  const driver = event.target.value;
  document.querySelector('max-auth-button')?.setAttribute('driver', driver);
  const page = document.querySelector('#out a');
  if (page instanceof HTMLAnchorElement) page.search = `?return_to=/&driver=${driver}`;
  for (const phone of /** @type {NodeListOf<HTMLAnchorElement>} */ (document.querySelectorAll('a[href^="/phone"]')))
    phone.hash = driver === 'account_qr' ? '' : 'bot';
});

/** The pretended phone has no camera: it is told what it would see. @param {string} link */
async function hold(link) {
  if (/[?]start(app)?=/.test(link))
    await fetch('/phone/bot/scan', { method: 'POST', body: JSON.stringify({ link }) }).catch(() => {});
}

// ---- who is signed in -----------------------------------------------------------------------------------------------

async function showSession() {
  const response = await fetch(`${BASE}/session`, { headers: { Accept: 'application/json' } });
  const person = response.ok ? await response.json() : null;
  byId('out').hidden = Boolean(person);
  byId('ways').hidden = Boolean(person);
  byId('in').hidden = !person;
  if (!person) return;
  const name = person.name || [person.first_name, person.last_name].filter(Boolean).join(' ') || person.sub;
  byId('name').textContent = name;
  byId('sub').textContent = `id ${person.sub}`;
  byId('gotSession').hidden = Boolean(person.driver);
  byId('phone').textContent = person.phone ? String(person.phone).replace(/^\+?/, '+') : '';
  byId('phone').hidden = !person.phone;
  byId('face').replaceChildren(face(name, person.picture));
}

/** @param {string} name @param {unknown} picture @returns {Node} */
function face(name, picture) {
  const url = typeof picture === 'string' ? new URL(picture, location.href) : null;
  // The page's policy loads pictures of its own origin only.
  if (!url || (url.origin !== location.origin && url.protocol !== 'data:'))
    return document.createTextNode([...name][0] ?? '?');
  const image = new Image();
  image.src = url.href;
  image.alt = '';
  return image;
}

byId('leave').addEventListener('click', async () => {
  await fetch(`${BASE}/logout`, { method: 'POST' });
  keepStory([]);
  await showSession();
});

// ---- what is happening ----------------------------------------------------------------------------------------------

/** @typedef {{ kind: string, at: number, text: string, more: string }} Line */

/** The story outlives the trip to the callback and back. @returns {Line[]} */
function story() {
  try {
    return JSON.parse(sessionStorage.getItem(STORY_KEY) ?? '[]');
  } catch {
    return [];
  }
}

/** @param {Line[]} lines */
function keepStory(lines) {
  try {
    sessionStorage.setItem(STORY_KEY, JSON.stringify(lines.slice(-30)));
  } catch {
    // then it is only shown
  }
  const first = lines[0]?.at ?? 0;
  byId('empty').hidden = lines.length > 0;
  byId('story').replaceChildren(
    ...lines.map((line) => {
      const item = document.createElement('li');
      item.className = line.kind;
      const text = document.createElement('span');
      text.textContent = line.text;
      const time = document.createElement('time');
      time.textContent = `+${((line.at - first) / 1000).toFixed(2)} ${locale === 'ru' ? 'с' : 's'}`;
      const more = document.createElement('code');
      more.textContent = line.more;
      item.append(text, time, more);
      return item;
    }),
  );
}

/** @param {string} kind @param {string} text @param {string} more */
function tell(kind, text, more) {
  const at = Date.now();
  const lines = story();
  const over = lines.length > 0 && ['success', 'error', 'closed'].includes(lines[lines.length - 1].kind);
  keepStory([...(over ? [] : lines), { kind, at, text, more }]);
}

/** @param {string} name @param {(detail: any) => void} listener */
const on = (name, listener) =>
  document.addEventListener(name, (event) => listener(/** @type {CustomEvent} */ (event).detail));
on('max-auth-status', (data) => tell('status', data.message ?? data.stage, `status · ${data.stage}`));
on('max-auth-qr', (data) => {
  void hold(data.qrLink);
  const again = story().some((line) => line.kind === 'qr');
  tell('qr', again ? names.again : names.qr, `qr · ${Math.round(data.ttl / 1000)} ${locale === 'ru' ? 'с' : 's'}`);
});
on('max-auth-confirm', (data) => tell('qr', names.confirm, `confirm · ${data.matchCode}`));
on('max-auth-password', () => tell('password', names.password, 'password'));
on('max-auth-success', () => tell('success', names.success, 'success'));
on('max-auth-error', (data) => tell('error', data.message || names.error, `error · ${data.code}`));
on('max-auth-close', () => {
  const last = story().at(-1)?.kind;
  if (last && last !== 'success' && last !== 'error') tell('closed', names.close, 'DELETE');
});

keepStory(story());
await showSession();
window.addEventListener('pageshow', (event) => {
  if (event.persisted) void showSession();
});
export {};
