// A batch recomputed from its published bytes, in this browser: sums, both trees, and the hash that attestors signed.

import { Keccak } from "./keccak.js";
import { make } from "./site.js";
import { same, site, state } from "./wallet.js";
import { contentHash, hex, receiptLeaf, rewardRoot, root, voucherLeaf, word } from "./trees.js";

/** [what, whether it holds (null: could not be asked), figure] of each check. */
export async function recompute(pieces, expected, progress = () => {}) {
  const whole = new Keccak(), decoder = new TextDecoder();
  const found = { receipts: [], vouchers: [], balances: [], amounts: new Array(7).fill(0n), fees: 0n, before: 0n, shares: new Map(), grown: new Map(), head: null, end: null };
  const faults = [];
  let rest = "", size = 0;
  for await (const piece of pieces) {
    whole.update(piece);
    size += piece.length;
    const lines = (rest + decoder.decode(piece, { stream: true })).split("\n");
    rest = lines.pop();
    for (const line of lines) take(JSON.parse(line), found, faults);
    progress(size, found.receipts.length);
    await new Promise((wake) => setTimeout(wake));
  }
  if (rest || !found.head || !found.end) faults.push("the bytes were cut");
  const documentHash = whole.digest();
  const receiptsRoot = root(found.receipts), vouchersRoot = root(found.vouchers), rewards = rewardRoot(found.balances);
  const total = found.balances.reduce((sum, [, amount]) => sum + BigInt(amount), 0n);
  const header = { epoch: found.head?.epoch ?? 0, receiptsRoot, receiptCount: found.receipts.length, vouchersRoot, fees: found.fees, amounts: found.amounts, documentHash };
  const roles = found.amounts.reduce((sum, amount) => sum + amount, 0n);
  const earned = total - found.before;
  return [
    ["every receipt's shares sum to its fee", faults.length === 0, faults[0] ?? `${found.receipts.length} receipts`],
    ["every account grew by its shares and by nothing else", equal(found.shares, found.grown), `${found.grown.size} accounts`],
    ["what accounts earned is what consumers paid", earned === found.fees && roles === found.fees, `${found.fees} wei`],
    ["the total is the one that was signed", String(total) === expected.total, `${total} wei`],
    ["the reward root", same(hex(rewards), expected.root), hex(rewards)],
    ["the hash of the content that attestors signed", same(hex(contentHash(header)), expected.content), hex(contentHash(header))],
  ];
}

function take(line, found, faults) {
  if (line.kind === "batch") found.head = line;
  else if (line.kind === "voucher") found.vouchers.push(voucherLeaf(line));
  else if (line.kind === "end") found.end = line;
  else if (line.kind === "account") {
    found.balances.push([line.account, line.cumulative]);
    found.before += BigInt(line.before);
    add(found.grown, line.account, BigInt(line.cumulative) - BigInt(line.before));
  } else if (line.kind === "receipt") {
    found.receipts.push(receiptLeaf(found.receipts.length, line, found.fees));
    const fee = BigInt(line.receipt.fee);
    let sum = 0n;
    for (const [role, account, amount] of line.shares) {
      found.amounts[role] += BigInt(amount);
      add(found.shares, account, BigInt(amount));
      sum += BigInt(amount);
    }
    if (sum !== fee) faults.push(`receipt ${line.hash}: its shares sum to ${sum}, its fee is ${fee}`);
    found.fees += fee;
  }
}

const add = (sums, account, amount) => { if (amount) sums.set(account, (sums.get(account) ?? 0n) + amount); };
const equal = (one, other) => one.size === other.size && [...one].every(([account, amount]) => other.get(account) === amount);

/** `recordOf(root)` asked of the distributor by the wallet's own node. */
async function onChain(expected) {
  const what = "the chain has this root, asked through your wallet";
  if (!state.provider || !same(state.chain, (await site()).chainId)) return [what, null, "connect a wallet on this chain to ask it"];
  const data = "0xd1c60a3a" + expected.root.slice(2);
  const answer = await state.provider.request({ method: "eth_call", params: [{ to: expected.distributor, data }, "latest"] });
  const [activates, epoch, total] = [0, 1, 2].map((at) => BigInt("0x" + answer.slice(2 + 64 * at, 66 + 64 * at)));
  return [what, activates > 0n && epoch === BigInt(expected.epoch) && total === BigInt(expected.total), `epoch ${epoch}, total ${total} wei`];
}

async function* ofStream(stream) {
  const reader = stream.getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    yield value;
  }
}

const box = typeof document === "undefined" ? null : document.getElementById("verify");
if (box) {
  const expected = box.dataset, result = box.querySelector("[data-result]"), button = box.querySelector("[data-go]");
  const run = async (open) => {
    button.disabled = true;
    const began = performance.now();
    try {
      const checks = await recompute(ofStream(await open()), expected, (size, count) => { result.textContent = `${count.toLocaleString()} receipts, ${size.toLocaleString()} bytes…`; });
      checks.push(await onChain(expected).catch((error) => ["the chain has this root, asked through your wallet", false, error.message]));
      const good = checks.every(([, holds]) => holds !== false);
      const rows = checks.map(([what, holds, figure]) => make("li", { class: holds === null ? "open" : holds ? "good" : "bad" }, `${what}: `, make("code", {}, figure)));
      const took = ((performance.now() - began) / 1000).toFixed(2);
      result.replaceChildren(make("p", { id: "verdict" }, make("strong", {}, good ? `It holds: recomputed here in ${took} s.` : "It does not hold. Keep the bytes, and tell an attestor.")), make("ul", { class: "checks" }, ...rows));
    } catch (error) {
      result.textContent = `These bytes are no batch: ${error.message}. Fetch them again.`;
    } finally { button.disabled = false; }
  };
  button.hidden = false;
  box.querySelector("[data-own]").hidden = false;
  button.addEventListener("click", () => run(async () => (await fetch(expected.document)).body));
  box.querySelector("input").addEventListener("change", ({ target }) => {
    const [file] = target.files;
    target.value = ""; // the same file may be chosen again
    if (file) run(async () => file.stream());
  });
}

export { word };
