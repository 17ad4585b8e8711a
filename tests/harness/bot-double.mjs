// The fake Bot API in Python, and our server told to use it: the phone's side of a sign-in by the official drivers.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DOUBLES, python } from './paths.mjs';
import { fetchWhole } from './http.mjs';
import { freePort, launch, tempFolder } from './process.mjs';
import { startServer } from './server.mjs';
import { eventually } from './time.mjs';

export const BOT_TOKEN = 'double-bot-token-0123456789';
export const BOT = 'double_bot';
export const NOT_ME = /^(Это не я|Not me)$/;

const BOT_API = '/platform/v2';

/** Starts the fake Bot API. `set` are its settings (tests/doubles/README.md). */
export async function startBotDouble({ set = {}, args = [] } = {}) {
  const port = await freePort();
  const log = join(tempFolder('bot-double'), 'bot-api.jsonl');
  const settings = Object.entries(set).flatMap(([name, value]) => ['--set', `${name}=${JSON.stringify(value)}`]);
  const command = [join(DOUBLES, 'fake_bot_api.py'), '--port', port, '--token', BOT_TOKEN, '--bot', BOT, '--log', log];
  const running = await launch('fake_bot_api.py', python('.venv'), [...command.map(String), ...settings, ...args], {
    env: { PYTHONUNBUFFERED: '1', PYTHONDONTWRITEBYTECODE: '1' },
    ready: (self) => self.printed(/fake Bot API on/),
  });
  const control = async (name, about = {}) => {
    const answer = await fetchWhole(`http://127.0.0.1:${port}/control/${name}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(about),
    });
    if (answer.status !== 200) throw new Error(`/control/${name}: ${answer.status} ${answer.text}`);
    return answer.json;
  };
  return Object.assign(running, {
    log,
    control,
    url: `http://127.0.0.1:${port}${BOT_API}`,
    phone: (id, about) => new Phone(control, id, about),
    /** What the bot asked of MAX, in order. */
    requests: async () => (await control('requests')).requests,
    deliveries: async () => (await control('deliveries')).deliveries,
    subscriptions: async () => (await control('subscriptions')).subscriptions,
    /** What a client may not do; see the README. */
    problems: async (about) => (await control('check', about)).problems,
  });
}

/** One person with MAX on the phone. */
export class Phone {
  constructor(control, id, about = {}) {
    this.control = (name, more) => control(name, { person: id, ...more });
    this.id = id;
    this.known = this.control('person', about);
  }

  async act(name, more) {
    await this.known;
    return this.control(name, more);
  }

  /** The code on a screen scanned, or a link touched: {update} of the bot, or {initData} of the mini-app. */
  open = (link, launch = {}) => this.act('open', { link, ...launch });
  tap = (start) => this.act('tap', { start });
  stop = () => this.act('stop');
  say = (text) => this.act('say', { text });
  press = (text, as_person) => this.act('press', { text, as_person });
  contact = (kind) => this.act('contact', { kind });
  launch = (startapp, fault, more = {}) => this.act('launch', { startapp, fault, ...more });
  dialog = () => this.act('dialog');

  /** The bot's question, once it is there: {message, texts} with the callback buttons' texts. */
  asked(text, ms) {
    return eventually(
      async () => {
        const { messages } = await this.dialog();
        for (const message of messages.reverse()) {
          const buttons = message.buttons.flat().filter(({ type }) => type === 'callback');
          if (buttons.some((button) => button.text === text))
            return { message, buttons, texts: buttons.map((button) => button.text) };
        }
        return false;
      },
      `a message with the button ${text}`,
      ms,
    );
  }

  /** What the bot said last, once it fits. */
  told(pattern) {
    return eventually(async () => {
      const { messages, notices } = await this.dialog();
      const said = [...messages.filter(({ from }) => from === 'bot').map(({ text }) => text), ...notices];
      return said.find((text) => pattern.test(text ?? ''));
    }, `the bot to say ${pattern}`);
  }
}

/**
 * Our server with the drivers named, their Bot API the double, nothing of MAX's account protocol within reach. Waits until
 * the bot would hear of an update, unless `isReached` is false.
 */
export async function startWithBot(
  double,
  { drivers = ['bot'], receive = 'webhook', bot = {}, miniApp = {}, settings = {}, isReached = true, port } = {},
) {
  port ??= await freePort();
  const nowhere = await freePort();
  const folder = tempFolder('bot-settings');
  const file = (name, text, mode = 0o600) => {
    writeFileSync(join(folder, name), text, { mode });
    return join(folder, name);
  };
  const webhook = `http://127.0.0.1:${port}/max-bot-hook`;
  const about = {
    name: BOT,
    token_file: file('token', `${BOT_TOKEN}\n`),
    api_url: double.url,
    receive,
    ...(receive === 'webhook'
      ? { webhook_url: webhook, secret_file: file('secret', 'webhook-secret_0123456789') }
      : {}),
    check_every: '1s',
    ...bot,
  };
  const table = (name, keys) =>
    `[${name}]\n${Object.entries(keys)
      .map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`)
      .join('')}`;
  const config = [table('login', { drivers }), table('driver.bot', about)];
  if (Object.keys(miniApp).length > 0) config.push(table('driver.mini_app', miniApp));
  const server = await startServer({
    port,
    upstream: [[`ws://127.0.0.1:${nowhere}/websocket`, 'binary']],
    args: ['--config', file('max-auth.toml', config.join('\n'))],
    settings,
  });
  if (drivers.includes('bot') && isReached)
    await eventually(
      async () =>
        receive === 'webhook'
          ? (await double.subscriptions()).some(({ url }) => url === webhook)
          : (await double.requests()).some(({ path }) => path === '/updates'),
      `the bot to receive by ${receive}`,
    );
  return Object.assign(server, { webhook });
}
