// What goes wrong in a wallet, in words. Codes are those of EIP-1193 and JSON-RPC; wallets differ in their texts.

/** An error that already is a sentence for people. */
export class Told extends Error {}

const REJECTED = 4001, UNAUTHORIZED = 4100, UNSUPPORTED = 4200, DISCONNECTED = 4900, WRONG_CHAIN = 4901, PENDING = -32002;

export function sentence(error) {
  if (error instanceof Told) return error.message;
  const code = codeOf(error), text = textOf(error);
  if (code === REJECTED || /user (rejected|denied|cancel)/i.test(text)) return "You declined it in your wallet. Nothing was sent.";
  if (code === UNAUTHORIZED) return "Your wallet does not give this account to this page. Choose it in the wallet, or connect again.";
  if (code === UNSUPPORTED) return "Your wallet cannot do that. Another wallet may.";
  if (code === PENDING) return "Your wallet already waits for an answer: open it and look there first.";
  if (code === DISCONNECTED || code === WRONG_CHAIN) return "Your wallet has no connection to its network. Look into its settings, then try again.";
  if (/insufficient funds/i.test(text)) return "This account has not enough ETH to pay for the gas. Put some into it, or let somebody else send this for you.";
  if (/nonce too low|replacement transaction underpriced|already known/i.test(text)) return "Another transaction of this account is on its way. Wait for that one, then try again.";
  if (/execution reverted|revert/i.test(text)) return `The contract refuses it as things stand now: ${text}`;
  if (/failed to fetch|networkerror|load failed/i.test(text)) return "This site cannot be reached just now. Nothing is lost; try again.";
  return text || "Your wallet answered with an error and did not say which. Nothing was sent.";
}

function codeOf(error) {
  return error?.data?.originalError?.code ?? error?.code ?? error?.cause?.code;
}

function textOf(error) {
  return String(error?.data?.message ?? error?.shortMessage ?? error?.message ?? (typeof error === "string" ? error : "")).slice(0, 300);
}
