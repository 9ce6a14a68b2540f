// Keccak-256 as Ethereum uses it (padding 0x01), on pairs of 32-bit words. Checked against vectors in tests/unit/web.

const ROUNDS = 24, RATE = 136;
const [ROTATIONS, PLACES] = walk();
const CONSTANTS = constants();

export function keccak(bytes) {
  const state = new Uint32Array(50);
  const padded = new Uint8Array(Math.floor(bytes.length / RATE) * RATE + RATE);
  padded.set(bytes);
  padded[bytes.length] ^= 0x01;
  padded[padded.length - 1] ^= 0x80;
  const words = new Uint32Array(padded.buffer); // little-endian, as every browser's machine is
  for (let start = 0; start < words.length; start += RATE / 4) {
    for (let at = 0; at < RATE / 4; at++) state[at] ^= words[start + at];
    permute(state);
  }
  return new Uint8Array(state.buffer.slice(0, 32));
}

/** Piece by piece, for documents that are longer than one wants to hold twice. */
export class Keccak {
  #state = new Uint32Array(50);
  #rest = new Uint8Array(RATE);
  #held = 0;

  update(bytes) {
    let at = 0;
    while (at < bytes.length) {
      const some = Math.min(RATE - this.#held, bytes.length - at);
      this.#rest.set(bytes.subarray(at, at + some), this.#held);
      this.#held += some;
      at += some;
      if (this.#held === RATE) this.#absorb();
    }
    return this;
  }

  digest() {
    this.#rest.fill(0, this.#held);
    this.#rest[this.#held] ^= 0x01;
    this.#rest[RATE - 1] ^= 0x80;
    this.#absorb();
    return new Uint8Array(this.#state.buffer.slice(0, 32));
  }

  #absorb() {
    const words = new Uint32Array(this.#rest.buffer);
    for (let at = 0; at < RATE / 4; at++) this.#state[at] ^= words[at];
    permute(this.#state);
    this.#held = 0;
  }
}

function permute(s) {
  const c = new Uint32Array(10), b = new Uint32Array(50);
  for (let round = 0; round < ROUNDS; round++) {
    for (let x = 0; x < 10; x++) c[x] = s[x] ^ s[x + 10] ^ s[x + 20] ^ s[x + 30] ^ s[x + 40];
    for (let x = 0; x < 5; x++) {
      const left = ((x + 4) % 5) * 2, right = ((x + 1) % 5) * 2;
      const low = c[left] ^ ((c[right] << 1) | (c[right + 1] >>> 31)), high = c[left + 1] ^ ((c[right + 1] << 1) | (c[right] >>> 31));
      for (let y = 0; y < 50; y += 10) { s[y + 2 * x] ^= low; s[y + 2 * x + 1] ^= high; }
    }
    for (let lane = 0; lane < 25; lane++) {
      const turn = ROTATIONS[lane], to = PLACES[lane] * 2;
      let low = s[2 * lane], high = s[2 * lane + 1];
      if (turn >= 32) [low, high] = [high, low];
      const by = turn % 32;
      b[to] = by ? (low << by) | (high >>> (32 - by)) : low;
      b[to + 1] = by ? (high << by) | (low >>> (32 - by)) : high;
    }
    for (let y = 0; y < 50; y += 10) {
      for (let x = 0; x < 10; x++) s[y + x] = b[y + x] ^ (~b[y + ((x + 2) % 10)] & b[y + ((x + 4) % 10)]);
    }
    s[0] ^= CONSTANTS[2 * round];
    s[1] ^= CONSTANTS[2 * round + 1];
  }
}

/** ρ and π: by how much each lane turns, and where it goes. */
function walk() {
  const rotations = new Uint8Array(25), places = new Uint8Array(25);
  let x = 1, y = 0;
  for (let step = 0; step < 24; step++) {
    rotations[x + 5 * y] = ((step + 1) * (step + 2) / 2) % 64;
    [x, y] = [y, (2 * x + 3 * y) % 5];
  }
  for (let i = 0; i < 5; i++) for (let j = 0; j < 5; j++) places[i + 5 * j] = j + 5 * ((2 * i + 3 * j) % 5);
  return [rotations, places];
}

/** ι: bits of a shift register of eight places. */
function constants() {
  const made = new Uint32Array(2 * ROUNDS);
  let register = 1;
  for (let round = 0; round < ROUNDS; round++) {
    for (let j = 0; j < 7; j++) {
      if (register & 1) { const bit = (1 << j) - 1; made[2 * round + (bit >> 5)] ^= 1 << (bit & 31); }
      register = (register << 1) ^ (register & 0x80 ? 0x171 : 0);
    }
  }
  return made;
}
