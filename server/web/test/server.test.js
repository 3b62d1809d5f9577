// The client against real servers.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import WebSocket from 'ws';

import { CereusError, Client, json } from '../cereus.js';
import { binaries, freePort, start } from './servers.js';
import { text, utf8 } from './vectors.js';

/** Bodies as text: the conformance server answers with words. */
const words = { name: 'json', encode: (value) => utf8(String(value)), decode: text };

/** A frontend of the conformance server on a port. */
function conformance(t, port, env) {
  const args = ['--type', 'connector', '--ws', `127.0.0.1:${port}`, '--admin', '127.0.0.1:0', '--log', 'warn'];
  return start(t, binaries.conformance, args, { ready: /^ready$/, stop: 'SIGKILL', env });
}

function connect(t, port, options = {}) {
  const reconnect = { first: 50, longest: 200 };
  const client = new Client(`ws://127.0.0.1:${port}`, { WebSocket, reconnect, ...options });
  t.after(() => client.close());
  return client;
}

/** The next time that a client says this of itself. */
const state = (client, wanted) =>
  new Promise((resolve) => {
    const off = client.on('sys.state', (change) => {
      if (change.state !== wanted) return;
      off();
      resolve(change);
    });
  });

test('the game that dev runs', { timeout: 60_000 }, async (t) => {
  const [tcp, ws] = [await freePort(), await freePort()];
  const args = ['dev', '--tcp', `127.0.0.1:${tcp}`, '--ws', `127.0.0.1:${ws}`];
  await start(t, binaries.cereus, args, { ready: /ready: clients connect/, stop: 'SIGINT' });
  const client = connect(t, ws);
  await client.open();
  // The frontend hears of the rooms a moment after they are ready.
  while (await client.request('room.room.hello').then(() => false, ({ code }) => code === 'PIT-500'));
  await t.test('answers', async () => {
    const { msg, server } = await client.request('room.room.hello', { name: 'Ada' });
    assert.equal(msg, 'hello, Ada');
    assert.match(server, /^room-[12]$/);
    assert.equal((await client.request('room.room.hello')).msg, 'hello, stranger');
  });
  await t.test('greets on the page of the README', async (t) => {
    const [state, answer] = await runPage(t, ws);
    assert.equal(state, 'open');
    assert.match(answer, /^hello, Ada \(from room-[12]\)$/);
  });
  await t.test('answers many at once', async () => {
    const names = Array.from({ length: 500 }, (_, index) => `player ${index}`);
    const answers = await Promise.all(names.map((name) => client.request('room.room.hello', { name })));
    assert.deepEqual(answers.map(({ msg }) => msg), names.map((name) => `hello, ${name}`));
  });
  await t.test('refuses what it does not know', async () => {
    const unknown = [
      ['room.room.nothing', 'PIT-404', 'pitaya/handler: room.room.nothing not found'],
      ['nowhere.room.hello', 'PIT-500', /./],
      ['hello', 'PIT-400', /invalid route/],
    ];
    for (const [route, code, message] of unknown) {
      await assert.rejects(client.request(route), { name: 'CereusError', code, message }, route);
    }
    await assert.rejects(client.request('room.room.hello', 'text'), { name: 'CereusError', code: 'PIT-400' });
    assert.equal(client.state, 'open');
  });
});

/** Runs the page of the README with a document that has just what it asks for. */
async function runPage(t, port) {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const [, script] = /```html\n.*?<script type="module">\n(.*?)<\/script>/s.exec(readme);
  const [, html] = /```html\n(.*?)<script/s.exec(readme);
  const elements = new Map([['form', {}], ['#name', { value: 'Ada' }], ['#answer', {}], ['#state', {}]]);
  for (const [selector, element] of elements) {
    assert.ok(html.includes(selector.replace(/^#(.*)/, 'id="$1"')), `${selector} is on the page`);
    element.addEventListener = (_, listener) => (element.submit = () => listener({ preventDefault() {} }));
  }
  class PageClient extends Client {
    constructor(url) {
      super(url.replace('3251', String(port)), { WebSocket });
      t.after(() => this.close());
    }
  }
  const code = script.replace(/^ *import .*$/m, '');
  const run = Object.getPrototypeOf(runPage).constructor('Client', 'CereusError', 'document', code);
  await run(PageClient, CereusError, { querySelector: (selector) => elements.get(selector) });
  await elements.get('form').submit();
  return [elements.get('#state').textContent, elements.get('#answer').textContent];
}

test('the conformance server', { timeout: 60_000 }, async (t) => {
  const port = await freePort();
  await conformance(t, port);
  const client = connect(t, port);
  const speaker = connect(t, port, { serializer: words });
  await Promise.all([client.open(), speaker.open()]);
  await t.test('errors have their code, text and metadata', async () => {
    const route = 'connector.testsvc.testrequestreturnserror';
    const told = { name: 'CereusError', code: 'PIT-555', message: 'somerror', metadata: {} };
    await assert.rejects(client.request(route), told);
    await assert.rejects(client.request('trial.panic'), { code: 'PIT-500', message: 'internal error' });
  });
  await t.test('pushes come in their order, before the answer', async () => {
    const seen = [];
    const off = speaker.on('trial.pushed', (push) => seen.push(Number(push)));
    seen.push(await speaker.request('trial.push', '300'));
    off();
    assert.deepEqual(seen, [...Array(300).keys(), 'done']);
  });
  await t.test('a notify is handled', async () => {
    const pushed = new Promise((resolve) => speaker.on('trial.pushed', resolve));
    speaker.notify('trial.pushnotify', '1');
    assert.equal(await pushed, '0');
  });
  await t.test('large answers are inflated, small ones between them keep their place', async () => {
    const order = [];
    const ask = async (size) => {
      const answer = await speaker.request('trial.large', String(size));
      order.push(answer.length);
      assert.equal(answer, 'x'.repeat(size));
    };
    const sizes = [200_000, 5, 100_000, 1, 900_000, 127, 128];
    await Promise.all(sizes.map(ask));
    assert.deepEqual(order, sizes);
  });
  await t.test('a body that is as large as it may be', async () => {
    const route = 'connector.testsvc.testrequestreceivereturnsraw';
    const echo = (size) => speaker.request(route, 'y'.repeat(size));
    // Flags, two bytes of id and the route come on top.
    const largest = (1 << 20) - 1 - 2 - 1 - route.length;
    assert.equal((await echo(largest - 1)).length, largest - 1);
    await assert.rejects(echo(largest + 10), { reason: 'tooLarge' });
    assert.equal(speaker.state, 'open');
  });
  await t.test('timeouts', async () => {
    const late = speaker.request('trial.sleepconcurrent', '300 late', { timeout: 50 });
    await assert.rejects(late, { reason: 'timeout' });
    assert.equal(await speaker.request('trial.sleep', '1 x'), '1 x');
  });
  await t.test('a kick has its reason', async () => {
    const [kicked, closed] = [new Promise((resolve) => client.on('sys.kick', resolve)), state(client, 'closed')];
    const answer = client.request('connector.testsvc.testrequestkickme').catch((error) => error.reason);
    const kick = await kicked;
    assert.deepEqual(kick, { code: 'kicked', msg: 'kicked by the server' });
    assert.equal((await closed).error.reason, 'kicked');
    await answer;
  });
});

test('heartbeats keep a connection that says nothing', { timeout: 60_000 }, async (t) => {
  const port = await freePort();
  await conformance(t, port, { CEREUS__AGENT__HEARTBEAT: '1s' });
  const client = connect(t, port);
  const states = [];
  client.on('sys.state', ({ state }) => states.push(state));
  await client.open();
  // The server waits for three intervals, the client for two.
  await new Promise((resolve) => setTimeout(resolve, 4000));
  assert.deepEqual(states, ['connecting', 'open']);
});

test('a server that is killed is found again', { timeout: 60_000 }, async (t) => {
  const port = await freePort();
  const first = await conformance(t, port);
  const client = connect(t, port, { serializer: words });
  await client.open();
  const waiting = client.request('trial.never', '');
  const lost = state(client, 'reconnecting');
  first.child.kill('SIGKILL');
  await assert.rejects(waiting, { name: 'ClientError', reason: 'lost' });
  assert.equal((await lost).error.reason, 'lost');
  await assert.rejects(client.request('trial.server', ''), { reason: 'offline' });
  await conformance(t, port);
  await client.open();
  assert.match(await client.request('trial.server', ''), /^connector /);
});

test('a server that stops says so first', { timeout: 60_000 }, async (t) => {
  const port = await freePort();
  const env = { CEREUS__DRAIN__LINGER: '100ms', CEREUS__DRAIN__DEADLINE: '1s', CEREUS__DRAIN__SPREAD: '200ms' };
  const server = await conformance(t, port, env);
  const client = connect(t, port, { reconnect: false });
  await client.open();
  const [draining, closed] = [new Promise((resolve) => client.on('sys.draining', resolve)), state(client, 'closed')];
  server.child.kill('SIGTERM');
  assert.deepEqual(await draining, { deadline: 1 });
  assert.match((await closed).error.message, /1012/);
  const [status] = await server.ended;
  assert.equal(status, 0);
});

test('a server with protobuf: errors are read, JSON is refused', { timeout: 60_000 }, async (t) => {
  const port = await freePort();
  await conformance(t, port, { CEREUS__SERVER__SERIALIZER: 'protobuf' });
  await assert.rejects(connect(t, port).open(), { reason: 'refused', message: /protobuf/ });
  const serializer = { name: 'protobuf', encode: json.encode, decode: (bytes) => bytes };
  const client = connect(t, port, { serializer });
  await client.open();
  const none = new Uint8Array();
  const wrong = client.request('connector.testsvc.testrequestreturnserror', none);
  await assert.rejects(wrong, { name: 'CereusError', code: 'PIT-555', message: 'somerror' });
  // TestResponse { 1 code: 200, 2 msg: "hello" }
  const answer = await client.request('connector.testsvc.testrequestonlysessionreturnsptr', none);
  assert.equal(Buffer.from(answer).toString('hex'), '08c801120568656c6c6f');
});

test('nobody is there', async (t) => {
  const client = connect(t, await freePort());
  await assert.rejects(client.open(), { name: 'ClientError', reason: 'lost' });
});
