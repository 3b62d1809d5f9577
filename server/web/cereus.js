/**
 * The Cereus client: one module without dependencies, for browsers and for Node 20 or newer.
 *
 *     const client = new Client('wss://play.example.com', { user: { token } });
 *     client.on('onMessage', (message) => show(message));
 *     await client.open();
 *     const { members } = await client.request('room.room.join', { name: 'Ada' });
 *     client.notify('room.room.message', { content: 'hi' });
 *
 * From top to bottom: what users give and get (types, errors), the wire format as pure functions, serializers, one
 * connection, and the client that keeps one.
 *
 * @module cereus
 */

const VERSION = '0.1.0';

// ---------------------------------------------------------------------------------------------------- what users see

/**
 * @typedef {'connecting' | 'open' | 'reconnecting' | 'closed'} State
 *   A client begins `closed`. A lost connection is `reconnecting` until it is `open` again or given up.
 *
 * @typedef {object} StateChange  Told to listeners of `sys.state`.
 * @property {State} state
 * @property {State} previous
 * @property {Error} [error]    Why the connection was lost or closed; none after `close()`.
 * @property {number} [retryIn] Milliseconds until the next attempt, while `reconnecting`.
 *
 * @typedef {object} Kick  Told to listeners of `sys.kick`; the client does not reconnect. Old servers give no reason.
 * @property {string} code
 * @property {string} msg
 *
 * @typedef {object} Draining  Told to listeners of `sys.draining`: this server is about to stop.
 * @property {number} deadline  In how many seconds.
 *
 * @typedef {object} Reconnect  Each wait is between half of its length and all of it, at random.
 * @property {number} [first]    The length of the first wait in milliseconds; each is twice the one before it. 500.
 * @property {number} [longest]  The longest. A connection that held for so long starts anew with the first. 30 000.
 * @property {number} [attempts] How often to try in a row. For ever.
 *
 * @typedef {object} Serializer  How values become bodies. What errors say is read without it; see `decodeError`.
 * @property {string} [name]  What the server calls it; a server that uses another is refused. Not given: any.
 * @property {(value: any, route: string) => Uint8Array} encode  A request or notify on this route.
 * @property {(bytes: Uint8Array, route: string) => any} decode  A push on this route, or the answer to a request on it.
 *
 * @typedef {object} Options
 * @property {object | (() => object | Promise<object>)} [user]  The `user` of the handshake. A function is called for
 *   each connection, so that a token is fresh after a reconnect.
 * @property {object} [sys]             Added to the `sys` of the handshake, such as `{ clientVersion: '2.1' }`.
 * @property {Serializer} [serializer]  Not given: `json`.
 * @property {number} [timeout]         Milliseconds until a request fails. 15 000: servers say so after 10 000.
 * @property {number} [connectTimeout]  Milliseconds until a connection must have completed its handshake. 10 000.
 * @property {number} [maxPacket]       The server's `max_packet`: nothing larger is sent. 1 MiB.
 * @property {Reconnect | false} [reconnect]  How to come back after a loss, or not to.
 * @property {new (url: string) => WebSocket} [WebSocket]  Not given: the global one, which Node 20 does not have.
 *
 * @typedef {object} RequestOptions
 * @property {number} [timeout]      Instead of the client's; `Infinity` waits as long as the connection lasts.
 * @property {AbortSignal} [signal]  Stops the wait, and rejects with its reason. The server is not told.
 */

/** The server answered a request with an error. */
export class CereusError extends Error {
  name = 'CereusError';

  /** @param {string} code @param {string} message @param {Record<string, string>} [metadata] */
  constructor(code, message, metadata = {}) {
    super(message);
    /** Such as `PIT-404`, or a code of the game. */
    this.code = code;
    this.metadata = metadata;
  }
}

/**
 * Why a call failed without an answer of the server.
 *
 * - `timeout`: no answer, or no handshake, in time. A request may have been executed.
 * - `lost`: the connection ended. Requests that were waiting may have been executed; none is sent again.
 * - `offline`: there is no connection; nothing was sent.
 * - `closed`: `close()` was called.
 * - `kicked`: the server threw this client out.
 * - `refused`: the server did not accept the handshake, or uses another serializer.
 * - `tooLarge`: more than a packet, a route or the server takes; nothing was sent.
 * - `protocol`: the server sent what the protocol does not allow.
 * - `body`: the serializer could not read an answer.
 *
 * @typedef {'timeout' | 'lost' | 'offline' | 'closed' | 'kicked' | 'refused' | 'tooLarge' | 'protocol' | 'body'} Reason
 */
export class ClientError extends Error {
  name = 'ClientError';

  /** @param {Reason} reason @param {string} message @param {ErrorOptions} [options] */
  constructor(reason, message, options) {
    super(message, options);
    this.reason = reason;
  }
}

/** @param {string} message @param {unknown} [cause] */
const violation = (message, cause) => new ClientError('protocol', message, { cause });

// --------------------------------------------------------------------------------------------------- the wire format

/** What a packet is. */
export const PacketType = Object.freeze({ Handshake: 1, Ack: 2, Heartbeat: 3, Data: 4, Kick: 5 });
/** What a message, the body of a Data packet, is. */
export const MessageType = Object.freeze({ Request: 0, Notify: 1, Response: 2, Push: 3 });
/** The largest body of a packet: its length has 24 bits. */
export const MAX_BODY = 0xffffff;

const HEADER = 4;
/** What servers take before they know a client. */
const MAX_HANDSHAKE = 16 * 1024;
const MAX_ROUTE = 255;
const MAX_ID = 0xffffffff;
const FLAG_CODE = 0x01;
const FLAG_COMPRESSED = 0x10;
const FLAG_ERROR = 0x20;
const EMPTY = new Uint8Array(0);

const utf8 = new TextEncoder();
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * @typedef {object} Packet
 * @property {number} type  One of `PacketType`.
 * @property {Uint8Array} body
 *
 * @typedef {object} Message
 * @property {number} type           One of `MessageType`.
 * @property {number} [id]           Of requests and responses. Above 2^53 it is rounded; our own stay below 2^32.
 * @property {string} [route]        Of requests, notifies and pushes.
 * @property {Uint8Array} [body]
 * @property {boolean} [error]       Of a response: the body says what went wrong.
 * @property {boolean} [compressed]  The body is still to be inflated. Never set when encoding.
 */

/** A packet: type, length, body. @param {number} type @param {Uint8Array} [body] */
export function encodePacket(type, body = EMPTY) {
  const { length } = body;
  if (length > MAX_BODY) throw new ClientError('tooLarge', `a packet of ${length} bytes is larger than ${MAX_BODY}`);
  const packet = new Uint8Array(HEADER + length);
  packet.set([type, length >> 16, (length >> 8) & 0xff, length & 0xff]);
  packet.set(body, HEADER);
  return packet;
}

/** Finds packets in a stream of bytes, however it is split. */
export class PacketDecoder {
  /** @type {Uint8Array} */
  #buffer = EMPTY;
  #start = 0;
  #end = 0;

  /** Takes the next bytes. They must not change until the packets in them are used. @param {Uint8Array} bytes */
  push(bytes) {
    const left = this.#end - this.#start;
    if (left === 0) {
      [this.#buffer, this.#start, this.#end] = [bytes, 0, bytes.length];
      return;
    }
    if (this.#end + bytes.length > this.#buffer.length) {
      const grown = new Uint8Array(2 * (left + bytes.length));
      grown.set(this.#buffer.subarray(this.#start, this.#end));
      [this.#buffer, this.#start, this.#end] = [grown, 0, left];
    }
    this.#buffer.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  /** The next whole packet, or `null` when more bytes are needed. @returns {Packet | null} */
  next() {
    const left = this.#end - this.#start;
    if (left < HEADER) return null;
    const [type, high, middle, low] = this.#buffer.subarray(this.#start, this.#start + HEADER);
    if (type < PacketType.Handshake || type > PacketType.Kick) throw violation(`there is no packet type ${type}`);
    const length = (high << 16) | (middle << 8) | low;
    if (left < HEADER + length) return null;
    const body = this.#buffer.subarray(this.#start + HEADER, this.#start + HEADER + length);
    this.#start += HEADER + length;
    return { type, body };
  }
}

/** Short codes for long routes, as the server gives them in its handshake. */
export class Dictionary {
  /** @param {Record<string, number>} [codes]  Routes and their codes. */
  constructor(codes = {}) {
    /** @type {ReadonlyMap<string, number>} */
    this.codes = new Map(Object.entries(codes));
    /** @type {ReadonlyMap<number, string>} */
    this.routes = new Map(Object.entries(codes).map(([route, code]) => [code, route]));
  }
}

const NO_DICTIONARY = new Dictionary();

/**
 * A message: flags, id, route, body. The route is written as its code when the dictionary has one.
 *
 * @param {Message} message @param {Dictionary} [dictionary]
 */
export function encodeMessage({ type, id = 0, route = '', body = EMPTY, error = false }, dictionary = NO_DICTIONARY) {
  const code = dictionary.codes.get(route);
  const isCoded = hasRoute(type) && code !== undefined;
  const head = [(type << 1) | (isCoded ? FLAG_CODE : 0) | (error ? FLAG_ERROR : 0)];
  if (hasId(type)) {
    // Not by shifts: those of JavaScript end at 32 bits.
    let rest = id;
    for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) head.push((rest % 0x80) | 0x80);
    head.push(rest);
  }
  if (isCoded) {
    head.push(code >> 8, code & 0xff);
  } else if (hasRoute(type)) {
    const name = utf8.encode(route);
    if (name.length > MAX_ROUTE) {
      throw new ClientError('tooLarge', `a route of ${name.length} bytes is longer than ${MAX_ROUTE}`);
    }
    head.push(name.length, ...name);
  }
  const message = new Uint8Array(head.length + body.length);
  message.set(head);
  message.set(body, head.length);
  return message;
}

/**
 * Reads what `encodeMessage` writes. A compressed body stays so: `inflate` takes time.
 *
 * @param {Uint8Array} bytes @param {Dictionary} [dictionary] @returns {Required<Message>}
 */
export function decodeMessage(bytes, dictionary = NO_DICTIONARY) {
  let at = 0;
  const take = (/** @type {number} */ count, /** @type {string} */ what) => {
    if (at + count > bytes.length) throw violation(`a message ends in its ${what}`);
    at += count;
    return bytes.subarray(at - count, at);
  };
  const [flags] = take(1, 'flags');
  const type = (flags >> 1) & 0x07;
  if (type > MessageType.Push) throw violation(`there is no message type ${type}`);
  let id = 0;
  if (hasId(type)) {
    for (let group = 0, byte = 0x80; byte >= 0x80; group++) {
      [byte] = take(1, 'id');
      // The tenth group holds the last of 64 bits.
      if (group === 9 && byte > 1) throw violation('a message id has more than 64 bits');
      id += (byte & 0x7f) * 2 ** (7 * group);
    }
  }
  let route = '';
  if (hasRoute(type) && flags & FLAG_CODE) {
    const [high, low] = take(2, 'route');
    const known = dictionary.routes.get((high << 8) | low);
    if (known === undefined) throw violation(`the dictionary has no route ${(high << 8) | low}`);
    route = known;
  } else if (hasRoute(type)) {
    const [length] = take(1, 'route');
    route = decodeText(take(length, 'route'), 'a route');
  }
  const body = bytes.subarray(at);
  const compressed = (flags & FLAG_COMPRESSED) !== 0;
  if (compressed && body.length === 0) throw violation('a compressed body is empty');
  return { type, id, route, body, compressed, error: (flags & FLAG_ERROR) !== 0 };
}

/** @param {number} type */
const hasId = (type) => type === MessageType.Request || type === MessageType.Response;
/** @param {number} type */
const hasRoute = (type) => type !== MessageType.Response;

/** @param {Uint8Array} bytes @param {string} what */
function decodeText(bytes, what) {
  try {
    return strictUtf8.decode(bytes);
  } catch (cause) {
    throw violation(`${what} is not UTF-8`, cause);
  }
}

/** Inflates a body: zlib, or gzip, which some servers send. @param {Uint8Array} bytes @returns {Promise<Uint8Array>} */
export async function inflate(bytes) {
  const format = bytes[0] === 0x1f && bytes[1] === 0x8b ? 'gzip' : 'deflate';
  const source = new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (bytes)]).stream();
  try {
    return new Uint8Array(await new Response(source.pipeThrough(new DecompressionStream(format))).arrayBuffer());
  } catch (cause) {
    throw violation('a compressed body cannot be inflated', cause);
  }
}

/**
 * The id of the next request: ids wrap at 32 bits, are never 0, and never those of a request that still waits.
 *
 * @param {number} last @param {{ has(id: number): boolean }} taken
 */
export function nextId(last, taken) {
  do last = (last % MAX_ID) + 1;
  while (taken.has(last));
  return last;
}

// ------------------------------------------------------------------------------------------------------- serializers

/** The default: bodies are JSON. Bytes go out as they are; an empty body comes in as `undefined`. @type {Serializer} */
export const json = {
  name: 'json',
  encode: (value) => (value instanceof Uint8Array ? value : utf8.encode(JSON.stringify(value))),
  decode: (bytes) => (bytes.length === 0 ? undefined : JSON.parse(strictUtf8.decode(bytes))),
};

/**
 * What an error response says, in the words of the server's serializer: JSON, the message `protos.Error` of `protobuf`,
 * or an object of one's own serializer.
 *
 * @param {Uint8Array} body
 * @param {string} name             The server's serializer.
 * @param {Serializer} [serializer] One's own.
 */
export function decodeError(body, name, serializer = json) {
  const own = name === 'json' ? json : serializer;
  const told = name === 'protobuf' ? decodeProtobufError(body) : own.decode(body, '');
  const { code = 'PIT-000', msg = '', metadata } = told;
  return new CereusError(code, msg, metadata);
}

/** `Error { 1 code, 2 msg, 3 map<string, string> metadata }`. @param {Uint8Array} body */
function decodeProtobufError(body) {
  /** @type {{ code?: string, msg?: string, metadata: Record<string, string> }} */
  const error = { metadata: {} };
  for (const [field, bytes] of protobufFields(body)) {
    if (field === 1) error.code = strictUtf8.decode(bytes);
    if (field === 2) error.msg = strictUtf8.decode(bytes);
    if (field !== 3) continue;
    const [key, value] = [...protobufFields(bytes)].map(([, text]) => strictUtf8.decode(text));
    error.metadata[key] = value ?? '';
  }
  return error;
}

/** Fields with a length, the only ones here. @param {Uint8Array} bytes @returns {Generator<[number, Uint8Array]>} */
function* protobufFields(bytes) {
  let at = 0;
  const varint = () => {
    for (let value = 0, shift = 0; at < bytes.length && shift < 32; shift += 7) {
      value += (bytes[at] & 0x7f) * 2 ** shift;
      if (bytes[at++] < 0x80) return value;
    }
    throw new Error('unfinished number');
  };
  while (at < bytes.length) {
    const tag = varint();
    const length = (tag & 7) === 2 ? varint() : NaN;
    if (!(at + length <= bytes.length)) throw new Error('unreadable field');
    yield [tag >> 3, bytes.subarray(at, (at += length))];
  }
}

// ---------------------------------------------------------------------------------------------------- one connection

/**
 * @typedef {object} Greeting  What the server says in its handshake.
 * @property {Dictionary} dictionary
 * @property {string} serializer  Its name.
 *
 * @typedef {object} Events  What a connection tells its client, in the order in which it came.
 * @property {(greeting: Greeting) => void} opened       The handshake is complete.
 * @property {(message: Required<Message>) => void} message  A push or a response, inflated.
 * @property {(kick: Kick) => void} kicked               `ended` follows.
 * @property {(error: Error) => void} ended              Once, at the end; nothing comes after it.
 *
 * @typedef {{ route: string, resolve: (answer: any) => void, reject: (error: unknown) => void }} Call  A request.
 */

/** Runs steps one after another. A step that returns a promise holds up those behind it; the others run at once. */
class Sequence {
  /** @type {(() => void | Promise<void>)[] | null} */
  #waiting = null;

  /** @param {() => void | Promise<void>} step  Must not throw. */
  run(step) {
    if (this.#waiting) this.#waiting.push(step);
    else this.#follow(step());
  }

  /** @param {void | Promise<void>} first */
  async #follow(first) {
    if (!first) return;
    /** @type {(() => void | Promise<void>)[]} */
    const waiting = (this.#waiting = []);
    await first;
    for (let step = waiting.shift(); step; step = waiting.shift()) await step();
    this.#waiting = null;
  }
}

/** One WebSocket from its opening to its end: packets, handshake, heartbeats. It never comes back; see `Client`. */
class Connection {
  #socket;
  #events;
  #decoder = new PacketDecoder();
  #order = new Sequence();
  #state = /** @type {'handshake' | 'working' | 'over'} */ ('handshake');
  #dictionary = NO_DICTIONARY;
  /** How long the server may be silent. */
  #patience;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #silence;

  /**
   * @param {WebSocket} socket     Fresh, still connecting.
   * @param {Uint8Array} handshake  The body to send.
   * @param {number} timeout       For connecting and the handshake together.
   * @param {Events} events
   */
  constructor(socket, handshake, timeout, events) {
    this.#socket = socket;
    this.#events = events;
    this.#patience = timeout;
    this.#heard();
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => this.send(PacketType.Handshake, handshake);
    socket.onmessage = ({ data }) => this.#received(data);
    // Browsers do not say what went wrong; the end follows.
    socket.onerror = () => {};
    socket.onclose = ({ code, reason }) => {
      const why = [code, reason].filter(Boolean).join(' ');
      this.#order.run(() => this.#end(new ClientError('lost', `the connection ended (${why})`)));
    };
  }

  /** @param {number} type @param {Uint8Array} [body] */
  send(type, body) {
    this.#socket.send(encodePacket(type, body));
  }

  /** Closes it without telling anybody. */
  close() {
    this.#state = 'over';
    clearTimeout(this.#silence);
    this.#socket.close();
  }

  /** @param {Error} error */
  #end(error) {
    if (this.#state === 'over') return;
    this.close();
    this.#events.ended(error);
  }

  /** Whatever the server sends proves that it is there. */
  #heard() {
    clearTimeout(this.#silence);
    if (this.#patience === Infinity) return;
    const what = this.#state === 'handshake' ? 'no handshake' : 'nothing was heard of the server';
    const silent = () => this.#end(new ClientError('timeout', `${what} within ${this.#patience} ms`));
    this.#silence = setTimeout(silent, this.#patience);
  }

  /** @param {unknown} data */
  #received(data) {
    if (this.#state === 'working') this.#heard();
    try {
      if (typeof data === 'string') throw violation('the server sent text');
      this.#decoder.push(new Uint8Array(/** @type {ArrayBuffer} */ (data)));
      for (let packet = this.#decoder.next(); packet; packet = this.#decoder.next()) {
        const { type, body } = packet;
        this.#order.run(() => this.#step(type, body));
      }
    } catch (error) {
      this.#order.run(() => this.#end(/** @type {Error} */ (error)));
    }
  }

  /** What goes wrong ends the connection. @param {number} type @param {Uint8Array} body */
  #step(type, body) {
    try {
      return this.#handle(type, body)?.catch((error) => this.#end(error));
    } catch (error) {
      this.#end(/** @type {Error} */ (error));
    }
  }

  /** @param {number} type @param {Uint8Array} body @returns {void | Promise<void>} */
  #handle(type, body) {
    if (this.#state === 'over') return;
    if (type === PacketType.Heartbeat) return this.send(PacketType.Heartbeat);
    if (type === PacketType.Kick) return this.#kicked(body);
    if (type === PacketType.Handshake && this.#state === 'handshake') {
      // There is no flag that says so, but JSON does not begin like zlib or gzip.
      const isPlain = body[0] !== 0x78 && body[0] !== 0x1f;
      return isPlain ? this.#greeted(body) : inflate(body).then((inflated) => this.#greeted(inflated));
    }
    if (type !== PacketType.Data || this.#state !== 'working') {
      throw violation(`the server sent a packet of type ${type} out of turn`);
    }
    const message = decodeMessage(body, this.#dictionary);
    if (message.type !== MessageType.Response && message.type !== MessageType.Push) {
      throw violation(`the server sent a message of type ${message.type}`);
    }
    if (!message.compressed) return this.#events.message(message);
    return inflate(message.body).then((inflated) => {
      if (this.#state !== 'over') this.#events.message({ ...message, body: inflated, compressed: false });
    });
  }

  /** @param {Uint8Array} body */
  #greeted(body) {
    if (this.#state === 'over') return;
    const { code, sys } = readJson(body) ?? {};
    if (code === undefined) throw violation('the handshake cannot be read');
    if (code !== 200) throw new ClientError('refused', `the server refused the handshake with code ${code}`);
    const { dict = {}, heartbeat = 0, serializer = 'json' } = sys ?? {};
    this.#dictionary = new Dictionary(dict ?? {});
    this.#state = 'working';
    this.#patience = heartbeat > 0 ? 2 * 1000 * heartbeat : Infinity;
    this.#heard();
    this.send(PacketType.Ack);
    this.#events.opened({ dictionary: this.#dictionary, serializer });
  }

  /** @param {Uint8Array} body */
  #kicked(body) {
    const { code = '', msg = '' } = readJson(body) ?? {};
    this.#events.kicked({ code, msg });
    this.#end(new ClientError('kicked', `kicked by the server${msg && `: ${msg}`}`));
  }
}

/** What is no JSON says nothing. @param {Uint8Array} body */
function readJson(body) {
  try {
    return json.decode(body, '');
  } catch {
    return undefined;
  }
}

// -------------------------------------------------------------------------------------------------------- the client

const DEFAULTS = { user: {}, sys: {}, serializer: json, timeout: 15_000, connectTimeout: 10_000, maxPacket: 1 << 20 };
const RECONNECT = { first: 500, longest: 30_000, attempts: Infinity };
/** After these a client stays closed: to try again would change nothing, or is not wanted. */
const FINAL = new Set(['refused', 'kicked', 'closed', 'tooLarge']);
/** The longest that a timer can wait; with more it fires at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** A connection to a server that is kept: when it is lost, the client connects again. */
export class Client {
  #url;
  #options;
  /** @type {Required<Reconnect> | null} */
  #reconnect;
  /** @type {State} */
  #state = 'closed';
  /** @type {Connection | null} */
  #connection = null;
  /** @type {Greeting} */
  #greeting = { dictionary: NO_DICTIONARY, serializer: '' };
  /** Changes whenever an attempt to connect is no longer wanted. */
  #attempt = {};
  #attempts = 0;
  #openSince = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;
  /** Those who wait in `open()`. @type {{ resolve: () => void, reject: (error: Error) => void }[]} */
  #waiting = [];
  #lastId = 0;
  /** Requests that wait. @type {Map<number, Call>} */
  #calls = new Map();
  /** @type {Map<string, Set<(value: any) => void>>} */
  #listeners = new Map();

  /**
   * @param {string | (() => string | Promise<string>)} url  `ws://…` or `wss://…`. A function is called for each connection,
   *   so that another frontend can be chosen when one is lost.
   * @param {Options} [options]
   */
  constructor(url, options = {}) {
    this.#url = url;
    this.#options = { ...DEFAULTS, WebSocket: globalThis.WebSocket, ...options };
    this.#reconnect = options.reconnect === false ? null : { ...RECONNECT, ...options.reconnect };
    if (!this.#options.WebSocket) throw new TypeError('there is no global WebSocket: give one as an option');
  }

  get state() {
    return this.#state;
  }

  /**
   * Connects, or waits for the connection that is being made; resolves when requests can be sent. A first attempt that
   * fails is not repeated. A closed client may be opened again.
   *
   * @returns {Promise<void>}
   */
  open() {
    if (this.#state === 'open') return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      if (this.#state !== 'closed') return;
      this.#attempts = 0;
      this.#become('connecting');
      // A listener may have closed it again.
      if (this.state === 'connecting') this.#connect();
    });
  }

  /** Ends the connection, and what waits for it. */
  close() {
    if (this.#state !== 'closed') this.#closed(new ClientError('closed', 'the client was closed'));
  }

  /**
   * Sends a request and waits for its answer. It rejects with a `CereusError` when the server says that something went
   * wrong, and with a `ClientError` when there is no answer. Nothing is ever sent twice.
   *
   * @param {string} route  `service.method` on the server one is connected to, or `type.service.method`.
   * @param {any} [data]
   * @param {RequestOptions} [options]
   * @returns {Promise<any>}
   */
  async request(route, data = {}, { timeout = this.#options.timeout, signal } = {}) {
    signal?.throwIfAborted();
    const id = nextId(this.#lastId, this.#calls);
    this.#send({ type: MessageType.Request, id, route }, data);
    this.#lastId = id;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    let aborted = () => {};
    try {
      return await new Promise((resolve, reject) => {
        this.#calls.set(id, { route, resolve, reject });
        const late = () => reject(new ClientError('timeout', `no answer to ${route} within ${timeout} ms`));
        if (timeout <= LONGEST_TIMER) timer = setTimeout(late, timeout);
        aborted = () => reject(signal?.reason);
        signal?.addEventListener('abort', aborted);
      });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', aborted);
      this.#calls.delete(id);
    }
  }

  /**
   * Sends a message that has no answer. Throws a `ClientError` when it cannot be sent.
   *
   * @param {string} route
   * @param {any} [data]
   */
  notify(route, data = {}) {
    this.#send({ type: MessageType.Notify, route }, data);
  }

  /**
   * Calls `listener` with each push on a route. Names that begin with `sys.` are the client's own: `sys.state`,
   * `sys.kick`, `sys.draining`.
   *
   * @overload @param {'sys.state'} route @param {(change: StateChange) => void} listener @returns {() => void}
   * @overload @param {'sys.kick'} route @param {(kick: Kick) => void} listener @returns {() => void}
   * @overload @param {'sys.draining'} route @param {(draining: Draining) => void} listener @returns {() => void}
   * @overload @param {string} route @param {(push: any) => void} listener @returns {() => void}
   *
   * @param {string} route
   * @param {(value: any) => void} listener
   * @returns {() => void} What `off` does.
   */
  on(route, listener) {
    const listeners = this.#listeners.get(route) ?? new Set();
    this.#listeners.set(route, listeners.add(listener));
    return () => this.off(route, listener);
  }

  /** @param {string} route @param {(value: any) => void} listener */
  off(route, listener) {
    const listeners = this.#listeners.get(route);
    if (listeners?.delete(listener) && listeners.size === 0) this.#listeners.delete(route);
  }

  /** @param {Message} message @param {any} data */
  #send(message, data) {
    if (this.#state !== 'open' || !this.#connection) {
      throw new ClientError('offline', `not connected: ${message.route} was not sent`);
    }
    const body = this.#options.serializer.encode(data, message.route ?? '');
    const bytes = encodeMessage({ ...message, body }, this.#greeting.dictionary);
    const { maxPacket } = this.#options;
    if (bytes.length > maxPacket) {
      throw new ClientError('tooLarge', `${message.route}: ${bytes.length} bytes are more than ${maxPacket}`);
    }
    this.#connection.send(PacketType.Data, bytes);
  }

  async #connect() {
    const attempt = (this.#attempt = {});
    const { user, sys, connectTimeout, WebSocket } = this.#options;
    try {
      const fresh = typeof user === 'function' ? await user() : user;
      const url = typeof this.#url === 'function' ? await this.#url() : this.#url;
      if (this.#attempt !== attempt) return;
      const own = { platform: 'web', libVersion: VERSION, dict: true, kickReason: true, drain: true };
      const handshake = utf8.encode(JSON.stringify({ sys: { ...own, ...sys }, user: fresh }));
      if (handshake.length > MAX_HANDSHAKE) {
        throw new ClientError('tooLarge', `a handshake of ${handshake.length} bytes is larger than ${MAX_HANDSHAKE}`);
      }
      this.#connection = new Connection(new WebSocket(url), handshake, connectTimeout, {
        opened: (greeting) => this.#opened(greeting),
        message: (message) => this.#received(message),
        kicked: (kick) => this.#emit('sys.kick', () => kick),
        ended: (error) => this.#lost(error),
      });
    } catch (error) {
      if (this.#attempt === attempt) this.#lost(/** @type {Error} */ (error));
    }
  }

  /** @param {Greeting} greeting */
  #opened(greeting) {
    const { name = greeting.serializer } = this.#options.serializer;
    if (name !== greeting.serializer) {
      throw new ClientError('refused', `the server's serializer is ${greeting.serializer}, the client's ${name}`);
    }
    this.#greeting = greeting;
    this.#openSince = Date.now();
    this.#become('open');
    for (const { resolve } of this.#waiting.splice(0)) resolve();
  }

  /** The connection ended, or could not be made. @param {Error} error */
  #lost(error) {
    this.#connection = null;
    const isFinal = error instanceof ClientError && FINAL.has(error.reason);
    if (!this.#reconnect || this.#state === 'connecting' || isFinal) return this.#closed(error);
    const { first, longest, attempts } = this.#reconnect;
    if (this.#state === 'open' && Date.now() - this.#openSince >= longest) this.#attempts = 0;
    if (this.#attempts >= attempts) return this.#closed(error);
    const length = Math.min(longest, first * 2 ** this.#attempts++);
    const retryIn = Math.round((length / 2) * (1 + Math.random()));
    this.#retry = setTimeout(() => this.#connect(), retryIn);
    this.#fail(error);
    this.#become('reconnecting', { error, retryIn });
  }

  /** The client is closed until it is opened again. @param {Error} error */
  #closed(error) {
    this.#attempt = {};
    clearTimeout(this.#retry);
    this.#connection?.close();
    this.#connection = null;
    this.#fail(error);
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    const byUser = error instanceof ClientError && error.reason === 'closed';
    this.#become('closed', byUser ? {} : { error });
  }

  /** Nobody knows whether these were executed. @param {Error} error */
  #fail(error) {
    for (const { reject } of this.#calls.values()) reject(error);
    this.#calls.clear();
  }

  /** @param {Required<Message>} message */
  #received({ type, id, route, body, error }) {
    const { serializer } = this.#options;
    if (type === MessageType.Push) {
      // These tell of the connection; no server may say so.
      if (route === 'sys.state' || route === 'sys.kick') return;
      return this.#emit(route, () => (route === 'sys.draining' ? json : serializer).decode(body, route));
    }
    // One that came too late has no call.
    const call = this.#calls.get(id);
    if (!call) return;
    try {
      if (error) call.reject(decodeError(body, this.#greeting.serializer, serializer));
      else call.resolve(serializer.decode(body, call.route));
    } catch (cause) {
      call.reject(new ClientError('body', `the answer to ${call.route} cannot be read`, { cause }));
    }
  }

  /** @param {State} state @param {Partial<StateChange>} [more] */
  #become(state, more) {
    const previous = this.#state;
    this.#state = state;
    this.#emit('sys.state', () => ({ state, previous, ...more }));
  }

  /** What listeners throw changes nothing here. @param {string} route @param {() => any} value  Made if one listens. */
  #emit(route, value) {
    const listeners = this.#listeners.get(route);
    if (!listeners) return;
    try {
      const told = value();
      for (const listener of [...listeners]) guard(() => listener(told));
    } catch (cause) {
      guard(() => {
        throw new ClientError('body', `a push on ${route} cannot be read`, { cause });
      });
    }
  }
}

/** Runs what is not ours; errors go where uncaught ones go. @param {() => void} run */
function guard(run) {
  try {
    run();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
