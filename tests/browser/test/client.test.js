// The JavaScript client in a real browser: its WebSocket, its DecompressionStream.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { binaries, freePort, start } from '../../../server/web/test/servers.js';
import { atEnd, startBrowser, startGame } from '../harness.js';
import { visit } from './visitor.js';

test('against the conformance server', async (t) => {
  const port = await freePort();
  const args = ['--type', 'connector', '--ws', `127.0.0.1:${port}`, '--admin', '127.0.0.1:0', '--log', 'warn'];
  const server = await start(t, binaries.conformance, args, { ready: /^ready$/, stop: 'SIGKILL' });
  const [game, browser] = [await startGame(), await startBrowser()];
  atEnd(t, () => Promise.all([browser.close(), game.stop()]));
  const { page } = await visit(t, browser, game.page);
  const told = await page.evaluate(async (url) => {
    const { Client } = await import('/cereus.js');
    const bytes = (text) => new TextEncoder().encode(text);
    const serializer = { name: 'json', encode: bytes, decode: (body) => new TextDecoder().decode(body) };
    const client = (window.client = new Client(url, { serializer, reconnect: { first: 50, longest: 200 } }));
    const states = (window.states = []);
    client.on('sys.state', ({ state }) => states.push(state));
    await client.open();
    const pushes = [];
    client.on('trial.pushed', (push) => pushes.push(Number(push)));
    const done = await client.request('trial.push', '300');
    // Compressed ones and others keep their order.
    const order = [];
    const large = async (size) => order.push((await client.request('trial.large', String(size))).length);
    await Promise.all([200_000, 5, 900_000, 127].map(large));
    const refused = await client.request('trial.panic', '').catch(({ name, code }) => `${name} ${code}`);
    return { pushes, done, order, refused, states };
  }, `ws://127.0.0.1:${port}`);
  assert.deepEqual(told.pushes, [...Array(300).keys()]);
  assert.deepEqual(told.order, [200_000, 5, 900_000, 127]);
  assert.deepEqual([told.done, told.refused, told.states], ['done', 'CereusError PIT-500', ['connecting', 'open']]);

  server.child.kill('SIGKILL');
  await page.waitForFunction(() => window.states.includes('reconnecting'));
  await start(t, binaries.conformance, args, { ready: /^ready$/, stop: 'SIGKILL' });
  await page.waitForFunction(() => window.client.state === 'open');
  assert.equal((await page.evaluate(() => window.client.request('trial.large', '3'))).length, 3);
});
