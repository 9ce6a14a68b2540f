"""The process that encodes for those who have no torch: texts come in, vectors go out, until its input ends."""

from __future__ import annotations

import os
import sys

import numpy as np
import orjson

from oracle.errors import OpenLedgerError
from oracle.retrieval.encoding import Here, receive, send


def main() -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no answer
    encoder = Here(sys.argv[1])
    while True:
        try:
            texts = orjson.loads(receive(sys.stdin.buffer))
        except EOFError:
            return
        try:
            made = np.ascontiguousarray(encoder.encode(texts))
            head, body = {"shape": list(made.shape)}, made.tobytes()
        except OpenLedgerError as error:
            send(answers, orjson.dumps({"fault": str(error)}))
            send(answers, b"")
            continue
        send(answers, orjson.dumps(head))
        send(answers, body)


if __name__ == "__main__":
    main()
