"""Keys, tokens and passwords in a text. A pattern alone is not enough: placeholders and low entropy are let pass."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

# Each has a form that nothing else has; the words before the underscore are what people see.
_TOKENS = {
    "AWS access key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "GitHub token": r"\b(?:gh[pousr]_[0-9A-Za-z]{36,255}|github_pat_[0-9A-Za-z_]{60,255})\b",
    "GitLab token": r"\bglpat-[0-9A-Za-z_-]{20,}",
    "Slack token": r"\bxox[abeoprs]-[0-9A-Za-z-]{10,}",
    "Anthropic key": r"\bsk-ant-[0-9A-Za-z_-]{24,}",
    "OpenAI key": r"\bsk-(?:proj-|svcacct-)?[0-9A-Za-z_-]{32,}",
    "Google API key": r"\bAIza[0-9A-Za-z_-]{35}(?![0-9A-Za-z_-])",
    "Google OAuth token": r"\bya29\.[0-9A-Za-z_-]{30,}",
    "Stripe key": r"\b[sr]k_live_[0-9A-Za-z]{20,}",
    "SendGrid key": r"\bSG\.[0-9A-Za-z_-]{16,32}\.[0-9A-Za-z_-]{32,64}",
    "npm token": r"\bnpm_[0-9A-Za-z]{36}\b",
    "PyPI token": r"\bpypi-AgE[0-9A-Za-z_-]{50,}",
    "Hugging Face token": r"\bhf_[0-9A-Za-z]{34}\b",
    "Twilio key": r"\bSK[0-9a-f]{32}\b",
    "Telegram bot token": r"\b[0-9]{8,10}:AA[0-9A-Za-z_-]{33}(?![0-9A-Za-z_-])",
    "JSON web token": r"\beyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}\.[0-9A-Za-z_-]{10,}",
    "password in a URL": r"\b[a-z][a-z0-9+.-]{1,10}://[^\s/:@]{1,64}:[^\s/:@]{4,128}@[0-9A-Za-z.-]+",
}
_ANY = re.compile("|".join(f"(?P<g{number}>{pattern})" for number, pattern in enumerate(_TOKENS.values())))
_NAMES = tuple(_TOKENS)
# A row without any of these has none of the tokens: asking is ten times as fast as looking.
_BEGINNINGS = (
    "AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "sk-", "AIza", "ya29.",
    "k_live_", "SG.", "npm_", "pypi-AgE", "hf_", "SK", ":AA", "eyJ", "://",
)  # fmt: skip
_TELLING = re.compile("(?i)passw|secret|api[_-]?key|token")

_PRIVATE = re.compile(r"-----BEGIN ((?:[A-Z]+ )*)PRIVATE KEY(?: BLOCK)?-----[\s\\n]*[0-9A-Za-z+/=:,\s\\-]{40}")
_HEX_KEY = re.compile(r"(?i)(?:private[ _-]?key|secret[ _-]?key|seed)\W{1,4}(?:0x)?([0-9a-f]{64})\b")
_ASSIGNED = re.compile(
    r"""(?ix)(?:passw(?:or)?d|passwd|secret|api[_-]?key|auth[_-]?token|access[_-]?token)[\w-]{0,12}
    ["']?\s{0,3}(?:=|:|:=|=>)\s{0,3}["']?([^\s"'<>,;]{8,200})""",
)
_PLACEHOLDER = re.compile(
    r"(?i)example|sample|your|my[_-]?(?:key|secret|pass|token)|placeholder|change_?me|redacted|dummy|fake|xxx|"
    r"\*\*\*|\.\.\.|1234567|abcdef|insert|todo|<|\{\{|\$\{|\$\(|process\.env|os\.environ|getenv|none|null|hunter2|p[a@]ssw[o0]rd"
)


def secrets_in(text: str) -> Iterator[tuple[str, str]]:
    """(code, what it is) for each; never the secret itself."""
    if "PRIVATE KEY" in text:
        for found in _PRIVATE.finditer(text):
            yield "private_key", (found.group(1).strip() or "PEM") + " private key"
    folded = text.casefold()
    for found in _HEX_KEY.finditer(text) if "key" in folded or "seed" in folded else ():
        if _is_random(found.group(1), 3.0):
            yield "private_key", "64 hexadecimal digits"
    if any(beginning in text for beginning in _BEGINNINGS):
        for found in _ANY.finditer(text):
            if _is_random(found.group(), 2.8):
                yield "secret", _NAMES[int((found.lastgroup or "g0")[1:])]
    if not ("=" in text or ":" in text) or not _TELLING.search(text):
        return
    for found in _ASSIGNED.finditer(text):
        value = found.group(1)
        if any(mark.isdigit() for mark in value) and any(mark.isalpha() for mark in value) and _is_random(value, 3.0):
            yield "secret", "a password or key by its name"


def _is_random(value: str, bits: float) -> bool:
    if _PLACEHOLDER.search(value):
        return False
    counts = Counter(value).values()
    return -sum(count / len(value) * math.log2(count / len(value)) for count in counts) >= bits
