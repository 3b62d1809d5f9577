// Watching the servers while talking: requests move, nothing that was acknowledged is lost.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { atEnd, startBrowser, startGame } from '../harness.js';
import { setUp, visit } from './visitor.js';

/** Says numbers, twenty a second, until told to stop; what was acknowledged. */
async function chatter(visitor) {
  await visitor.page.evaluate(() => {
    const [field, form] = [document.getElementById('message'), document.getElementById('composer')];
    let number = 0;
    window.chatter = setInterval(() => {
      field.value = `number ${number++}`;
      form.requestSubmit();
    }, 50);
  });
  return async () => {
    await visitor.page.waitForFunction(() => document.querySelectorAll('.answered').length >= 40);
    await visitor.page.evaluate(() => clearInterval(window.chatter));
    await visitor.page.waitForFunction(() => document.querySelectorAll('.own:not(.answered, .failed)').length === 0);
    return (await visitor.messages()).filter(({ server }) => server);
  };
}

/** Each acknowledged one is there once, in its order. */
async function allHeard(listener, acknowledged) {
  await listener.hears(acknowledged.at(-1).text);
  const heard = (await listener.messages()).map(({ text }) => text);
  // A page keeps the last ones.
  const wanted = acknowledged.map(({ text }) => text).slice(-450);
  assert.ok(wanted.length >= 40, `${wanted.length} were acknowledged`);
  assert.equal(new Set(heard).size, heard.length, 'nothing is heard twice');
  assert.deepEqual(heard.filter((text) => wanted.includes(text)), wanted);
}

test('scaled by button while chatting', async (t) => {
  const { enter } = await setUp(t);
  const [ada, ben] = [await enter('Ada'), await enter('Ben')];
  await ada.members('Ada', 'Ben');
  const stop = await chatter(ada);
  await ben.button('One more room server').click();
  await ben.page.locator('#said').getByText('room is scaled from 2 to 3').waitFor();
  await ben.ready('room-3');
  await ada.page.locator('.own .mark').getByText('room-3').first().waitFor();
  await ben.button('One less room server').click();
  await ben.button('One less room server').click();
  await ben.page.getByText('1 of 1 ready').nth(1).waitFor();
  const acknowledged = await stop();
  const servers = new Set(acknowledged.map(({ server }) => server));
  assert.ok(servers.size === 3, `${[...servers]} answered`);
  assert.equal(await ada.page.locator('.failed.message').count(), 0);
  await allHeard(ben, acknowledged);
});

test('a room server is killed by button', async (t) => {
  const { game, enter } = await setUp(t);
  const [ada, ben] = [await enter('Ada'), await enter('Ben')];
  await ada.members('Ada', 'Ben');
  const stop = await chatter(ada);
  await ada.page.locator('.own .mark').getByText('room-2').first().waitFor();
  await ben.button('Kill room-2').click();
  await ben.page.locator('#said').getByText('room-2 is killed').waitFor();
  await ben.server('room-2').getByText('restarted once').waitFor();
  await ben.ready('room-2');
  assert.ok(game.said.some((line) => line.includes('room-2 ended (signal: 9 (SIGKILL)); it starts again in 0.2 s')));
  // It takes part again.
  const before = await ada.page.locator('.own .mark').getByText('room-2').count();
  await ada.page.waitForFunction(
    (before) => [...document.querySelectorAll('.own .mark')].filter((one) => one.textContent.startsWith('room-2')).length > before,
    before,
  );
  await allHeard(ben, await stop());
  await ada.members('Ada', 'Ben');
});

test('a frontend is killed and comes back', async (t) => {
  const { enter } = await setUp(t);
  const [ada, ben] = [await enter('Ada'), await enter('Ben')];
  await ada.members('Ada', 'Ben');
  // It may come back before anybody looks.
  await ada.page.evaluate(() => {
    window.states = [];
    const connection = document.getElementById('connection');
    const note = () => window.states.push(connection.dataset.state);
    new MutationObserver(note).observe(connection, { attributeFilter: ['data-state'] });
  });
  await ben.button('Kill connector-1').click();
  await Promise.all([ada.event('Connected again, through connector-1'), ben.event('Connected again, through connector-1')]);
  const states = await ada.page.evaluate(() => window.states);
  assert.deepEqual([states[0], states.at(-1)], ['reconnecting', 'open']);
  await Promise.all([ada.members('Ada', 'Ben'), ben.members('Ada', 'Ben')]);
  await ada.say('still here?');
  await ben.hears('still here?');
});

test('without a frontend the page waits, and keeps what is being written', async (t) => {
  const { enter } = await setUp(t);
  const ada = await enter('Ada');
  await ada.button('One less connector server').click();
  await ada.page.locator('#connection').getByText('Reconnecting, no frontend is ready').waitFor();
  await ada.page.locator('#notice').getByText('The connection is lost').waitFor();
  await ada.say('later');
  assert.equal(await ada.page.getByLabel('Message', { exact: true }).inputValue(), 'later');
  await ada.button('One more connector server').click();
  await ada.joined();
  await ada.page.getByLabel('Message', { exact: true }).press('Enter');
  await ada.hears('later');
});

test('without a room server a message fails, and can be sent again', async (t) => {
  const { enter } = await setUp(t);
  const ada = await enter('Ada');
  await ada.scaleToNone('room', 'room-1', 'room-2');
  await ada.say('anybody?');
  await ada.page.locator('.failed.message').getByText('No room server could take it.').waitFor();
  await ada.button('One more room server').click();
  await ada.ready('room-1');
  await ada.button('Send again').click();
  await ada.page.locator('.answered').getByText('anybody?').waitFor();
  assert.equal(await ada.focused(), 'message');
  assert.deepEqual((await ada.messages()).map(({ text, server }) => [text, server]), [['anybody?', 'room-1']]);
});

test('with two frontends the other one takes over', async (t) => {
  const { enter } = await setUp(t);
  const ada = await enter('Ada');
  assert.equal(await ada.frontend(), 'connector-1');
  await ada.server('connector-1').getByText('you', { exact: true }).waitFor();
  // This one will never try to come back.
  const cleo = await enter('Cleo');
  await cleo.page.evaluate(() => (window.setTimeout = () => 0));
  await ada.button('One more connector server').click();
  await ada.ready('connector-2');
  // Which one a page takes is chance: here the last.
  const ben = await enter('Ben', { before: () => (Math.random = () => 0.99) });
  assert.equal(await ben.frontend(), 'connector-2');
  await ben.members('Ada', 'Ben', 'Cleo');
  await ada.button('Kill connector-1').click();
  await ada.event('Connected again, through connector-2');
  assert.equal(await ada.frontend(), 'connector-2');
  // Nobody says goodbye for those whose frontend is killed, and nobody is there twice.
  await Promise.all([ada.members('Ada', 'Ben'), ben.members('Ada', 'Ben')]);
  // One that leaves says so first: its clients go before it does.
  await ada.ready('connector-1');
  await ada.button('One less connector server').click();
  await ada.event('Connected again, through connector-1');
  await ada.say('and back');
  await ada.hears('and back');
});

test('dev is stopped and started again', async (t) => {
  const browser = await startBrowser();
  atEnd(t, () => browser.close());
  const first = await startGame();
  atEnd(t, () => first.stop());
  const expected = /^WebSocket connection|^Failed to load resource: net::ERR/;
  const ada = await (await visit(t, browser, first.page, { expected })).join('Ada');
  await first.stop();
  await ada.page.locator('#connection').getByText('cereus dev is not running').waitFor();
  const address = new URL(first.page).host;
  const second = await startGame(['--tcp', '127.0.0.1:0', '--ws', '127.0.0.1:0', '--http', address]);
  atEnd(t, () => second.stop());
  await ada.event('Connected again');
  await ada.members('Ada');
});
