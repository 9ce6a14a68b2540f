"""One compiler, whichever way it came: the native solc and the npm one make the same bytecode."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from eth_utils.crypto import keccak

ROOT = Path(__file__).resolve().parents[2]
INSTALLED = ROOT / ".solc" / "solc-v0.8.30"
NPM = ("node", str(ROOT / "scripts" / "solc" / "solc.cjs"))

# What both compilers make of SOURCE, as keccak-256. Whatever makes anything else is not the compiler we measured with.
BYTECODE_HASH = "db671b199bd4ea89cd0db1196da3c36d27a6092c187fff1ce430bd18e7ac9ca7"

SOURCE = """// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;
import { MerkleProof } from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
contract Sample {
    mapping(bytes32 => uint256) public seen;
    error Unknown(bytes32 root);
    function see(bytes32[] calldata proof, bytes32 leaf) external returns (uint256) {
        bytes32 root = MerkleProof.processProofCalldata(proof, leaf);
        if (root == 0) revert Unknown(root);
        return seen[root] += block.timestamp;
    }
}
"""

INPUT = {
    "language": "Solidity",
    "sources": {
        "Sample.sol": {"content": SOURCE},
        **{
            f"@openzeppelin/contracts/utils/cryptography/{name}.sol": {
                "content": (ROOT / f"node_modules/@openzeppelin/contracts/utils/cryptography/{name}.sol").read_text(
                    encoding="utf-8"
                )
            }
            for name in ("MerkleProof", "Hashes")
        },
    },
    "settings": {
        "evmVersion": "cancun",
        "optimizer": {"enabled": True, "runs": 200},
        "metadata": {"bytecodeHash": "none", "appendCBOR": False},
        "outputSelection": {"*": {"*": ["evm.bytecode.object"]}},
    },
}


def bytecode(command: tuple[str, ...]) -> bytes:
    run = subprocess.run(
        [*command, "--standard-json"], input=json.dumps(INPUT), capture_output=True, text=True, check=True
    )
    output = json.loads(run.stdout)
    assert not [error for error in output.get("errors", []) if error["severity"] == "error"], output["errors"]
    return bytes.fromhex(output["contracts"]["Sample.sol"]["Sample"]["evm"]["bytecode"]["object"])


@pytest.mark.parametrize("command", [(str(INSTALLED),), NPM], ids=["installed", "npm"])
def test_bytecode__from_the_installed_and_the_npm_compiler__then_it_is_the_same(command: tuple[str, ...]) -> None:
    assert keccak(bytecode(command)).hex() == BYTECODE_HASH


def test_version__of_the_installed_compiler__then_it_is_the_pinned_one() -> None:
    run = subprocess.run([str(INSTALLED), "--version"], capture_output=True, text=True, check=True)
    assert "Version: 0.8.30+commit.73712a01" in run.stdout


def test_shim__when_its_output_meets_a_full_pipe__then_nothing_is_lost() -> None:
    """The output is read only after the compiler has filled the pipe many times over."""
    wide = json.loads(json.dumps(INPUT))
    wide["settings"]["outputSelection"] = {"*": {"*": ["*"], "": ["ast"]}}
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    with subprocess.Popen([*NPM, "--standard-json"], stdin=subprocess.PIPE, stdout=write_end, text=True) as process:
        os.close(write_end)
        assert process.stdin is not None
        process.stdin.write(json.dumps(wide))
        process.stdin.close()
        with os.fdopen(read_end, encoding="utf-8") as pipe:
            text = pipe.read()
    assert process.returncode == 0
    assert len(text) > 2**17
    assert "Sample" in json.loads(text)["contracts"]["Sample.sol"]
