// The fake Bot API, itself tested: its own tests in Python, and a bot of a few lines that our harness leads to a sign-in.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { BOT, BOT_TOKEN, startBotDouble } from '../harness/bot-double.mjs';
import { fetchWhole } from '../harness/http.mjs';
import { DOUBLES, python } from '../harness/paths.mjs';
import { run } from '../harness/process.mjs';
import { Cleanup } from '../harness/story.mjs';

const cleanup = new Cleanup();
after(() => cleanup.run());

test('its own tests', async () => {
  const { code, output } = await run(python('.venv'), ['-B', '-m', 'unittest', 'test_fake_bot_api'], {
    cwd: DOUBLES,
    ms: 120_000,
  });
  assert.equal(code, 0, output);
  assert.match(output, /^Ran \d{2,} tests/m);
});

test('a bot of a few lines asks, is answered, and is seen by the harness', async () => {
  const double = cleanup.add(await startBotDouble({ set: { no_marker: 'all' } }));
  const ask = async (method, path, json) => {
    const answer = await fetchWhole(double.url + path, {
      method,
      headers: { authorization: BOT_TOKEN, 'content-type': 'application/json' },
      body: json && JSON.stringify(json),
    });
    assert.equal(answer.status, 200, answer.text);
    return answer.json;
  };
  const phone = double.phone(701, { first_name: 'Анна' });
  await phone.open(`https://max.ru/${BOT}?start=CODE`);
  const first = await ask('GET', '/updates?timeout=0');
  assert.equal(first.updates[0].payload, 'CODE');
  assert.equal(first.updates[0].user.first_name, 'Анна');
  const callback = (text) => ({ type: 'callback', text, payload: `p${text}` });
  const buttons = [['17', '42', '63', '88'].map(callback), [callback('Это не я')]];
  await ask('POST', '/messages?user_id=701', {
    text: 'Войти?',
    attachments: [{ type: 'inline_keyboard', payload: { buttons } }],
  });
  const { texts } = await phone.asked('42');
  assert.deepEqual(texts, ['17', '42', '63', '88', 'Это не я']);
  await phone.press('42');
  const second = await ask('GET', `/updates?timeout=5&marker=${first.marker}`);
  const { callback_id, payload, user } = second.updates[0].callback;
  assert.deepEqual([payload, user.user_id], ['p42', 701]);
  await ask('POST', `/answers?callback_id=${callback_id}`, { message: { text: 'Готово', attachments: [] } });
  assert.equal(await phone.told(/Готово/), 'Готово');
  await assert.rejects(phone.press('42'), /no button/);
  assert.deepEqual(await double.problems(), []);
  assert.ok((await double.requests()).every(({ auth }) => auth === 'good'));
});
