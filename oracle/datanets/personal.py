"""Personal data in a text: only what a checksum, a structure or the words around it make likely.

Ten digits are a timestamp, a part number or a phone; 1.2.3.4 is a version as often as an address. What has no second
sign is let pass.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

_EMAIL = re.compile(r"(?<![\w.+-])[A-Za-z0-9][\w.+-]{0,63}@((?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24})(?![\w@])")
_NOBODY = re.compile(
    r"(?i)(?:^|\.)(?:example\.(?:com|org|net)|example|test|invalid|localhost|local|domain\.(?:com|tld)|email\.com)$"
)
_ROLE = re.compile(
    r"(?i)^(?:git|no-?reply|donotreply|info|contact|support|sales|admin|webmaster|"
    r"postmaster|abuse|privacy|press|hello|user|name|you|me|foo|someone)$"
)

_PHONE = re.compile(r"(?<![\w.+/-])(\+?\(?\d[\d ().\-/]{6,20}\d)(?![\w/-]|\.\d)")
_ABOUT_PHONE = re.compile(
    r"(?i)\b(?:phone|tel(?:ephone)?|call|mobile|cell|fax|whatsapp|sms|text me|dial|reach me|"
    r"handy|telefon|numéro|teléfono)\b\W{0,3}[^.\n]{0,20}$"
)
_NANP = re.compile(r"^(?:\+?1[ .-]?)?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-])[2-9]\d\d[ .-]\d{4}$")
_FICTION = re.compile(r"555\D?01\d\d$")

_CARD = re.compile(r"(?<![\w.-])(?:\d[ -]?){12,18}\d(?![\w-]|\.\d)")
_TEST_CARDS = frozenset(
    "4111111111111111 4242424242424242 4012888888881881 4000056655665556 5555555555554444 5105105105105100"
    " 378282246310005 371449635398431 6011111111111117 6011000990139424 3530111333300000 30569309025904".split()
)
_IBAN = re.compile(r"(?<![A-Za-z0-9])([A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?)(?![A-Za-z0-9])")
_IBAN_LENGTH = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "CH": 21,
    "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "ES": 24, "FI": 18, "FO": 18, "FR": 27,
    "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IS": 26,
    "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MD": 24,
    "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25,
    "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "TN": 24, "TR": 26, "UA": 29,
    "VG": 24, "XK": 20,
}  # fmt: skip
_TEST_IBANS = frozenset(
    {"GB82WEST12345698765432", "DE89370400440532013000", "GB29NWBK60161331926819", "FR1420041010050500013M02606"}
)
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{1,4}:){2,7}(?::?[0-9A-Fa-f]{1,4}){1,6}(?![\w:])")
_VERSION = re.compile(r"(?i)(?:\bv|version|release|firmware|build|section|§)\W{0,3}$")
_SSN = re.compile(r"(?<![\w-])(?!000|666|9\d\d)(\d{3})-(?!00)(\d{2})-(?!0000)(\d{4})(?![\w-])")
_FAMOUS_SSN = frozenset({"078-05-1120", "219-09-9999", "123-45-6789"})


def personal_in(text: str) -> Iterator[tuple[str, str]]:
    """(which rule of the policy, what it is) for each; never the datum itself."""
    if "@" in text:
        for found in _EMAIL.finditer(text):
            account = found.group().split("@")[0]
            if not _NOBODY.search(found.group(1)) and not _ROLE.match(account):
                yield "email", "an e-mail address"
    taken: list[tuple[int, int]] = []
    for found in _IBAN.finditer(text):
        if _is_iban(found.group(1).replace(" ", "")):
            taken.append(found.span())
            yield "iban", "a bank account (IBAN)"
    for found in _CARD.finditer(text):
        if not _within(found.start(), taken) and _is_card(re.sub(r"[ -]", "", found.group())):
            taken.append(found.span())
            yield "card", "the number of a payment card"
    for found in _SSN.finditer(text):
        if found.group() not in _FAMOUS_SSN:
            taken.append(found.span())
            yield "ssn", "a social security number"
    for found in _IPV4.finditer(text):
        if _is_public(found.group()) and not _VERSION.search(text[max(0, found.start() - 12) : found.start()]):
            taken.append(found.span())
            yield "ip", "an IP address"
    if "::" in text or text.count(":") > 6:
        for found in _IPV6.finditer(text):
            if _is_public(found.group()):
                yield "ip", "an IP address"
    for found in _PHONE.finditer(text):
        if not _within(found.start(), taken) and _is_phone(
            found.group(1), text[max(0, found.start() - 40) : found.start()]
        ):
            yield "phone", "a phone number"


def _within(place: int, taken: list[tuple[int, int]]) -> bool:
    return any(begin <= place < end for begin, end in taken)


def _is_phone(written: str, before: str) -> bool:
    digits = re.sub(r"\D", "", written)
    if not 8 <= len(digits) <= 15 or len(set(digits)) < 3 or _FICTION.search(written):
        return False
    if written.startswith("+"):
        return len(digits) >= 9
    if written.count("(") != written.count(")"):
        return False
    return bool(_NANP.match(written)) or bool(_ABOUT_PHONE.search(before))


def _is_card(digits: str) -> bool:
    if not 13 <= len(digits) <= 19 or digits in _TEST_CARDS or len(set(digits)) < 4:
        return False
    issuer = (
        digits[0] in "45" or digits[:2] in ("34", "37", "36", "38", "62", "64", "65") or digits[:4] in ("6011", "3528")
    )
    if not issuer and not 2221 <= int(digits[:4]) <= 2720:
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _is_iban(account: str) -> bool:
    if _IBAN_LENGTH.get(account[:2]) != len(account) or account in _TEST_IBANS:
        return False
    return int("".join(str(int(mark, 36)) for mark in account[4:] + account[:4])) % 97 == 1


def _is_public(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    # Addresses of well-known services say nothing of a person.
    return (
        found.is_global
        and not found.is_multicast
        and address not in ("8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9")
    )
