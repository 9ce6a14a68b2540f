"""Other libraries on the same run, in an environment of their own. They see the final adapter alone.

    uv venv PEERS --python 3.11
    uv pip install --python PEERS -r requirements/peers.txt        # torch, transformers, peft, and what they need
    uv pip install --python PEERS --no-deps kronfluence==1.0.1 bergson==2.5.1 dattri==0.3.0 traker==0.3.2
    PEERS/bin/python scripts/bench/attribution.py --peers

Each is asked as its own examples ask it, with the settings that are written here; none was tuned by what came out.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import chdir
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path

import torch

from attribution_jobs import attributed, peer_libraries
from attribution_jobs.batched import Base
from attribution_jobs.figures import Array
from attribution_jobs.instance import Instance, Recipe
from attribution_jobs.peer_libraries import Subject

Method = Callable[[Subject, Path], Array]
KNOWN: dict[str, tuple[str, Method]] = {
    "kronfluence EK-FAC": ("kronfluence", peer_libraries.kronfluence),
    "bergson EK-FAC": ("bergson", peer_libraries.bergson),
    "dattri LoGra": ("dattri", peer_libraries.logra),
    "dattri FactGraSS": ("dattri", peer_libraries.factgrass),
    "traker": ("trak", peer_libraries.traker),
}


def scores(instance: Instance, recipe: Recipe, seed: int) -> tuple[dict[str, Array], dict[str, float]]:
    """queries × rows, by method; and the processor's seconds that each took. One that fails says why, and the others
    go on."""
    here = {name: method for name, (module, method) in KNOWN.items() if find_spec(module) is not None}
    if not here:
        raise SystemExit("no other library is installed; see the head of attribution_jobs/peers.py")
    start = Base(instance.base, torch.float32).fresh(recipe, seed)
    found: dict[str, Array] = {}
    seconds: dict[str, float] = {}
    model = attributed.train(instance, recipe, start, seed, None).model.eval()
    rows, queries = attributed.rows_of(instance), attributed.queries_of(instance)
    wanted = [queries[i] for i in instance.asked]
    for name, method in here.items():
        subject = Subject(deepcopy(model), instance.base.resolve(), rows, wanted)  # hooks and wrappers stay in the copy
        began = time.process_time()
        try:
            # Some write what they need where they stand, and leave it there.
            with tempfile.TemporaryDirectory() as folder, chdir(folder):
                found[name] = method(subject, Path(folder))
        except Exception as error:  # whatever another library raises
            print(f"{name} failed: {type(error).__name__}: {error}", file=sys.stderr)
            continue
        seconds[f"{name.lower().replace(' ', '_').replace('-', '')}_seconds"] = time.process_time() - began
        assert found[name].shape == (len(subject.wanted), len(subject.rows))
    return found, seconds
