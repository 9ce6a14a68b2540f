#!/usr/bin/env bash
# Names everything that is missing on this machine, at once, with how to get it.
set -u
missing=()
python="${PYTHON:-python3}"

if ! command -v "$python" >/dev/null; then
  missing+=("Python 3.11 or newer: apt-get install python3 python3-venv, or brew install python@3.11")
elif ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  missing+=("Python 3.11 or newer ($("$python" --version) is too old): install one and run make PYTHON=python3.11")
elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  missing+=("Python's venv module: apt-get install python3-venv")
fi
if ! command -v node >/dev/null; then
  missing+=("Node 20 or newer, with npm: https://nodejs.org, or brew install node")
elif ! node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)'; then
  missing+=("Node 20 or newer ($(node --version) is too old): https://nodejs.org")
fi
command -v npm >/dev/null || missing+=("npm: it comes with Node 20 from https://nodejs.org")
command -v git >/dev/null || missing+=("git: apt-get install git, or brew install git")

if ((${#missing[@]})); then
  printf 'OpenLedger needs what this machine does not have yet:\n' >&2
  printf '  - %s\n' "${missing[@]}" >&2
  exit 1
fi
