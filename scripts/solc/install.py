"""Put solc 0.8.30 where py-solc-x, Brownie, Forge, Slither and Halmos look for it.

The native compiler is preferred. Where its download is refused, an executable around the npm compiler of the same
version takes its place; tests/toolchain compares the bytecode of both where both exist.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

VERSION = "0.8.30"
ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".solc"
TARGET = FOLDER / f"solc-v{VERSION}"


def install_native() -> bool:
    import solcx

    try:
        solcx.install_solc(VERSION, solcx_binary_path=str(FOLDER))
    except Exception as error:  # py-solc-x raises many kinds; whichever it was, the npm compiler does the same job
        print(f"native solc {VERSION} is not to be had here ({type(error).__name__}); using the npm compiler")
        return False
    return True


def install_npm() -> None:
    script = ROOT / "scripts" / "solc" / "solc.cjs"
    if not (ROOT / "node_modules" / "solc").is_dir():
        sys.exit("node_modules/solc is missing: run `npm install` first (make does it)")
    TARGET.write_text(f'#!/bin/sh\nexec node "{script}" "$@"\n', encoding="utf-8")
    TARGET.chmod(TARGET.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    if os.environ.get("OPENLEDGER_SOLC") == "npm" or not install_native():
        install_npm()
    print(f"solc {VERSION}: {TARGET.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
