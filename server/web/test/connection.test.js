// The life of a connection: handshake, heartbeats, endings, and coming back.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { deflateSync, gzipSync } from 'node:zlib';

import { Client, MessageType, PacketType, encodeMessage, encodePacket, json } from '../cereus.js';
import { connect, greeting, rejects, settled, setUp } from './fake.js';
import { fromHex, text, utf8, vectors } from './vectors.js';

test('the handshake says who the client is and what it can read', async (t) => {
  const { client, network, states } = setUp(t, { user: async () => ({ token: 't' }), sys: { clientVersion: '2.1' } });
  assert.equal(client.state, 'closed');
  const opened = client.open();
  assert.equal(client.state, 'connecting');
  await settled();
  const socket = network.last();
  assert.deepEqual([socket.url, socket.binaryType, socket.sent], ['ws://game', 'arraybuffer', []]);
  socket.open();
  const [{ type, body }] = socket.sent;
  const { sys, user } = JSON.parse(text(body));
  assert.deepEqual([type, user], [PacketType.Handshake, { token: 't' }]);
  const { libVersion, ...rest } = sys;
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  assert.equal(libVersion, version);
  assert.deepEqual(rest, { platform: 'web', dict: true, kickReason: true, drain: true, clientVersion: '2.1' });
  socket.packet(PacketType.Handshake, utf8(JSON.stringify(greeting)));
  await opened;
  assert.deepEqual([socket.sent[1].type, socket.sent[1].body.length, socket.sent.length], [PacketType.Ack, 0, 2]);
  assert.deepEqual(states, [['connecting'], ['open']]);
  await client.open();
  assert.equal(network.sockets.length, 1);
});

for (const [name, compress] of [['zlib', deflateSync], ['gzip', gzipSync], ['a vector', null]]) {
  test(`a handshake in ${name} is inflated`, async (t) => {
    const { client, network } = setUp(t);
    const opened = client.open();
    await settled();
    network.last().open();
    const { dictionary, zlib_packet_decode_only: hex } = vectors.handshake_with_dictionary;
    const document = { ...greeting, sys: { ...greeting.sys, dict: dictionary } };
    network.last().frames(compress ? encodePacket(1, compress(JSON.stringify(document))) : fromHex(hex));
    await opened;
    client.notify('room.room.getsessiondata');
    const sent = network.last().sent.at(-1).body;
    assert.deepEqual([...sent.subarray(0, 3)], [0x03, 0, 3]);
  });
}

test('a refused handshake ends it', async (t) => {
  const { client, network, states, tick } = setUp(t);
  const opened = client.open();
  await settled();
  network.last().open();
  network.last().packet(PacketType.Handshake, utf8(JSON.stringify({ ...greeting, code: 400 })));
  await rejects(opened, 'refused', /400/);
  tick(100_000);
  assert.deepEqual([states, network.sockets.length], [[['connecting'], ['closed', 'refused']], 1]);
});

test('a server with another serializer is refused', async (t) => {
  const { client, network } = setUp(t);
  const opened = client.open();
  await settled();
  network.last().greet({ serializer: 'protobuf' });
  await rejects(opened, 'refused', /protobuf.*json/);
  assert.ok(network.last().closed);
});

test('a handshake that the server would not read is not sent', async (t) => {
  const { client, network } = setUp(t, { user: { token: 'x'.repeat(16 * 1024) } });
  await rejects(client.open(), 'tooLarge', /handshake/);
  assert.equal(network.sockets.length, 0);
});

test('a server that does not complete the handshake is left', async (t) => {
  const { client, network, tick } = setUp(t, { connectTimeout: 3000 });
  const opened = client.open();
  await settled();
  network.last().open();
  tick(2999);
  // Not even one that sends a little of it.
  network.last().frames(fromHex('0100'));
  assert.equal(client.state, 'connecting');
  tick(1);
  await rejects(opened, 'timeout', 'no handshake within 3000 ms');
  assert.ok(network.last().closed);
});

test('a first attempt that fails is not repeated, and may be made again', async (t) => {
  const { client, network, states, tick } = setUp(t);
  const first = client.open();
  await settled();
  network.last().lose();
  await rejects(first, 'lost', /1006/);
  tick(100_000);
  assert.deepEqual([network.sockets.length, states], [1, [['connecting'], ['closed', 'lost']]]);
  const second = client.open();
  await settled();
  network.last().greet();
  await second;
});

test('a user that cannot be had fails the attempt', async (t) => {
  const { client } = setUp(t, { user: () => Promise.reject(new Error('no token')) });
  await assert.rejects(client.open(), { message: 'no token' });
  assert.equal(client.state, 'closed');
});

test('close while the user is being asked for makes no connection', async (t) => {
  let give = () => {};
  const { client, network } = setUp(t, { user: () => new Promise((resolve) => (give = () => resolve({}))) });
  const opened = client.open();
  client.close();
  give();
  await rejects(opened, 'closed');
  await settled();
  assert.equal(network.sockets.length, 0);
});

// ------------------------------------------------------------------------------------------------- heartbeats and ends

test('each heartbeat is answered, and none is begun', async (t) => {
  const { client, socket, tick } = await connect(t, {}, { heartbeat: 1.5 });
  for (let beat = 1; beat <= 10; beat++) {
    tick(1500);
    assert.equal(socket.count(PacketType.Heartbeat), beat - 1);
    socket.packet(PacketType.Heartbeat);
    assert.equal(socket.count(PacketType.Heartbeat), beat);
  }
  assert.equal(client.state, 'open');
});

test('silence for two intervals is a loss, and anything breaks it', async (t) => {
  const { client, socket, states, tick } = await connect(t, {}, { heartbeat: 1.5 });
  const answer = client.request('a.b');
  tick(2999);
  socket.push('p', 1);
  tick(2999);
  assert.equal(client.state, 'open');
  tick(1);
  await rejects(answer, 'timeout', 'nothing was heard of the server within 3000 ms');
  assert.ok(socket.closed);
  assert.deepEqual(states.at(-1), ['reconnecting', 'timeout', 375]);
});

test('a server without heartbeats may be silent', async (t) => {
  const { client, tick } = await connect(t, {}, { heartbeat: 0 });
  tick(1_000_000);
  assert.equal(client.state, 'open');
});

const bad = {
  'an unknown packet type': [fromHex('06000000')],
  'packet type 0': [fromHex('00000000')],
  'an Ack': [fromHex('02000000')],
  'a second handshake': [encodePacket(PacketType.Handshake, utf8(JSON.stringify(greeting)))],
  'text': ['hello'],
  'a request': [fromHex(vectors.data_packets[0].hex)],
  'a notify': [fromHex(vectors.data_packets[3].hex)],
  'a code that was not given': [fromHex('040000030703e7')],
  'a body that is not zlib': [encodePacket(PacketType.Data, fromHex('1601610102'))],
};
for (const { hex, why } of vectors.bad_messages) bad[`${why} (${hex})`] = [encodePacket(PacketType.Data, fromHex(hex))];
for (const [name, frames] of Object.entries(bad)) {
  test(`closed, with what was before and nothing after: ${name}`, async (t) => {
    const { client, socket, states } = await connect(t);
    const pushes = [];
    client.on('p', (push) => pushes.push(push));
    const answer = client.request('a.b');
    socket.push('p', 'before');
    // In one frame, and in others.
    const push = encodeMessage({ type: MessageType.Push, route: 'p', body: utf8('"after"') });
    const after = encodePacket(PacketType.Data, push);
    if (typeof frames[0] === 'string') socket.frames(...frames);
    else socket.frames(Buffer.concat([...frames, after]));
    socket.push('p', 'after');
    socket.answer(1, 'after');
    await rejects(answer, 'protocol', /./);
    assert.ok(socket.closed);
    assert.deepEqual([pushes, states.at(-1)], [['before'], ['reconnecting', 'protocol', 375]]);
  });
}

test('data before the handshake is a violation', async (t) => {
  const { client, network } = setUp(t);
  const opened = client.open();
  await settled();
  network.last().open();
  network.last().push('p', 1);
  await rejects(opened, 'protocol', /out of turn/);
});

for (const body of ['not JSON', '', 'null', '5', '{}', '\x78\x9cxxx']) {
  test(`a handshake that cannot be read: ${JSON.stringify(body)}`, async (t) => {
    const { client, network } = setUp(t);
    const opened = client.open();
    await settled();
    network.last().open();
    network.last().packet(PacketType.Handshake, Buffer.from(body, 'latin1'));
    await rejects(opened, 'protocol');
    assert.ok(network.last().closed);
  });
}

const silent = { code: '', msg: '' };
const banned = { code: 'banned', msg: 'bye' };
for (const [body, kick] of [['', silent], ['no JSON', silent], ['null', silent], [JSON.stringify(banned), banned]]) {
  test(`a kick ends it: ${body || 'without a reason'}`, async (t) => {
    const { client, network, socket, states, tick } = await connect(t);
    const kicks = [];
    client.on('sys.kick', (value) => kicks.push(value));
    const answer = client.request('a.b');
    socket.packet(PacketType.Kick, utf8(body));
    await rejects(answer, 'kicked', kick === banned ? /bye/ : /^kicked by the server$/);
    socket.lose();
    tick(100_000);
    assert.deepEqual([kicks, states.at(-1), network.sockets.length], [[kick], ['closed', 'kicked'], 1]);
    // A player may want to come back.
    const opened = client.open();
    await settled();
    network.last().greet();
    await opened;
  });
}

test('a drain is told', async (t) => {
  const { client, socket } = await connect(t);
  const told = [];
  client.on('sys.draining', (draining) => told.push(draining));
  socket.push('sys.draining', { deadline: 4 });
  assert.deepEqual([told, client.state], [[{ deadline: 4 }], 'open']);
});

test('close ends everything at once', async (t) => {
  const { client, network, socket, states, tick } = await connect(t);
  const answer = client.request('a.b');
  client.close();
  client.close();
  await rejects(answer, 'closed');
  assert.ok(socket.closed);
  await rejects(client.request('a.b'), 'offline', /a\.b was not sent/);
  assert.throws(() => client.notify('a.b'), { reason: 'offline' });
  socket.lose();
  tick(100_000);
  assert.deepEqual([states, network.sockets.length], [[['connecting'], ['open'], ['closed']], 1]);
});

// ----------------------------------------------------------------------------------------------------------- reconnect

test('after a loss the client comes back, and sends nothing twice', async (t) => {
  const tokens = ['first', 'second'];
  const { client, network, socket, states, tick } = await connect(t, { user: () => ({ token: tokens.shift() }) });
  const pushes = [];
  client.on('p', (push) => pushes.push(push));
  const answer = client.request('a.b');
  client.notify('a.c');
  socket.lose(1012, 'service restart');
  await rejects(answer, 'lost', 'the connection ended (1012 service restart)');
  await rejects(client.request('a.b'), 'offline');
  const opened = client.open();
  assert.equal(network.sockets.length, 1);
  tick(374);
  assert.equal(network.sockets.length, 1);
  tick(1);
  await settled();
  network.last().greet();
  await opened;
  assert.deepEqual(JSON.parse(text(network.last().sent[0].body)).user, { token: 'second' });
  assert.deepEqual(network.last().messages(), []);
  assert.deepEqual(states, [['connecting'], ['open'], ['reconnecting', 'lost', 375], ['open']]);
  // Listeners stay; the old connection is not heard any more.
  socket.push('p', 'old');
  network.last().push('p', 'new');
  assert.deepEqual(pushes, ['new']);
  const again = client.request('a.b');
  network.last().answer(2, 'yes');
  assert.equal(await again, 'yes');
});

test('a function says where to connect, each time anew', async (t) => {
  const urls = ['ws://one', 'ws://two'];
  const url = async () => urls.shift() ?? Promise.reject(new Error('nobody is there'));
  const { network, socket, states, tick } = await connect(t, { url });
  assert.equal(socket.url, 'ws://one');
  socket.lose();
  tick(375);
  await settled();
  assert.equal(network.last().url, 'ws://two');
  network.last().lose();
  // Where there is nothing to choose from, it is asked again.
  tick(750);
  await settled();
  assert.deepEqual([network.sockets.length, states.at(-1)], [2, ['reconnecting', 'nobody is there', 1500]]);
  urls.push('ws://three');
  tick(1500);
  await settled();
  assert.equal(network.last().url, 'ws://three');
});

test('a user that cannot be had while coming back is asked for again', async (t) => {
  const users = [() => ({}), () => Promise.reject(new Error('no token')), () => ({ token: 't' })];
  const { client, network, socket, states, tick } = await connect(t, { user: () => users.shift()() });
  socket.lose();
  tick(375);
  await settled();
  assert.deepEqual(states.at(-1), ['reconnecting', 'no token', 750]);
  tick(750);
  await settled();
  network.last().greet();
  assert.deepEqual([client.state, network.sockets.length], ['open', 2]);
});

test('waits double up to the longest, and begin anew after a connection that held', async (t) => {
  const reconnect = { first: 1000, longest: 5000 };
  const { client, network, states, tick } = await connect(t, { reconnect }, { heartbeat: 0 });
  const waits = () => states.filter(([state]) => state === 'reconnecting').map(([, , retryIn]) => retryIn);
  const lose = async () => {
    network.last().lose();
    tick(waits().at(-1));
    await settled();
  };
  for (let round = 0; round < 5; round++) await lose();
  assert.deepEqual(waits(), [750, 1500, 3000, 3750, 3750]);
  // A server that takes connections and drops them at once is not asked faster.
  network.last().greet();
  await lose();
  network.last().greet();
  tick(4999);
  await lose();
  assert.deepEqual(waits().slice(5), [3750, 3750]);
  network.last().greet();
  tick(5000);
  await lose();
  assert.deepEqual(waits().slice(7), [750]);
  assert.equal(client.state, 'reconnecting');
});

test('waits are spread over the upper half of their length', async (t) => {
  for (const [random, wait] of [[0, 250], [0.999999, 500]]) {
    await t.test(`${random}`, async (t) => {
      const { socket, states } = await connect(t);
      t.mock.method(Math, 'random', () => random);
      socket.lose();
      assert.deepEqual(states.at(-1), ['reconnecting', 'lost', wait]);
    });
  }
});

test('attempts may be counted, and then it is over', async (t) => {
  const { client, network, socket, states, tick } = await connect(t, { reconnect: { attempts: 2 } });
  socket.lose();
  const waiting = client.open();
  for (let round = 0; round < 2; round++) {
    tick(1000);
    await settled();
    network.last().lose();
  }
  await rejects(waiting, 'lost');
  const again = [375, 750].map((retryIn) => ['reconnecting', 'lost', retryIn]);
  assert.deepEqual(states.slice(2), [...again, ['closed', 'lost']]);
  assert.equal(network.sockets.length, 3);
  const opened = client.open();
  await settled();
  network.last().greet();
  await opened;
  network.last().lose();
  assert.deepEqual(states.at(-1), ['reconnecting', 'lost', 375]);
});

test('reconnecting can be turned off, and stopped', async (t) => {
  await t.test('off', async (t) => {
    const { socket, states } = await connect(t, { reconnect: false });
    socket.lose();
    assert.deepEqual(states.at(-1), ['closed', 'lost']);
  });
  await t.test('stopped', async (t) => {
    const { client, network, socket, states, tick } = await connect(t);
    socket.lose();
    client.close();
    tick(100_000);
    await settled();
    assert.deepEqual([states.at(-1), network.sockets.length], [['closed'], 1]);
  });
  await t.test('by a refusal', async (t) => {
    const { network, socket, states, tick } = await connect(t);
    socket.lose();
    tick(375);
    await settled();
    network.last().open();
    network.last().packet(PacketType.Handshake, utf8('{"code":400}'));
    assert.deepEqual(states.at(-1), ['closed', 'refused']);
  });
});

test('a listener may close the client in the middle of anything', async (t) => {
  for (const when of ['connecting', 'open', 'reconnecting', 'push', 'kick']) {
    await t.test(when, async (t) => {
      const { client, network, tick } = setUp(t);
      client.on('sys.state', ({ state }) => state === when && client.close());
      for (const route of ['push', 'sys.kick']) client.on(route, () => client.close());
      const opened = client.open();
      opened.catch(() => {});
      await settled();
      if (when !== 'connecting') network.last().greet();
      if (when === 'push') network.last().push('push', 1);
      if (when === 'kick') network.last().packet(PacketType.Kick);
      network.last()?.lose();
      tick(100_000);
      await settled();
      assert.deepEqual([client.state, network.sockets.length], ['closed', when === 'connecting' ? 0 : 1]);
    });
  }
});

test('without a WebSocket the constructor says so', () => {
  const { WebSocket } = globalThis;
  try {
    delete globalThis.WebSocket;
    assert.throws(() => new Client('ws://game'), /WebSocket/);
  } finally {
    if (WebSocket) globalThis.WebSocket = WebSocket;
  }
});
