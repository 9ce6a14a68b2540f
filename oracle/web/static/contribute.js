// A file: handed in, checked while one looks on, signed.

import { signContribution } from "./actions.js";
import { make, part } from "./site.js";
import { sentence } from "./sentences.js";
import { onChange, signIn, state } from "./wallet.js";
import { choose } from "./page.js";

const form = document.getElementById("contribute");
function begin() {
  const [file, drop, check, outcome, steps, lines, sign, said] =
    ["file", "drop", "check", "outcome", "steps", "lines", "sign", "said"].map((id) => document.getElementById(id));
  let current = null;

  const ready = () => {
    check.disabled = false;
    check.textContent = !state.account ? "Connect a wallet to begin" : "Check the file and hand it in";
  };
  onChange(ready);
  for (const name of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", name === "dragover");
      if (name === "drop" && event.dataTransfer.files.length) file.files = event.dataTransfer.files;
    });
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!state.account) { choose(); return; }
    outcome.hidden = false;
    lines.replaceChildren();
    sign.hidden = true;
    check.disabled = true;
    try {
      said.textContent = "Sign in with your wallet: files are taken only from their owner.";
      await signIn();
      current = await handIn(new FormData(form));
      await untilPublished(current);
    } catch (error) { said.textContent = sentence(error); } finally { ready(); }
  });

  sign.addEventListener("click", async () => {
    try {
      await signContribution(current, (words) => { said.textContent = words; });
      sign.hidden = true;
      lines.append(make("p", {}, make("a", { href: `/contributions/${current}`, class: "button", id: "receipt" }, "See its receipt and follow it")));
    } catch (error) { said.textContent = sentence(error); }
  });

  async function handIn(content) {
    said.textContent = "Sending the file…";
    const answer = await fetch(form.action, { method: "POST", body: content, credentials: "same-origin", headers: { accept: "application/json" } });
    if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).problem ?? `The site answers ${answer.status}.`);
    let key = null, rest = "";
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const parts = (rest + value).split("\n");
      rest = parts.pop();
      for (const part of parts) key = told(JSON.parse(part)) ?? key;
    }
    if (!key) throw new Error("The connection broke while the file was checked. What was sent is kept; hand it in again to go on.");
    return key;
  }

  function told(one) {
    if (one.read !== undefined) said.textContent = `Checked ${one.read.toLocaleString()} of ${one.of.toLocaleString()} bytes…`;
    if (one.problem) throw new Error(one.problem);
    if (one.taken !== undefined) verdicts(one);
    return one.contribution;
  }

  function verdicts(one) {
    const words = `${one.taken.toLocaleString()} ${one.taken === 1 ? "row" : "rows"} taken, ${one.held.toLocaleString()} of them for a reviewer; ${one.leftOut.toLocaleString()} left out.`;
    lines.replaceChildren(make("p", { id: "tally" }, make("strong", {}, words)));
    said.textContent = one.taken ? "Checked." : "Not one row of this file can be taken; see why below.";
    if (!one.lines.length) return;
    const rows = one.lines.map((each) => make("tr", {}, make("td", { class: "right", "data-label": "Line" }, String(each.number)),
      make("td", { "data-label": "Verdict" }, make("span", { class: `state state-${each.held ? "held" : "rejected"}` }, each.held ? "for a reviewer" : "left out")),
      make("td", { "data-label": "Rule" }, each.code.replaceAll("_", " ")), make("td", { "data-label": "Why" }, each.sentence)));
    lines.append(make("table", { class: "stack" }, make("thead", {}, make("tr", {}, make("th", { class: "right" }, "Line"), make("th", {}, "Verdict"), make("th", {}, "Rule"), make("th", {}, "Why"))), make("tbody", {}, ...rows)));
    if (one.more) lines.append(make("p", { class: "meta" }, `… and ${one.more} more.`));
  }

  async function untilPublished(key) {
    for (;;) {
      const newest = await part(`/contributions/${key}/progress`);
      if (newest) steps.replaceChildren(newest);
      else said.textContent = "This site cannot be reached just now. What was handed in is kept; this page goes on asking.";
      const now = steps.querySelector("[data-state]")?.dataset.state;
      if (now === "published") { sign.hidden = false; said.textContent = "Ready for your signature."; return; }
      if (now && !["received", "parsed"].includes(now)) {
        said.textContent = now === "refused" ? "It was refused; see above why." : "This file was handed in before; see above how far it has come.";
        lines.append(make("p", {}, make("a", { href: `/contributions/${key}` }, "See it")));
        return;
      }
      await new Promise((wake) => setTimeout(wake, 700));
    }
  }
}

if (form) begin();
