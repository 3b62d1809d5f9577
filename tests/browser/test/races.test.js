// What happens at the same time, in another order, or not at all.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { setUp } from './visitor.js';

/** In the page: what waits for another attempt, 300 ms, waits until the test lets it go. */
function hold() {
  const { setTimeout } = window;
  window.held = [];
  window.setTimeout = (run, ms) => (ms === 300 ? window.held.push(run) : setTimeout(run, ms));
  window.release = () => window.held.splice(0).forEach((run) => run());
}

const isHeld = (visitor, count) => visitor.page.waitForFunction((count) => window.held.length === count, count);

/** Lets all attempts go, again and again, until the room has answered. */
const releaseUntilJoined = ({ page }) =>
  page.waitForFunction(() => window.release() ?? document.getElementById('send').ariaDisabled === 'false');

test('who leaves without a room server is gone when there is one', async (t) => {
  const { enter } = await setUp(t);
  const [ada, ben] = [await enter('Ada'), await enter('Ben')];
  await ben.members('Ada', 'Ben');
  await ben.scaleToNone('room', 'room-1', 'room-2');
  await ada.button('Leave').click();
  await ben.button('One more room server').click();
  await ben.event('Ada left');
  await ben.members('Ben');
});

test('who leaves is gone also when that is not answered', async (t) => {
  const { enter } = await setUp(t);
  const ben = await enter('Ben');
  const loseLeave = () => {
    const { send } = WebSocket.prototype;
    WebSocket.prototype.send = function (bytes) {
      if (!new TextDecoder().decode(bytes).includes('room.room.leave')) send.call(this, bytes);
    };
  };
  const ada = await enter('Ada', { before: loseLeave });
  await ben.members('Ada', 'Ben');
  await ada.button('Leave').click();
  await ben.event('Ada left');
  await ada.join('Ada');
  await Promise.all([ada.members('Ada', 'Ben'), ben.members('Ada', 'Ben')]);
});

test('a message that waits for another attempt does not follow into another room', async (t) => {
  const { enter } = await setUp(t);
  const ada = await enter('Ada', { before: hold });
  await ada.scaleToNone('room', 'room-1', 'room-2');
  await ada.say('for the lobby');
  await isHeld(ada, 1);
  await ada.button('Leave').click();
  await ada.page.getByLabel('Room', { exact: true }).fill('blue');
  await ada.button('Join').click();
  await ada.button('One more room server').click();
  await releaseUntilJoined(ada);
  await ada.say('for blue');
  await ada.hears('for blue');
  assert.deepEqual((await ada.messages()).map(({ text }) => text), ['for blue']);
});

test('a connection that comes back before the next attempt joins once', async (t) => {
  const { enter } = await setUp(t);
  const before = `(${hold})(); Math.random = () => 0.1`;
  const ada = await enter('Ada', { before });
  await ada.button('One more connector server').click();
  await ada.ready('connector-2');
  await ada.scaleToNone('room', 'room-1', 'room-2');
  // Through the other frontend, where no room answers either.
  const first = await ada.frontend();
  await ada.button(`Kill ${first}`).click();
  await isHeld(ada, 1);
  const second = await ada.frontend();
  assert.notEqual(second, first);
  await ada.ready(first);
  await ada.button(`Kill ${second}`).click();
  await isHeld(ada, 2);
  await ada.button('One more room server').click();
  await releaseUntilJoined(ada);
  await ada.say('here');
  await ada.hears('here');
  assert.equal(await ada.page.getByText('Connected again').count(), 1);
});

test('a farewell that is heard before the arrival leaves no ghost', async (t) => {
  const { enter } = await setUp(t);
  const keepSocket = () => {
    const { send } = WebSocket.prototype;
    WebSocket.prototype.send = function (bytes) {
      window.socket = this;
      send.call(this, bytes);
    };
  };
  const ada = await enter('Ada', { before: keepSocket });
  await ada.page.evaluate(async () => {
    const { MessageType, PacketType, encodeMessage, encodePacket, json } = await import('/cereus.js');
    const push = (route, value) => {
      const message = encodeMessage({ type: MessageType.Push, route, body: json.encode(value) });
      const { buffer } = encodePacket(PacketType.Data, message);
      window.socket.dispatchEvent(new MessageEvent('message', { data: buffer }));
    };
    push('onLeave', { name: 'Ben' });
    push('onNewUser', { content: 'New user: Ben' });
  });
  await ada.members('Ada', 'Ben');
  await ada.members('Ada');
});

test('who comes while the list of members is on its way is not forgotten', async (t) => {
  const { enter } = await setUp(t);
  const holdLists = () => {
    const onmessage = Object.getOwnPropertyDescriptor(WebSocket.prototype, 'onmessage');
    const isList = ({ data }) => window.lists && new TextDecoder().decode(data).includes('onMembers');
    const set = function (listen) {
      onmessage.set.call(this, (event) => (isList(event) ? window.lists.push(() => listen(event)) : listen(event)));
    };
    Object.defineProperty(WebSocket.prototype, 'onmessage', { ...onmessage, set });
    window.lists = [];
  };
  const ada = await enter('Ada', { before: holdLists });
  await ada.page.waitForFunction(() => window.lists.length === 1);
  await enter('Ben');
  await ada.event('Ben joined');
  await ada.page.evaluate(() => {
    const lists = window.lists;
    window.lists = null;
    lists.forEach((run) => run());
  });
  await ada.members('Ada', 'Ben');
});

test('quick clicks all count', async (t) => {
  const { enter } = await setUp(t);
  const ada = await enter('Ada');
  await ada.button('One more room server').evaluate((button) => [1, 2, 3].forEach(() => button.click()));
  await ada.ready('room-5');
  await ada.button('One less room server').evaluate((button) => [1, 2, 3, 4, 5, 6].forEach(() => button.click()));
  await ada.page.getByText('0 of 0 ready').waitFor();
});

test('a message that is answered when the log is empty again waits no more', async (t) => {
  const { enter } = await setUp(t);
  const ada = await enter('Ada');
  const waiting = await ada.page.evaluate(async () => {
    const { Log } = await import('/page/log.js');
    const log = new Log();
    const early = log.said('Ada', 'early', () => {});
    log.clear();
    const late = log.said('Ada', 'late', () => {});
    early.answered('room-1', 1);
    const seen = [log.waiting];
    late.failed('why not');
    return [...seen, log.waiting];
  });
  assert.deepEqual(waiting, [1, 0]);
});
