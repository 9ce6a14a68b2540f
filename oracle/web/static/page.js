// Every page: the wallet's button, what can be copied, parts that change, and what was left open.

import { ACTIONS } from "./actions.js";
import { ask, clipped, make, part } from "./site.js";
import { sentence } from "./sentences.js";
import { recall, resume } from "./transactions.js";
import { connect, disconnect, discover, onChange, same, site, state, wallets } from "./wallet.js";

const SHOWN = '[data-action="claim"], [data-action="vote"], [data-action="proposal"]'; // what these change stands on their page
const DONE = "openledger.done", done = [];
let running = 0, changed = false;

/** What a transaction has changed, once no action goes on: one may consist of two of them. */
function refresh() {
  if (!changed || running || !document.querySelector(SHOWN)) return;
  setTimeout(() => {
    if (running) return;
    sessionStorage.setItem(DONE, JSON.stringify(done));
    location.reload();
  }, 1500);
}

/** What was done before this page was loaded anew. Its figures are those of final blocks, and may not know it yet. */
function remember() {
  const before = JSON.parse(sessionStorage.getItem(DONE) ?? "[]");
  sessionStorage.removeItem(DONE);
  for (const one of before) recall(one);
}

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
    const stale = !account.isConnected; // drawn anew since
    if (stale || !state.chain || same(state.chain, facts.chainId)) return;
    bar.prepend(make("span", { class: "state state-rejected", id: "other-chain", title: `This site works on ${facts.chainName}` }, "other network"));
  }).catch(() => {});
}

function choose() {
  const listed = wallets();
  const said = make("p", { class: "said", role: "status" });
  const close = make("button", { type: "button", class: "button small quiet", onclick: () => dialog.close() }, "Close");
  const choices = listed.map((one) => make("li", {}, make("button", { type: "button", "data-wallet": one.info.rdns, onclick: async () => {
    said.textContent = "Look into your wallet: it asks whether this page may see an account.";
    try { await connect(one); dialog.close(); } catch (error) { said.textContent = sentence(error); said.className = "said bad"; }
  } }, one.info.name)));
  const none = make("p", {}, "There is no wallet in this browser. Install one that speaks EIP-6963, such as MetaMask or Rabby, and load this page again. Everything can be read without one.");
  dialog.replaceChildren(make("h2", { id: "wallets-title" }, listed.length ? "Choose a wallet" : "No wallet found"),
    listed.length ? make("ul", { class: "choices" }, ...choices) : none, said, close);
  dialog.showModal();
}

function wire(box) {
  const line = box.querySelector("[role=status]");
  const said = (text, kind = "") => { line.textContent = text; line.className = `said ${kind}`; };
  for (const button of box.querySelectorAll("[data-go]")) {
    if (!(box.dataset.action in ACTIONS)) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      if (!state.account) { choose(); return; }
      button.disabled = true;
      running += 1;
      try { await ACTIONS[box.dataset.action](box, button.dataset.go)(said); } catch (error) {
        said(sentence(error), "bad");
      } finally {
        button.disabled = false;
        running -= 1;
        refresh();
      }
    });
  }
}

function live(place) {
  if (place.hasAttribute("data-live-ended")) return;
  const again = async () => {
    const newest = await part(place.dataset.live);
    if (newest) {
      const before = place.querySelector("[data-state]")?.dataset.state;
      place.replaceChildren(newest);
      copyable(place);
      const now = place.querySelector("[data-state]")?.dataset.state;
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
document.addEventListener("openledger:done", ({ detail }) => { changed = true; done.push(detail); refresh(); });
remember();
resume(() => {});
export { choose, copyable };
