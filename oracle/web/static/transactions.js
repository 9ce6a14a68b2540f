// Transactions from the press of a button to their end. They stand in local storage before they are looked for, so that a
// closed window loses none of them.

import { clipped, ask, make } from "./site.js";
import { Told, sentence } from "./sentences.js";
import { requireAccount, requireChain, same, site, state } from "./wallet.js";

const STORED = "openledger.transactions";
const EVERY = 1000, SLOW = 20_000, LOST = 3 * 60_000;
const followed = new Set();

/** `prepare(account)` gives { to, data, value, says }. Resolves once it is mined; rejects with a sentence. */
export async function send(what, prepare, said) {
  const account = requireAccount();
  await requireChain();
  said("Preparing…");
  const call = await prepare(account);
  const request = { from: account, to: call.to, data: call.data, value: call.value };
  await requireGas(request);
  if (!state.account || !same(account, state.account)) {
    throw new Told("Your wallet changed to another account in the middle of it. Nothing was sent; look at the account and try again.");
  }
  const nonce = Number(await state.provider.request({ method: "eth_getTransactionCount", params: [account, "pending"] }));
  said("Confirm it in your wallet.");
  const hash = await state.provider.request({ method: "eth_sendTransaction", params: [request] });
  const one = { hash, what: call.says ?? what, account, nonce, at: Date.now() };
  store([...stored().filter((other) => other.hash !== hash), one]);
  said("Sent. Waiting for the network…");
  return follow(one, said);
}

/** What was still open when the page was left. */
export function resume(done) {
  for (const one of stored()) follow(one, () => {}).then(done, () => {});
}

export const recall = (one) => shown(one).say(`Done: ${one.what}. Figures here count it as soon as its block is final.`, "good");

export const stored = () => {
  try { return JSON.parse(localStorage.getItem(STORED) ?? "[]"); } catch { return []; }
};

const store = (list) => localStorage.setItem(STORED, JSON.stringify(list.slice(-20)));
const forget = (hash) => store(stored().filter((one) => one.hash !== hash));

async function requireGas(request) {
  const [balance, price] = await Promise.all([
    state.provider.request({ method: "eth_getBalance", params: [request.from, "latest"] }),
    state.provider.request({ method: "eth_gasPrice", params: [] }),
  ]).catch(() => [null, null]);
  if (balance === null) return; // the wallet will say it itself
  const gas = await state.provider.request({ method: "eth_estimateGas", params: [request] }).catch((error) => {
    if (/insufficient funds/i.test(error?.message ?? "")) return "0x30d40";
    throw error;
  });
  const needed = BigInt(gas) * BigInt(price);
  if (BigInt(balance) < needed || BigInt(balance) === 0n) {
    throw new Told(`This account has not enough ETH for the gas: about ${ether(needed)} ETH is needed, it has ${ether(BigInt(balance))}.`);
  }
}

const ether = (wei) => (Number(wei / 10n ** 9n) / 1e9).toPrecision(3);

async function follow(one, said) {
  if (followed.has(one.hash)) return one;
  followed.add(one.hash);
  const notice = shown(one);
  try {
    await ended(one, (text) => { said(text); notice.say(text, "wait"); });
    notice.say(`Done: ${one.what}.`, "good");
    said(`Done: ${one.what}.`);
    document.dispatchEvent(new CustomEvent("openledger:done", { detail: one }));
    return one;
  } catch (error) {
    notice.say(sentence(error), "bad");
    throw error;
  } finally {
    followed.delete(one.hash);
    forget(one.hash);
  }
}

async function ended(one, said) {
  let missing = 0;
  said(`Waiting for the network: ${one.what}.`);
  for (;;) {
    const now = await became(one).catch(() => ({ state: "away" }));
    if (now.state === "succeeded") return;
    if (now.state === "failed") throw new Told(`It was included, and the contract refused it. ${now.why ?? ""}`.trim());
    if (now.state === "replaced") {
      throw new Told("Your wallet replaced this transaction by another one in its place (sped up or cancelled there). Look at the newest one in your wallet; this page shows what came of it once it is loaded again.");
    }
    missing = now.state === "unknown" ? missing + EVERY : 0;
    if (missing > LOST) throw new Told("The network has forgotten this transaction: it was never included, and nothing was paid. Try again.");
    if (now.state === "away") said("The network cannot be asked just now. Your transaction is not lost; this page goes on asking.");
    else if (Date.now() - one.at > SLOW) said("It takes longer than usual: the network is busy or the fee is low. You may close this page; it goes on from here when you come back.");
    await new Promise((wake) => setTimeout(wake, EVERY));
  }
}

/** By the wallet's own node where one is connected to the right chain, else by the site's. */
async function became(one) {
  const provider = state.provider && same(state.chain, (await site()).chainId) ? state.provider : null;
  if (!provider) return spent(one, await ask(`/wallet/transactions/${one.hash}`), null);
  const receipt = await provider.request({ method: "eth_getTransactionReceipt", params: [one.hash] });
  if (receipt) return Number(receipt.status) === 1 ? { state: "succeeded" } : ask(`/wallet/transactions/${one.hash}`);
  const sent = await provider.request({ method: "eth_getTransactionByHash", params: [one.hash] });
  return spent(one, { state: sent ? "pending" : "unknown" }, provider);
}

/** Another transaction with its number was included: this one never will be. */
async function spent(one, now, provider) {
  if (now.state !== "unknown" || !provider) return now;
  const count = Number(await provider.request({ method: "eth_getTransactionCount", params: [one.account, "latest"] }));
  if (count <= one.nonce) return now;
  const receipt = await provider.request({ method: "eth_getTransactionReceipt", params: [one.hash] });
  return receipt ? { state: Number(receipt.status) === 1 ? "succeeded" : "failed" } : { state: "replaced" };
}

function shown(one) {
  const text = make("span");
  const box = make("div", { class: "notice wait", "data-transaction": one.hash }, text,
    make("a", { href: `/transactions/${one.hash}` }, clipped(one.hash)),
    make("button", { type: "button", class: "button small quiet", onclick: () => box.remove() }, "Close"));
  document.getElementById("notices")?.append(box);
  return { say(words, kind) { text.textContent = words; box.className = `notice ${kind}`; } };
}
