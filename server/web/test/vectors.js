// The vectors of the protocol that the servers are tested with.
import { readFileSync } from 'node:fs';

export const vectors = JSON.parse(readFileSync(new URL('../../testdata/vectors.json', import.meta.url), 'utf8'));

/** @param {string} text */
export const fromHex = (text) => new Uint8Array(Buffer.from(text, 'hex'));
/** @param {Uint8Array} bytes */
export const toHex = (bytes) => Buffer.from(bytes).toString('hex');
export const utf8 = (/** @type {string} */ text) => new TextEncoder().encode(text);
export const text = (/** @type {Uint8Array} */ bytes) => new TextDecoder().decode(bytes);
