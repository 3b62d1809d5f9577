// Requests, notifies and pushes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateSync, gzipSync } from 'node:zlib';

import { CereusError, Dictionary, MessageType, PacketType, encodeMessage, encodePacket, json } from '../cereus.js';
import { connect, rejects, settled } from './fake.js';
import { fromHex, text, utf8, vectors } from './vectors.js';

test('requests are answered by their ids, in any order', async (t) => {
  const { client, socket } = await connect(t);
  const answers = [client.request('a.b', { n: 1 }), client.request('a.c'), client.request('a.d', null)];
  const expected = [
    { id: 1, route: 'a.b', body: '{"n":1}' },
    { id: 2, route: 'a.c', body: '{}' },
    { id: 3, route: 'a.d', body: 'null' },
  ];
  assert.deepEqual(socket.messages().map(({ id, route, body }) => ({ id, route, body })), expected);
  const isPlain = ({ type, compressed, error }) => type === MessageType.Request && !compressed && !error;
  assert.ok(socket.messages().every(isPlain));
  socket.answer(3, 'third');
  socket.message({ type: MessageType.Response, id: 1 });
  socket.answer(2, { code: 'PIT-433', msg: 'test error', metadata: { some: 'meta' } }, true);
  assert.equal(await answers[2], 'third');
  assert.equal(await answers[0], undefined);
  await assert.rejects(answers[1], (error) => {
    assert.ok(error instanceof CereusError);
    assert.deepEqual([error.code, error.message, error.metadata], ['PIT-433', 'test error', { some: 'meta' }]);
    return true;
  });
});

test('routes of the dictionary travel as codes, both ways', async (t) => {
  const dict = { 'room.say': 258, onMessage: 4 };
  const { client, socket } = await connect(t, {}, { dict });
  const pushes = [];
  client.on('onMessage', (push) => pushes.push(push));
  client.notify('room.say', {});
  client.request('room.say', {}).catch(() => {});
  assert.deepEqual([...socket.sent.at(-2).body.subarray(0, 3)], [0x03, 1, 2]);
  assert.deepEqual([...socket.sent.at(-1).body.subarray(0, 4)], [0x01, 1, 1, 2]);
  const push = { type: MessageType.Push, route: 'onMessage', body: utf8('"hi"') };
  socket.packet(PacketType.Data, encodeMessage(push, new Dictionary(dict)));
  assert.deepEqual(pushes, ['hi']);
});

test('a request fails at its timeout, and a late answer changes nothing', async (t) => {
  const { client, socket, tick } = await connect(t, { timeout: 2000 });
  const decode = t.mock.method(json, 'decode').mock;
  const slow = client.request('a.slow');
  const quick = client.request('a.quick', {}, { timeout: 500 });
  const patient = client.request('a.patient', {}, { timeout: Infinity });
  tick(499);
  socket.answer(99, 'nobody asked');
  tick(1);
  await rejects(quick, 'timeout', 'no answer to a.quick within 500 ms');
  tick(1500);
  await rejects(slow, 'timeout');
  socket.answer(1, 'late');
  // The server lives all the time.
  for (let minute = 0; minute < 3; minute++) {
    tick(50_000);
    socket.packet(PacketType.Heartbeat);
  }
  socket.answer(3, 'at last');
  assert.equal(await patient, 'at last');
  assert.equal(decode.callCount(), 1, 'late answers are not even read');
});

test('a signal ends the wait', async (t) => {
  const { client, socket } = await connect(t);
  const controller = new AbortController();
  const reason = new Error('left the page');
  const removed = t.mock.method(controller.signal, 'removeEventListener').mock;
  const early = client.request('a.b', {}, { signal: controller.signal });
  socket.answer(1, 'early');
  assert.equal(await early, 'early');
  assert.equal(removed.callCount(), 1);
  const answer = client.request('a.b', {}, { signal: controller.signal });
  controller.abort(reason);
  await assert.rejects(answer, reason);
  const before = socket.sent.length;
  await assert.rejects(client.request('a.b', {}, { signal: controller.signal }), reason);
  assert.equal(socket.sent.length, before);
  socket.answer(2, 'late');
  assert.equal(client.state, 'open');
});

test('what is too large is not sent', async (t) => {
  const { client, socket } = await connect(t, { maxPacket: 100 });
  const before = socket.sent.length;
  await rejects(client.request('a.b', 'x'.repeat(100)), 'tooLarge', /a\.b: \d+ bytes/);
  assert.throws(() => client.notify('a.b', 'x'.repeat(100)), { reason: 'tooLarge' });
  await rejects(client.request('x'.repeat(256)), 'tooLarge', /route/);
  assert.equal(socket.sent.length, before);
  client.notify('a.b', 'x'.repeat(92));
  assert.equal(socket.sent.at(-1).body.length, 99);
});

/** A packet with a compressed push. */
function zipped(route, body, compress = deflateSync) {
  const message = encodeMessage({ type: MessageType.Push, route, body: compress(body) });
  message[0] |= 0x10;
  return encodePacket(PacketType.Data, message);
}

test('order is kept around bodies that take time to inflate', async (t) => {
  const { client, socket } = await connect(t);
  const seen = [];
  client.on('p', (push) => seen.push(push.length ?? push));
  client.request('a.b').then((answer) => seen.push(answer));
  const kicked = new Promise((resolve) => client.on('sys.kick', () => resolve(seen.push('kick'))));
  client.on('sys.state', ({ state }) => seen.push(state));
  socket.push('p', 0);
  assert.deepEqual(seen, [0], 'what needs no time takes none');
  // In one frame, cut in the middle of a packet.
  const large = JSON.stringify('x'.repeat(1_000_000));
  const all = Buffer.concat([zipped('p', large), zipped('p', '1', gzipSync), zipped('p', '2')]);
  socket.frames(all.subarray(0, 777), all.subarray(777));
  socket.push('p', 3);
  socket.answer(1, 'answer');
  socket.frames(zipped('p', '4'));
  socket.push('p', 5);
  socket.packet(PacketType.Kick);
  socket.push('p', 6);
  socket.lose();
  await kicked;
  assert.deepEqual(seen, [0, 1_000_000, 1, 2, 3, 'answer', 4, 5, 'kick', 'closed']);
});

test('after bodies that took time, messages take none again', async (t) => {
  const { client, socket } = await connect(t);
  const seen = [];
  client.on('p', (push) => seen.push(push));
  const inflated = new Promise((resolve) => client.on('p', resolve));
  socket.frames(zipped('p', '1'));
  assert.deepEqual(seen, []);
  await inflated;
  await settled();
  socket.push('p', 2);
  assert.deepEqual(seen, [1, 2]);
});

test('what goes wrong waits for its turn', async (t) => {
  const { client, socket } = await connect(t);
  const seen = [];
  client.on('p', (push) => seen.push(push));
  const ended = new Promise((resolve) => client.on('sys.state', ({ error }) => resolve(error)));
  socket.frames(zipped('p', '1'), fromHex('06000000'));
  socket.push('p', 2);
  assert.equal((await ended).reason, 'protocol');
  assert.deepEqual(seen, [1]);
});

test('nothing is told after close, also what is being inflated', async (t) => {
  const { client, socket } = await connect(t);
  const seen = [];
  client.on('p', (push) => seen.push(push));
  socket.frames(zipped('p', '1'));
  client.on('sys.kick', (kick) => seen.push(kick));
  client.close();
  socket.push('p', 2);
  socket.packet(PacketType.Kick);
  t.mock.timers.reset();
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(seen, []);
});

test('no timer is left behind', async (t) => {
  const { client, socket } = await connect(t);
  t.mock.timers.reset();
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = timers();
  const answer = client.request('a.b');
  assert.equal(timers(), before + 1);
  socket.answer(1, 'yes');
  await answer;
  // The one for silence, begun anew with that answer.
  assert.equal(timers(), before + 1);
  client.close();
  assert.equal(timers(), before);
});

test('an answer that came before the loss is an answer, also when it is inflated after it', async (t) => {
  const { client, socket } = await connect(t);
  const answers = [client.request('a.b'), client.request('a.c')];
  const message = encodeMessage({ type: MessageType.Response, id: 1, body: deflateSync('"in time"') });
  message[0] |= 0x10;
  socket.packet(PacketType.Data, message);
  socket.lose();
  assert.equal(await answers[0], 'in time');
  await rejects(answers[1], 'lost');
});

test('listeners come and go', async (t) => {
  const { client, socket } = await connect(t);
  const seen = [];
  const first = (push) => seen.push(['first', push]);
  const off = client.on('p', first);
  client.on('p', (push) => {
    seen.push(['second', push]);
    off();
  });
  socket.push('p', 1);
  socket.push('p', 2);
  socket.push('q', 3);
  client.on('q', first);
  client.off('q', first);
  client.off('nothing', first);
  socket.push('q', 4);
  for (const route of ['sys.state', 'sys.kick']) {
    client.on(route, first);
    socket.push(route, 'what only the client says');
  }
  assert.deepEqual(seen, [['first', 1], ['second', 1], ['second', 2]]);
});

test('what a listener throws is uncaught, and everything goes on', async (t) => {
  const { client, socket } = await connect(t);
  const uncaught = [];
  t.mock.method(globalThis, 'queueMicrotask', (run) => {
    try {
      run();
    } catch (error) {
      uncaught.push(error.message);
    }
  });
  const seen = [];
  client.on('p', () => {
    throw new Error('mine');
  });
  client.on('p', (push) => seen.push(push));
  socket.push('p', 1);
  socket.message({ type: MessageType.Push, route: 'p', body: utf8('no JSON') });
  socket.push('p', 2);
  assert.deepEqual(seen, [1, 2]);
  assert.deepEqual(uncaught, ['mine', 'a push on p cannot be read', 'mine']);
  const answer = client.request('a.b');
  socket.message({ type: MessageType.Response, id: 1, body: utf8('no JSON') });
  await rejects(answer, 'body', /a\.b/);
  const failed = client.request('a.b');
  socket.message({ type: MessageType.Response, id: 2, body: utf8('no JSON'), error: true });
  await rejects(failed, 'body');
  assert.equal(client.state, 'open');
});

test('a serializer of one’s own', async (t) => {
  const asked = [];
  const serializer = {
    name: 'protobuf',
    encode: (value, route) => (asked.push(['encode', route]), utf8(`<${value}>`)),
    decode: (bytes, route) => (asked.push(['decode', route]), text(bytes).slice(1, -1)),
  };
  const { client, socket } = await connect(t, { serializer }, { serializer: 'protobuf' });
  const pushes = [];
  client.on('p', (push) => pushes.push(push));
  client.on('sys.draining', (draining) => pushes.push(draining));
  const answers = [client.request('a.b', 'hi'), client.request('a.c', 'hi')];
  assert.equal(socket.messages()[0].body, '<hi>');
  socket.message({ type: MessageType.Response, id: 1, body: utf8('<ho>') });
  const error = vectors.protobuf.find(({ value }) => value?.code === 'PIT-433');
  socket.message({ type: MessageType.Response, id: 2, body: fromHex(error.hex), error: true });
  socket.message({ type: MessageType.Push, route: 'p', body: utf8('<push>') });
  socket.push('sys.draining', { deadline: 7 });
  assert.equal(await answers[0], 'ho');
  await assert.rejects(answers[1], { name: 'CereusError', code: 'PIT-433', metadata: { some: 'meta' } });
  assert.deepEqual(pushes, ['push', { deadline: 7 }]);
  assert.deepEqual(asked, [['encode', 'a.b'], ['encode', 'a.c'], ['decode', 'a.b'], ['decode', 'p']]);
});
