// Every page: the wallet's button, what can be copied, parts that change, and what was left open.

import { ask, clipped, make } from "./site.js";
import { sentence } from "./sentences.js";
import { resume, send } from "./transactions.js";
import { connect, disconnect, discover, onChange, requireAccount, same, signTyped, site, state, wallets } from "./wallet.js";

const bar = document.getElementById("wallet");
const dialog = document.getElementById("wallets");

function drawBar() {
  bar.hidden = false;
  if (!state.account) {
    bar.replaceChildren(make("button", { type: "button", class: "button small", id: "connect", onclick: choose }, "Connect wallet"));
    return;
  }
  const account = make("a", { class: "button small quiet", href: `/a/${state.account}`, title: state.account, id: "account" }, clipped(state.account));
  const leave = make("button", { type: "button", class: "button small quiet", id: "disconnect", onclick: () => { ask("/wallet/sign-out", {}).catch(() => {}); disconnect(); } }, "Disconnect");
  bar.replaceChildren(account, leave);
  site().then((facts) => {
    if (!state.chain || same(state.chain, facts.chainId)) return;
    bar.prepend(make("span", { class: "state state-rejected", id: "other-chain", title: `This site works on ${facts.chainName}` }, "other network"));
  }).catch(() => {});
}

function choose() {
  const listed = wallets();
  const said = make("p", { class: "said", role: "status" });
  const close = make("button", { type: "button", class: "button small quiet", onclick: () => dialog.close() }, "Close");
  const choices = listed.map((one) => make("li", {}, make("button", { type: "button", "data-wallet": one.info.rdns, onclick: async () => {
    said.textContent = "Look into your wallet: it asks whether this page may see an account.";
    try { await connect(one); dialog.close(); } catch (error) { said.textContent = sentence(error); }
  } }, one.info.name)));
  const none = make("p", {}, "There is no wallet in this browser. Install one that speaks EIP-6963, such as MetaMask or Rabby, and load this page again. Everything can be read without one.");
  dialog.replaceChildren(make("h2", { id: "wallets-title" }, listed.length ? "Choose a wallet" : "No wallet found"),
    listed.length ? make("ul", { class: "choices" }, ...choices) : none, said, close);
  dialog.showModal();
}

// One button, one action. `data-go` may carry a value.
const ACTIONS = {
  claim: (box) => (said) => send("claim", async (sender) => {
    const call = await ask("/wallet/claim", { account: box.dataset.account, sender });
    const seen = box.dataset.seen ?? box.querySelector("[data-go]").dataset.wei;
    if (seen && seen !== "0" && seen !== call.amount && !box.dataset.told) {
      box.dataset.told = "yes";
      box.querySelector("[data-go]").textContent = `Claim ${call.shown} OPEN`;
      throw Object.assign(new Stale(`The amount has changed since this page was made: it is ${call.shown} OPEN now. Press again to claim that.`));
    }
    return call;
  }, said),
  "sign-contribution": (box) => async (said) => {
    const { account, deadline, typed } = await ask(`/wallet/contributions/${box.dataset.contribution}/message`);
    requireAccount(account);
    said("Sign it in your wallet. It costs nothing.");
    const signature = await signTyped(account, typed);
    said((await ask(`/wallet/contributions/${box.dataset.contribution}/signature`, { signature, deadline })).says);
    box.querySelector("[data-go]").hidden = true;
  },
  "sign-outcome": (box) => async (said) => {
    const account = requireAccount();
    const { typed } = await ask(`/wallet/outcomes/${box.dataset.contribution}/message`);
    said("Sign it in your wallet. It costs nothing.");
    const signature = await signTyped(account, typed);
    said((await ask(`/wallet/outcomes/${box.dataset.contribution}/signature`, { signature })).says);
  },
  vote: (box, support) => (said) => send("vote", (sender) => ask("/wallet/vote", { sender, proposal: box.dataset.proposal, support: Number(support) }), said),
  delegate: () => (said) => send("delegate", (sender) => ask("/wallet/delegate", { sender }), said),
  deposit: (box) => async (said) => {
    const amount = box.querySelector("input").value;
    const first = await ask("/wallet/approve", { sender: requireAccount(), amount });
    if (first.call) await send("approve", async () => first.call, said);
    await send("deposit", (sender) => ask("/wallet/deposit", { sender, amount }), said);
  },
};

class Stale extends Error {}

function wire(box) {
  const line = box.querySelector(".said");
  const said = (text) => { line.textContent = text; };
  for (const button of box.querySelectorAll("[data-go]")) {
    if (!(box.dataset.action in ACTIONS)) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      if (!state.account) { choose(); return; }
      const before = button.disabled;
      button.disabled = true;
      try { await ACTIONS[box.dataset.action](box, button.dataset.go)(said); } catch (error) {
        said(error instanceof Stale ? error.message : sentence(error));
      } finally { button.disabled = before; }
    });
  }
}

function live(part) {
  if (part.hasAttribute("data-live-ended")) return;
  const again = async () => {
    const answer = await fetch(part.dataset.live, { headers: { accept: "text/html" } }).catch(() => null);
    if (answer?.ok) {
      const before = part.querySelector("[data-state]")?.dataset.state;
      const holder = document.createElement("template");
      holder.innerHTML = await answer.text(); // our own server's part of this very page, escaped there
      part.replaceChildren(holder.content);
      const now = part.querySelector("[data-state]")?.dataset.state;
      if (before !== now && now === "published") location.reload();
    }
    setTimeout(again, document.hidden ? 15_000 : 3000);
  };
  setTimeout(again, 3000);
}

function copyable(root) {
  for (const button of root.querySelectorAll(".copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.dataset.copy).catch(() => {});
      button.classList.add("done");
      setTimeout(() => button.classList.remove("done"), 1500);
    });
  }
}

copyable(document);
document.querySelectorAll("[data-action]").forEach(wire);
document.querySelectorAll("[data-live]").forEach(live);
onChange(drawBar);
discover();
const reload = () => setTimeout(() => location.reload(), 1500);
document.addEventListener("openledger:done", () => { if (document.querySelector('[data-action="claim"], [data-action="vote"]')) reload(); });
resume(() => {});
export { choose };
