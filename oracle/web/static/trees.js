// The hashes of a batch: words of 32 bytes, leaves hashed twice, pairs sorted. The same formulas as the contracts'.

import { keccak } from "./keccak.js";

export const hex = (bytes) => "0x" + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export function bytes(text) {
  const digits = text.replace(/^0x/, "");
  return Uint8Array.from({ length: digits.length / 2 }, (_, at) => parseInt(digits.slice(2 * at, 2 * at + 2), 16));
}

/** An unsigned integer, or an address, as 32 bytes. */
export const word = (value) => bytes((typeof value === "string" && value.startsWith("0x") ? value.slice(2) : BigInt(value).toString(16)).padStart(64, "0"));

export function joined(...parts) {
  const made = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) { made.set(part, at); at += part.length; }
  return made;
}

export const twice = (content) => keccak(keccak(content));
export const rewardLeaf = (account, cumulative) => twice(joined(word(account), word(cumulative)));
export const voucherLeaf = (v) => twice(joined(word(v.consumer), word(v.key), word(v.cumulative), word(v.deadline), keccak(bytes(v.signature))));

export function receiptLeaf(index, line, feesBefore) {
  const shares = [word(32), word(line.shares.length)];
  for (const [role, account, amount] of line.shares) shares.push(word(role), word(account), word(amount));
  const { consumer, model, version, fee } = line.receipt;
  return twice(joined(word(index), bytes(line.hash), word(consumer), word(model), word(version), word(fee), word(feesBefore), keccak(joined(...shares))));
}

/** Node i has the children 2i + 1 and 2i + 2; leaf i lies at 2n − 2 − i. */
export function root(leaves) {
  if (!leaves.length) return new Uint8Array(32);
  const nodes = [...new Array(leaves.length - 1), ...leaves.toReversed()];
  for (let at = leaves.length - 2; at >= 0; at--) nodes[at] = pair(nodes[2 * at + 1], nodes[2 * at + 2]);
  return nodes[0];
}

/** In the order of their index, padded to a power of two with the leaf of nobody. */
export function rewardRoot(balances) {
  const leaves = balances.map(([account, cumulative]) => rewardLeaf(account, cumulative));
  let size = 1;
  while (size < leaves.length) size *= 2;
  const padding = rewardLeaf("0x" + "00".repeat(20), 0);
  while (leaves.length < size) leaves.push(padding);
  return root(leaves);
}

function pair(one, other) {
  for (let at = 0; at < 32; at++) {
    if (one[at] !== other[at]) return keccak(one[at] < other[at] ? joined(one, other) : joined(other, one));
  }
  return keccak(joined(one, other));
}

const HEADER = "BatchHeader(uint256 epoch,bytes32 receiptsRoot,uint256 receiptCount,bytes32 vouchersRoot,uint96 fees,uint96[7] amounts,bytes32 documentHash)";

/** What attestors vouch for beside the root. */
export function contentHash(header) {
  const text = (value) => new TextEncoder().encode(value);
  return keccak(joined(keccak(text(HEADER)), word(header.epoch), header.receiptsRoot, word(header.receiptCount), header.vouchersRoot,
    word(header.fees), keccak(joined(...header.amounts.map(word))), header.documentHash));
}
