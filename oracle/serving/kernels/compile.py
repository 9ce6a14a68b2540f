"""Compiles the CPU kernels on first use, in seconds, with whatever C++ compiler is there, and keeps the result.

Nothing compiles when the package is installed, and a machine without a compiler uses the PyTorch kernels instead. The
point of C++ here: no PyTorch operator multiplies a float32 row with bf16 weights without first writing the weights out
as float32, which is three times the memory traffic that bounds a decoding step.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("native.cpp")
HEADERS = ("adapters.h", "paged.h", "vectors.h")
# GCC fuses multiplication and addition only when told so under a standard's name. The order of sums stays as written.
FLAGS = ("-O3", "-march=native", "-std=c++17", "-ffp-contract=fast", "-fopenmp", "-shared", "-fPIC", "-Wno-psabi")


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels; None where there is no compiler, or it cannot compile them."""
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if not compiler:
        return None
    try:
        file = _cache() / f"kernels-{_key(compiler)}.so"
        if not file.exists():
            unfinished = file.with_suffix(f".{os.getpid()}")
            subprocess.run([compiler, *FLAGS, str(SOURCE), "-o", str(unfinished)], check=True, capture_output=True)
            unfinished.replace(file)
        return ctypes.CDLL(str(file))
    except (OSError, subprocess.CalledProcessError):
        return None


def _cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(root) if root else Path.home() / ".cache") / "openledger"
    try:
        # Nobody else may write what this process will run.
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="openledger-"))
    return folder


def _key(compiler: str) -> str:
    """What the result depends on: sources, flags, compiler, and the processor that -march=native stands for."""
    version = subprocess.run([compiler, "--version"], check=True, capture_output=True).stdout
    sources = (SOURCE.with_name(name).read_bytes() for name in (SOURCE.name, *HEADERS))
    parts = (*sources, " ".join(FLAGS).encode(), version, _processor().encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    if described.exists():
        for line in described.read_text(encoding="utf-8").splitlines():
            if line.startswith(("flags", "Features")):
                return line
    return platform.machine() + platform.processor()
