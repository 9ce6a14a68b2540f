// A question to /v1/chat/completions, streamed; then its receipt, whose rows shaped it, and what stands in them word for word.

import { keccak } from "./keccak.js";
import { choose, copyable } from "./page.js";
import { ask, make, part } from "./site.js";
import { Told, sentence } from "./sentences.js";
import { requireChain, signText, signTyped, state } from "./wallet.js";

// What to do about a refusal that is about money.
const NEXT = {
  spending_cap_reached: "Ask for a shorter answer, or get another key that may spend more.",
  session_not_open: "Try again in some seconds.",
  session_expired: "Get another key with your wallet.",
  insufficient_funds: "Deposit on your statement's page.",
};
const PAID = "Deposit on your statement's page, then get a key with your wallet; models without a price need none.";
const capital = (text) => text[0].toUpperCase() + text.slice(1);

const form = document.getElementById("ask");
const PATIENCE = 90;
const KEY = "openledger.key", KEY_DAYS = 30;

function begin() {
  const [go, stop, quote, answer, text, said, why] = ["go", "stop", "quote", "answer", "text", "said", "why"].map((id) => document.getElementById(id));
  let running = null;

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    running = new AbortController();
    answer.hidden = false;
    for (const part of [text, why]) part.replaceChildren();
    go.disabled = true;
    stop.hidden = false;
    said.className = "said";
    said.textContent = "Asking…";
    try {
      const { tokens, receipt } = await streamed(content(), running.signal, (piece) => { text.append(piece); });
      if (receipt) await explain(receipt, tokens);
      else said.textContent = "The answer came without a receipt.";
    } catch (error) {
      const stopped = error.name === "AbortError";
      said.textContent = stopped ? "Stopped. What came before that is paid for, nothing more." : sentence(error);
      said.className = stopped ? "said" : "said bad";
    } finally {
      go.disabled = false;
      stop.hidden = true;
    }
  });
  stop.addEventListener("click", () => running?.abort());
  const key = form.elements.key, keySaid = document.getElementById("key-said"), getKey = document.getElementById("get-key");
  key.value = sessionStorage.getItem(KEY) ?? "";
  getKey.hidden = false;
  getKey.addEventListener("click", async () => {
    if (!state.account) { choose(); return; }
    getKey.disabled = true;
    try {
      key.value = await newKey(form.elements.cap.value, (words) => { keySaid.textContent = words; });
      sessionStorage.setItem(KEY, key.value);
      keySaid.textContent = "Here is your key; it stays in this window alone. It works as soon as the chain has taken in what you signed.";
    } catch (error) { keySaid.textContent = sentence(error); } finally { getKey.disabled = false; }
  });
  form.addEventListener("change", price);
  form.elements.question.addEventListener("input", () => { clearTimeout(price.soon); price.soon = setTimeout(price, 500); });

  function content() {
    const { model, question, tokens } = form.elements;
    return { model: model.value, messages: [{ role: "user", content: question.value }], max_tokens: Number(tokens.value), temperature: 0 };
  }

  function headers() {
    const key = form.elements.key.value.trim();
    return { "content-type": "application/json", ...(key ? { authorization: `Bearer ${key}` } : {}) };
  }

  async function price() {
    if (!form.elements.question.value.trim()) return;
    try {
      const told = await ask("/v1/quote", content());
      quote.textContent = told.free ? "This model is free." : `At most ${open(told.most)} OPEN for this question.`;
    } catch (error) { quote.textContent = sentence(error); }
  }

  async function streamed(asked, signal, piece) {
    const answer = await fetch("/v1/chat/completions", {
      method: "POST", signal, headers: headers(), credentials: "omit",
      body: JSON.stringify({ ...asked, stream: true, logprobs: true, stream_options: { include_usage: true } }),
    });
    if (!answer.ok) throw new Error(await refusal(answer));
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    const tokens = [];
    let rest = "", receipt = null;
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return { tokens, receipt };
      const parts = (rest + value).split("\n\n");
      rest = parts.pop();
      for (const part of parts) {
        const data = part.replace(/^data: /, "");
        if (data === "[DONE]") continue;
        const event = JSON.parse(data);
        if (event.error) throw new Error(event.error.message);
        receipt = event.receipt ?? receipt;
        for (const choice of event.choices ?? []) {
          if (choice.delta?.content) piece(choice.delta.content);
          for (const one of choice.logprobs?.content ?? []) tokens.push(one.token);
        }
      }
    }
  }

  async function refusal(answer) {
    const told = (await answer.json().catch(() => null))?.error;
    if (answer.status === 401 || answer.status === 402) return `${capital((told?.message ?? "this model is paid").replace(/\.?$/, "."))} ${NEXT[told?.code] ?? PAID}`;
    return told?.message ?? `The site answers ${answer.status}. Try again in a moment.`;
  }

  async function explain(receipt, tokens) {
    const link = make("a", { href: `/receipts/${receipt.id}`, id: "receipt" }, "its receipt");
    said.replaceChildren(`It cost ${open(receipt.fee)} OPEN; this is `, link, ". Whose rows shaped it is being worked out…");
    for (let turn = 0; turn < PATIENCE; turn++) {
      const told = await ask(`/receipts/${receipt.id}/spans`).catch(() => null);
      if (told?.state === "done") {
        underline(tokens, told.spans);
        const shares = await part(`/receipts/${receipt.id}/why`);
        why.replaceChildren(make("h2", {}, "Whose rows shaped it"), shares ?? "");
        copyable(why);
        said.replaceChildren(`It cost ${open(receipt.fee)} OPEN; this is `, link, ".");
        return;
      }
      await new Promise((wake) => setTimeout(wake, 1000));
    }
    said.replaceChildren("Attribution takes longer than usual. It will stand on ", link, ".");
  }

  // Spans are counted in tokens; where the tokens' texts do not make the answer, nothing is underlined by guess.
  function underline(tokens, spans) {
    const whole = text.textContent;
    if (!spans.length || tokens.join("") !== whole) return;
    const starts = [0];
    for (const token of tokens) starts.push(starts.at(-1) + token.length);
    const ordered = spans.map((span) => ({ ...span, from: starts[span.start], to: starts[span.start + span.length] }))
      .filter((span) => span.to > span.from).sort((one, other) => one.from - other.from || other.to - one.to);
    text.replaceChildren();
    let at = 0;
    for (const span of ordered) {
      if (span.from < at) continue;
      text.append(whole.slice(at, span.from));
      const who = span.accounts.length ? `in rows of ${span.accounts.join(", ")}` : "in training rows";
      text.append(make("mark", { class: `who-${span.tone}`, title: `${who}, ${span.occurrences} times` }, whole.slice(span.from, span.to)));
      at = span.to;
    }
    text.append(whole.slice(at));
  }
}

/** Wei as OPEN, short. */
function open(wei) {
  const value = BigInt(wei), whole = value / 10n ** 18n, said = whole.toLocaleString("en");
  const rest = String(value % 10n ** 18n).padStart(18, "0").slice(0, 6).replace(/0+$/, "");
  return rest ? `${said}.${rest}` : value && !whole ? "less than 0.000001" : said;
}

/** Signed in, then a cap signed: how much the key may spend in all, and until when. The escrow holds to it. */
async function newKey(cap, said) {
  const amount = weiOf(cap);
  await requireChain();
  const account = checksummed(state.account);
  const { nonce, chain, domain } = await ask("/v1/nonces", {});
  const message = `${domain} wants you to sign in with your Ethereum account:\n${account}\n\nUse OpenLedger inference.\n\n`
    + `URI: ${location.origin}\nVersion: 1\nChain ID: ${chain}\nNonce: ${nonce}\nIssued At: ${new Date().toISOString()}`;
  said("First sign in, in your wallet.");
  const signature = await signText(account, message);
  const expires = (await ask("/wallet/chain")).now + KEY_DAYS * 86_400;
  const made = await ask("/v1/keys", { message, signature, cap: String(amount), expires_at: expires, label: "asked in a browser" });
  const { consumer, cap: asked, expiresAt } = made.to_sign.message;
  if (consumer !== account || String(asked) !== String(amount) || Number(expiresAt) !== expires) {
    throw new Told("The site asks you to sign another cap than you wanted. Nothing was signed.");
  }
  said(`Now sign that the key may spend ${cap} OPEN in all.`);
  const capped = await signTyped(account, made.to_sign);
  return (await ask(`/v1/keys/${made.key}/cap`, { signature: capped, nonce: made.nonce, deadline: made.deadline })).api_key;
}

function weiOf(text) {
  const found = /^(\d{1,9})(?:\.(\d{1,18}))?$/.exec(text.trim());
  if (!found) throw new Told(`“${text}” is no amount. Write it with a point and without commas, like 1234.5.`);
  return BigInt(found[1]) * 10n ** 18n + BigInt((found[2] ?? "").padEnd(18, "0"));
}

/** With the capitals of its checksum (ERC-55), which the messages have. */
function checksummed(account) {
  const digits = account.slice(2).toLowerCase();
  const marks = keccak(new TextEncoder().encode(digits));
  return "0x" + [...digits].map((digit, at) => ((marks[at >> 1] >> (at % 2 ? 0 : 4)) & 15) > 7 ? digit.toUpperCase() : digit).join("");
}

if (form) begin();
