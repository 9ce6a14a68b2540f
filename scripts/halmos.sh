#!/bin/sh
# Proves what tests/halmos states and prints how long each proof took. A counterexample, a timeout and a path that was not
# followed to its end all count as a failure, and so does a proof that did not run. The proofs are compiled apart from the
# tests, so that neither waits for the other.
# A query may take as long as it takes within LIMIT seconds a proof: a limit of its own would only make a slow machine fail.
# ORACLE names the folder in which Halmos and its solver are installed. Arguments choose contracts of proofs.
set -eu
cd "$(dirname "$0")/.."
export PATH="${ORACLE:-$PWD/.venv/oracle/bin}:$PATH"
export FOUNDRY_TEST=tests/halmos FOUNDRY_OUT=build/halmos FOUNDRY_CACHE_PATH=build/halmos-cache
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0
printf '%-9s %8s  %s\n' result seconds proof
for contract in ${*:-TokenProofs EscrowProofs RootProofs ClaimProofs}; do
    stated=$(sed -n 's/^ *function \(check_[A-Za-z0-9_]*\).*/\1/p' "tests/halmos/$contract.t.sol")
    for proof in $stated; do
        # An underflow in the arithmetic of a proof is a counterexample like a failed assertion (panics 0x01 and 0x11).
        NO_COLOR=1 timeout "${LIMIT:-900}" halmos --root . --forge-build-out build/halmos --contract "$contract" \
            --match-test "^$proof\\(" --loop 8 --panic-error-codes 0x01,0x11 --no-status \
            --solver-timeout-branching 200 --solver-timeout-assertion 0 >"$log" 2>&1 || true
        sed -i "s/$(printf '\033')\[[0-9;]*m//g" "$log"
        if grep -q "\[PASS\] $proof(" "$log" && ! grep -qi 'incomplete' "$log"; then
            result=proven
        else
            result=FAILED
            failed=1
            cat "$log" >&2
        fi
        seconds=$(sed -n "s/.*\] $proof(.*time: *\([0-9.]*\)s.*/\1/p" "$log")
        printf '%-9s %8s  %s.%s\n' "$result" "${seconds:--}" "$contract" "$proof"
    done
done
exit $failed
