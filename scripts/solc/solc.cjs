#!/usr/bin/env node
// The Solidity compiler from npm behind the command line of the native one, as far as py-solc-x, Brownie, Forge,
// crytic-compile and Halmos use it: `--version` and `--standard-json`. Same compiler, same bytecode; slower to start.
"use strict";
const fs = require("node:fs");
const path = require("node:path");

const root = path.resolve(__dirname, "..", "..");
const args = process.argv.slice(2);

// Results above 64 KiB meet a full pipe: a synchronous write then fails with EAGAIN and has to be tried again.
function writeFully(fd, text) {
  const bytes = Buffer.from(text, "utf8");
  for (let offset = 0; offset < bytes.length; ) {
    try {
      offset += fs.writeSync(fd, bytes, offset, bytes.length - offset);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

function valueOf(flag) {
  const at = args.indexOf(flag);
  return at >= 0 ? args[at + 1] : undefined;
}

function readImport(name) {
  const candidates = [path.resolve(valueOf("--base-path") ?? process.cwd(), name), path.resolve(root, name)];
  if (name.startsWith("@openzeppelin/") || name.startsWith("solady/")) {
    candidates.unshift(path.join(root, "node_modules", name));
  }
  const found = candidates.find((file) => fs.existsSync(file));
  return found ? { contents: fs.readFileSync(found, "utf8") } : { error: `${name}: no such file` };
}

if (args.includes("--version")) {
  const { version } = require(path.join(root, "node_modules", "solc", "package.json"));
  const full = require(path.join(root, "node_modules", "solc")).version().replace(/\.Emscripten\.clang$/, ".Emscripten.clang");
  writeFully(1, `solc, the solidity compiler commandline interface\nVersion: ${full}\n`);
  process.exit(full.startsWith(version) ? 0 : 1);
}

if (!args.includes("--standard-json")) {
  writeFully(2, "This compiler answers --version and --standard-json; for anything else install the native solc.\n");
  process.exit(2);
}

const given = args.filter((arg, i) => !arg.startsWith("-") && !["--base-path", "--allow-paths", "--include-path"].includes(args[i - 1]));
const input = fs.readFileSync(given[0] ?? 0, "utf8");
const solc = require(path.join(root, "node_modules", "solc"));
writeFully(1, solc.compile(input, { import: readImport }) + "\n");
