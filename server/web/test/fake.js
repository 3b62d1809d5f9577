// A client on a WebSocket without a network, for what a real server does not do on demand.
import assert from 'node:assert/strict';

import {
  Client,
  MessageType,
  PacketDecoder,
  PacketType,
  decodeMessage,
  encodeMessage,
  encodePacket,
} from '../cereus.js';
import { text, utf8 } from './vectors.js';

/** What a Cereus server says first. */
export const greeting = { code: 200, sys: { dict: {}, heartbeat: 30, serializer: 'json' } };

/** A place to connect to: keeps the sockets that were made. */
export function fakeNetwork() {
  /** @type {FakeSocket[]} */
  const sockets = [];
  class WebSocket extends FakeSocket {
    /** @param {string} url */
    constructor(url) {
      super(url);
      sockets.push(this);
    }
  }
  return { WebSocket, sockets, last: () => /** @type {FakeSocket} */ (sockets.at(-1)) };
}

class FakeSocket {
  /** @type {{ type: number, body: Uint8Array }[]} Packets that the client sent. */
  sent = [];
  closed = false;

  constructor(url) {
    this.url = url;
  }

  // The client's side.

  send(bytes) {
    if (this.closed) throw new Error('sent on a closed socket');
    const decoder = new PacketDecoder();
    decoder.push(bytes);
    for (let packet = decoder.next(); packet; packet = decoder.next()) this.sent.push(packet);
  }

  close() {
    this.closed = true;
  }

  // The server's side.

  open() {
    this.onopen?.({});
  }

  /** Each argument is a frame. */
  frames(...frames) {
    for (const frame of frames) {
      this.onmessage?.({ data: typeof frame === 'string' ? frame : Uint8Array.from(frame).buffer });
    }
  }

  packet(type, body) {
    this.frames(encodePacket(type, body));
  }

  /** Completes the handshake. */
  greet(sys = {}) {
    this.open();
    this.packet(PacketType.Handshake, utf8(JSON.stringify({ ...greeting, sys: { ...greeting.sys, ...sys } })));
  }

  message(message) {
    this.packet(PacketType.Data, encodeMessage(message));
  }

  push(route, value) {
    this.message({ type: MessageType.Push, route, body: utf8(JSON.stringify(value)) });
  }

  answer(id, value, error = false) {
    this.message({ type: MessageType.Response, id, body: utf8(JSON.stringify(value)), error });
  }

  lose(code = 1006, reason = '') {
    this.closed = true;
    this.onclose?.({ code, reason });
  }

  /** The messages that the client sent, bodies as text. */
  messages(dictionary) {
    const data = this.sent.filter(({ type }) => type === PacketType.Data);
    const decoded = data.map(({ body }) => decodeMessage(body, dictionary));
    return decoded.map((message) => ({ ...message, body: text(message.body) }));
  }

  count(type) {
    return this.sent.filter((packet) => packet.type === type).length;
  }
}

/** What was promised has been told. */
export const settled = () => new Promise((resolve) => setImmediate(resolve));

/** A client and its network; time stands still until it is moved. */
export function setUp(t, { url = 'ws://game', ...options } = {}) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  t.mock.method(Math, 'random', () => 0.5);
  const network = fakeNetwork();
  const client = new Client(url, { WebSocket: network.WebSocket, ...options });
  const states = [];
  client.on('sys.state', ({ state, error, retryIn }) => {
    states.push([state, error && (error.reason ?? error.message), retryIn].filter((part) => part !== undefined));
  });
  t.after(() => client.close());
  return { client, network, states, tick: (milliseconds) => t.mock.timers.tick(milliseconds) };
}

/** The same after its handshake. */
export async function connect(t, options, sys) {
  const all = setUp(t, options);
  const opened = all.client.open();
  await settled();
  all.network.last().greet(sys);
  await opened;
  return { ...all, socket: all.network.last() };
}

/** The promise fails as a ClientError. */
export const rejects = (promise, reason, message = /./) => {
  return assert.rejects(promise, { name: 'ClientError', reason, message });
};
