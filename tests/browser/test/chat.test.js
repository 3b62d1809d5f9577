// Talking: rooms, members, and what people write.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { startBrowser, startGame } from '../harness.js';
import { visit } from './visitor.js';

let game, browser;
before(async () => ([game, browser] = [await startGame(), await startBrowser()]));
after(() => Promise.all([browser?.close(), game?.stop()]));

const enter = async (t, name, room, options) => (await visit(t, browser, game.page, options)).join(name, room);

test('two in a room and one in another', async (t) => {
  const ada = await enter(t, 'Ada', 'red');
  await ada.page.getByText('Nobody else is here yet.').waitFor();
  const ben = await enter(t, 'Ben', 'red');
  const chioma = await enter(t, 'Chioma', 'blue');
  await Promise.all([ada.members('Ada', 'Ben'), ben.members('Ada', 'Ben'), chioma.members('Chioma')]);
  await ada.event('Ben joined');

  await ben.say('hello, Ada');
  await Promise.all([ada.hears('hello, Ada'), ben.hears('hello, Ada')]);
  await chioma.say('is nobody here?');
  await chioma.hears('is nobody here?');
  // Behind what must not come.
  await ada.say('hello, Ben');
  await Promise.all([ben.hears('hello, Ben'), ada.page.locator('.message.answered').waitFor()]);
  const [mine] = (await ada.messages()).slice(-1);
  assert.match(mine.server, /^room-[12]$/);
  assert.deepEqual((await ben.messages()).map(({ name, text }) => `${name}: ${text}`), ['Ben: hello, Ada', 'Ada: hello, Ben']);
  assert.deepEqual((await chioma.messages()).map(({ text }) => text), ['is nobody here?']);
});

test('members come, leave, and close their browser', async (t) => {
  const ada = await enter(t, 'Ada', 'green');
  const ben = await enter(t, 'Ben', 'green');
  const chioma = await enter(t, 'Chioma', 'green');
  await ada.members('Ada', 'Ben', 'Chioma');
  await ben.button('Leave').click();
  await ada.event('Ben left');
  await Promise.all([ada.members('Ada', 'Chioma'), chioma.members('Ada', 'Chioma')]);
  await ben.join('Ben', 'green');
  await ada.members('Ada', 'Ben', 'Chioma');
  await chioma.page.close();
  await ada.event('Chioma left');
  await ada.members('Ada', 'Ben');
});

test('what people write is text', async (t) => {
  const [name, text] = ['<b>Ada</b>', '<img src=x onerror="window.broken=1"><script>window.broken=1</script>'];
  const ada = await enter(t, name, 'html');
  const ben = await enter(t, 'Ben', 'html');
  await ada.say(text);
  await Promise.all([ada.hears(text), ben.hears(text)]);
  await ben.members(name, 'Ben');
  assert.deepEqual((await ben.messages()).map(({ name, text }) => [name, text]), [[name, text]]);
  const made = 'chat.querySelectorAll("b b, .text *, .members li *, script").length + (window.broken ?? 0)';
  assert.deepEqual([await ada.page.evaluate(made), await ben.page.evaluate(made)], [0, 0]);
});

test('many at once come in order, and old ones go', async (t) => {
  const ada = await enter(t, 'Ada', 'flood');
  const ben = await enter(t, 'Ben', 'flood');
  const numbers = Array.from({ length: 550 }, (_, index) => String(index));
  await ada.page.evaluate((numbers) => {
    for (const number of numbers) {
      document.getElementById('message').value = number;
      document.getElementById('composer').requestSubmit();
    }
  }, numbers);
  await ben.hears('549');
  const heard = (await ben.messages()).map(({ text }) => text);
  assert.deepEqual(heard, numbers.slice(-heard.length));
  assert.ok(heard.length >= 490 && heard.length <= 500, `${heard.length} are left`);
});
