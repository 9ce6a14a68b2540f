// Held rows: accepted or rejected by whoever reviews the datanet.

import { ask } from "./site.js";
import { sentence } from "./sentences.js";
import { signIn, state } from "./wallet.js";
import { choose } from "./page.js";

for (const held of document.querySelectorAll(".held")) {
  const line = held.querySelector(".said");
  for (const button of held.querySelectorAll("[data-accept]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      if (!state.account) { choose(); return; }
      try {
        const reviewers = button.closest("[data-reviewers]").dataset.reviewers.toLowerCase().split(" ");
        if (!reviewers.includes(state.account.toLowerCase())) throw new Error("This account is no reviewer of that datanet: its steward names them.");
        line.textContent = "Sign in with your wallet, once.";
        await signIn();
        const content = {
          contribution: held.closest("[data-contribution]").dataset.contribution, row: Number(held.dataset.row),
          accept: button.dataset.accept === "true", because: held.querySelector("[data-because]").value,
        };
        line.textContent = (await ask("/wallet/review", content)).says;
        held.querySelector(".buttons").hidden = true;
      } catch (error) { line.textContent = sentence(error); }
    });
  }
}
