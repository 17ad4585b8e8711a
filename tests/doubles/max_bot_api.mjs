// A bot on a real SDK, npm @maxhub/max-bot-api: it greets who starts it, answers a press, and looks at a contact.
// MODE=poll or webhook (https, with KEY and CERT, on PORT: the SDK knows no other scheme).

import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { Bot, Keyboard } from '@maxhub/max-bot-api';

const { API_URL, TOKEN, MODE, PORT, KEY, CERT } = process.env;
const say = (...words) => console.log(words.join(' '));

// The base address needs its last slash: the SDK resolves the methods against it.
const bot = new Bot(TOKEN, { clientOptions: { baseUrl: `${API_URL.replace(/\/$/, '')}/` } });
bot.catch((error) => say('FAILED', error.stack ?? error));

bot.on('bot_started', async (ctx) => {
  say('STARTED', ctx.user.user_id, ctx.startPayload ?? '-');
  const { button, inlineKeyboard } = Keyboard;
  await ctx.reply('Sign in?', {
    attachments: [
      inlineKeyboard([
        [button.callback('42', `yes:${ctx.startPayload}`), button.callback('17', 'no')],
        [button.requestContact('My phone')],
      ]),
    ],
  });
  say('ASKED');
});

bot.action(/^yes:(.*)$/, async (ctx) => {
  say('PRESSED', ctx.user.user_id, ctx.callback.payload);
  await ctx.answerOnCallback({ notification: 'Yes', message: { text: 'Done', attachments: [] } });
  say('ANSWERED');
});

bot.on('message_created', async (ctx) => {
  const contact = ctx.message.body.attachments?.find(({ type }) => type === 'contact');
  if (!contact) return say('HEARD', ctx.message.body.text);
  const { vcf_info: card, hash, max_info: owner } = contact.payload;
  const genuine = createHmac('sha256', TOKEN).update(card).digest('hex') === hash;
  say('CONTACT', ctx.contactInfo.tel, `hash=${genuine}`, `own=${owner.user_id === ctx.message.sender.user_id}`);
});

bot.on('bot_stopped', (ctx) => say('STOPPED', ctx.user.user_id));

const me = await bot.api.getMyInfo();
say('ME', me.username, me.user_id);
if (MODE === 'poll') {
  const started = bot.start();
  say('READY');
  await started;
} else {
  const callback = await bot.createWebhook({ domain: `localhost:${PORT}`, path: '/hook', secret: 'a-secret_5' });
  createServer({ key: readFileSync(KEY), cert: readFileSync(CERT) }, callback).listen(Number(PORT), () => say('READY'));
}
