// The wire format: every vector that a client writes or reads, and bytes that no server sends.
import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { test } from 'node:test';

import {
  ClientError,
  CereusError,
  Dictionary,
  MAX_BODY,
  MessageType,
  PacketDecoder,
  PacketType,
  decodeError,
  decodeMessage,
  encodeMessage,
  encodePacket,
  inflate,
  nextId,
} from '../cereus.js';
import { fromHex, text, toHex, utf8, vectors } from './vectors.js';

const TYPES = { request: 0, notify: 1, response: 2, push: 3 };
const isViolation = (error) => error instanceof ClientError && error.reason === 'protocol' && error.message !== '';

/** All packets in these pieces. */
function packets(pieces) {
  const decoder = new PacketDecoder();
  const found = [];
  for (const piece of pieces) {
    decoder.push(piece);
    for (let packet = decoder.next(); packet; packet = decoder.next()) found.push(packet);
  }
  return found.map(({ type, body }) => ({ type, body: toHex(body) }));
}

/** One vector per test, and as many as there were when this was written. */
function each(section, count, name, check) {
  test(`${section}: there are ${count}`, () => assert.equal(vectors[section].length, count));
  for (const vector of vectors[section]) test(`${section}: ${name(vector)}`, () => check(vector));
}

test('no section of the vectors is unknown', () => {
  const read = ['about', 'bad_messages', 'data_packets', 'messages', 'packets', 'protobuf', 'varints', 'zlib_decode'];
  const also = ['handshake_responses', 'handshake_with_dictionary'];
  // What clients must not send; the servers' tests have them.
  const servers = ['handshake_requests_bad', 'handshake_requests_ok'];
  assert.deepEqual(Object.keys(vectors).sort(), [...read, ...also, ...servers].sort());
});

each('packets', 10, ({ case: name }) => name, (vector) => {
  const bytes = fromHex(vector.hex);
  if (vector.error) {
    assert.throws(() => packets([bytes]), isViolation);
    return;
  }
  const expected = vector.incomplete ? [] : (vector.packets ?? [{ type: vector.type, body: vector.body }]);
  assert.deepEqual(packets([bytes]), expected);
  assert.deepEqual(packets(Array.from(bytes, (byte) => Uint8Array.of(byte))), expected, 'byte by byte');
  if (vector.incomplete) return;
  const written = expected.map(({ type, body }) => toHex(encodePacket(type, fromHex(body))));
  assert.equal(written.join(''), vector.hex);
});

each('data_packets', 8, ({ case: name }) => name, async (vector) => {
  const [{ type, body }, ...more] = packets([fromHex(vector.hex)]);
  assert.deepEqual([type, more], [PacketType.Data, []]);
  await checkMessage({ ...vector, hex: body });
});

each('messages', 16, ({ hex }) => hex, checkMessage);

async function checkMessage(vector) {
  const dictionary = new Dictionary(vector.dictionary);
  const message = decodeMessage(fromHex(vector.hex), dictionary);
  const body = message.compressed ? await inflate(message.body) : message.body;
  const expected = vector.body === undefined ? utf8(vector.body_utf8 ?? vector.inflated_utf8) : fromHex(vector.body);
  assert.deepEqual(
    { ...message, body: toHex(body) },
    {
      type: TYPES[vector.type],
      id: vector.id ?? 0,
      route: vector.route ?? '',
      body: toHex(expected),
      compressed: vector.inflated_utf8 !== undefined,
      error: vector.error ?? false,
    },
  );
  if (!vector.decode_only) assert.equal(toHex(encodeMessage(message, dictionary)), vector.hex);
}

each('bad_messages', 14, ({ why }) => why, async ({ hex, why }) => {
  const read = () => decodeMessage(fromHex(hex), new Dictionary({ a: 1 }));
  if (why === 'zlib header') await assert.rejects(inflate(read().body), isViolation);
  else assert.throws(read, isViolation);
});

each('varints', 9, ([number]) => String(number), ([number, hex]) => {
  const { id } = decodeMessage(fromHex(`04${hex}`));
  assert.equal(id, number);
  if (number <= 0xffffffff) assert.equal(toHex(encodeMessage({ type: MessageType.Response, id })), `04${hex}`);
});

each('zlib_decode', 4, ([, plain]) => JSON.stringify(plain), async ([hex, plain]) => {
  assert.equal(text(await inflate(fromHex(hex))), plain);
});

each('handshake_responses', 2, ({ body_utf8: body }) => body, (vector) => {
  const bytes = new Uint8Array([...fromHex(vector.packet_prefix), ...utf8(vector.body_utf8)]);
  assert.deepEqual(packets([bytes]), [{ type: PacketType.Handshake, body: toHex(utf8(vector.body_utf8)) }]);
});

test('handshake_with_dictionary', async () => {
  const { dictionary, plain_length: length, zlib_packet_decode_only: hex } = vectors.handshake_with_dictionary;
  const [{ type, body }] = packets([fromHex(hex)]);
  const plain = text(await inflate(fromHex(body)));
  assert.deepEqual([type, plain.length], [PacketType.Handshake, length]);
  assert.deepEqual(JSON.parse(plain).sys.dict, dictionary);
});

for (const { message, hex, value } of vectors.protobuf.filter(({ message }) => message === 'protos.Error')) {
  test(`protobuf: ${message} ${value.code}`, () => {
    const error = decodeError(fromHex(hex), 'protobuf');
    assert.ok(error instanceof CereusError);
    const { code, message: msg, metadata } = error;
    assert.deepEqual({ code, msg, metadata }, { metadata: {}, ...value });
    for (let length = 1; length < hex.length / 2; length++) {
      const cut = fromHex(hex).subarray(0, length);
      // Between two fields it is a shorter message.
      try {
        assert.ok(decodeError(cut, 'protobuf').message.length <= msg.length);
      } catch (failed) {
        assert.match(String(failed), /unfinished|unreadable/);
      }
    }
  });
}

test('errors in JSON, and of a serializer of one’s own', () => {
  const error = { code: 'PIT-433', msg: 'test error', metadata: { some: 'meta' } };
  const own = { encode: utf8, decode: () => ({ code: 'X', msg: 'own' }) };
  const { code, message, metadata } = decodeError(utf8(JSON.stringify(error)), 'json');
  assert.deepEqual({ code, msg: message, metadata }, error);
  assert.equal(decodeError(utf8('?'), 'own', own).code, 'X');
  assert.deepEqual(decodeError(utf8('{"code":"PIT-000","msg":""}'), 'json', own).metadata, {});
});

test('a large packet in many pieces, and small ones around it', () => {
  const large = new Uint8Array(300_000).map((_, index) => index % 251);
  const bytes = Buffer.concat([encodePacket(3), encodePacket(4, large), encodePacket(4, utf8('after'))]);
  for (const size of [1, 7, 4096, 299_999, bytes.length]) {
    const pieces = [];
    for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
    const expected = [[3, ''], [4, toHex(large)], [4, toHex(utf8('after'))]].map(([type, body]) => ({ type, body }));
    assert.deepEqual(packets(pieces), expected, `pieces of ${size}`);
  }
});

test('packets before a bad one are found, and the bad one stays bad', () => {
  const decoder = new PacketDecoder();
  decoder.push(fromHex('0300000006000000'));
  assert.equal(decoder.next()?.type, PacketType.Heartbeat);
  assert.throws(() => decoder.next(), isViolation);
  decoder.push(encodePacket(3));
  assert.throws(() => decoder.next(), isViolation);
});

test('what does not fit is not encoded', () => {
  const isTooLarge = { name: 'ClientError', reason: 'tooLarge' };
  assert.equal(encodePacket(4, new Uint8Array(MAX_BODY)).length, MAX_BODY + 4);
  assert.throws(() => encodePacket(4, new Uint8Array(MAX_BODY + 1)), isTooLarge);
  const push = (route) => encodeMessage({ type: MessageType.Push, route });
  assert.equal(decodeMessage(push('é'.repeat(127))).route, 'é'.repeat(127));
  assert.throws(() => push('é'.repeat(128)), isTooLarge);
});

test('texts are UTF-8 to the letter', () => {
  assert.throws(() => decodeMessage(fromHex('0602c328')), isViolation);
  assert.equal(decodeMessage(fromHex('0604efbbbf61')).route, '\ufeffa');
});

test('gzip is inflated, and nothing that is cut or changed', async () => {
  const plain = 'what the server says '.repeat(20);
  const zipped = gzipSync(plain);
  assert.equal(text(await inflate(zipped)), plain);
  const zlib = fromHex(vectors.handshake_with_dictionary.zlib_packet_decode_only).subarray(4);
  for (const bytes of [zipped, zlib]) {
    for (let length = 0; length < bytes.length; length += 5) {
      await assert.rejects(inflate(bytes.subarray(0, length)), isViolation, `${length} bytes`);
    }
  }
  await assert.rejects(inflate(new Uint8Array([...zlib.subarray(0, -1), zlib.at(-1) ^ 1])), isViolation);
});

test('no bytes do anything but decode or be refused', () => {
  // A fixed sequence, so that a failure can be repeated.
  let state = 1;
  const random = (limit) => (state = (state * 48271) % 0x7fffffff) % limit;
  const dictionary = new Dictionary({ onMessage: 4, 'room.room.getsessiondata': 3, a: 1 });
  const good = [...vectors.messages, ...vectors.data_packets.map(({ hex }) => ({ hex: hex.slice(8) }))];
  let decoded = 0;
  for (let round = 0; round < 20_000; round++) {
    const source = fromHex(good[random(good.length)].hex);
    const bytes = source.slice(0, random(source.length + 1));
    for (let change = random(3); change > 0 && bytes.length > 0; change--) bytes[random(bytes.length)] = random(256);
    try {
      const message = decodeMessage(bytes, dictionary);
      decoded++;
      if (message.id < 2 ** 53 && !message.compressed) {
        assert.deepEqual(decodeMessage(encodeMessage(message, dictionary), dictionary), message, toHex(bytes));
      }
    } catch (error) {
      assert.ok(isViolation(error), `${toHex(bytes)}: ${error}`);
    }
  }
  assert.ok(decoded > 2000 && decoded < 18_000, `${decoded} decoded`);
});

test('ids wrap at 32 bits, are never 0 and never taken', () => {
  assert.equal(nextId(0, new Set()), 1);
  assert.equal(nextId(41, new Set([42, 43])), 44);
  assert.equal(nextId(0xfffffffe, new Set()), 0xffffffff);
  assert.equal(nextId(0xffffffff, new Set()), 1);
  assert.equal(nextId(0xfffffffe, new Set([0xffffffff, 1, 2])), 3);
});
