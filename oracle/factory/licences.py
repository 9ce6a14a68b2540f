"""Which licences may be combined into a model that is sold by the answer, and what its own licence then has to be."""

from __future__ import annotations

from collections.abc import Iterable

from oracle.factory.errors import Licences

PERMISSIVE = frozenset(
    "0BSD Apache-2.0 BSD-2-Clause BSD-3-Clause CC-BY-3.0 CC-BY-4.0 CC0-1.0 CDLA-Permissive-2.0 ISC MIT ODC-By-1.0"
    " PDDL-1.0 PSF-2.0 Unlicense".split()
)
SHARE_ALIKE = frozenset(
    "AGPL-3.0-only AGPL-3.0-or-later CC-BY-SA-3.0 CC-BY-SA-4.0 CDLA-Sharing-1.0 GPL-3.0-only GPL-3.0-or-later"
    " ODbL-1.0".split()
)
_FORBIDS = {"-NC": "forbids commercial use, and answers are sold", "-ND": "forbids derived works, and a model is one"}
OWN = "Apache-2.0"


def combined(licences: Iterable[str], accepted: Iterable[str] = ()) -> str:
    """The licence of what is made of them. Raises Licences with every reason why they may not be combined."""
    found, own = sorted(set(licences)), frozenset(accepted)
    faults = []
    for licence in found:
        if licence in own:
            continue
        reason = next((why for mark, why in _FORBIDS.items() if mark in licence), None)
        if reason:
            faults.append(f"{licence} {reason}")
        elif licence not in PERMISSIVE | SHARE_ALIKE:
            faults.append(
                f"{licence or '(none)'} is not known here: read it, and name it under accept_licences if it allows this"
            )
    sharing = [licence for licence in found if licence in SHARE_ALIKE]
    if len(sharing) > 1:
        faults.append(f"{' and '.join(sharing)} each want the whole under their own terms")
    if faults:
        raise Licences("licences:\n" + "\n".join(f"  {fault}" for fault in faults))
    return sharing[0] if sharing else OWN
