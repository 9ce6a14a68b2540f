"""What an engine has done, and how fast it is lately."""

from __future__ import annotations

from dataclasses import dataclass

from oracle.serving.host import Host
from oracle.serving.tiers import Tally
from oracle.serving.types import Counters

# Of the speed reckoned so far, what one step replaces.
FORGETTING = 0.1
SOONEST_S, LATEST_S = 0.1, 60.0


@dataclass(slots=True)
class EngineTally:
    """Counts since the start; `speed` is in tokens per second, prompts and answers alike."""

    steps: int = 0
    seconds: float = 0.0
    prompt: int = 0
    generated: int = 0
    submitted: int = 0
    refused: int = 0
    finished: int = 0
    failed: int = 0
    speed: float = 0.0

    def step(self, tokens: int, seconds: float) -> None:
        seconds = max(seconds, 1e-9)
        self.steps += 1
        self.seconds += seconds
        self.speed += (tokens / seconds - self.speed) * (FORGETTING if self.speed else 1.0)

    def seconds_for(self, tokens: float) -> float:
        """When so much work should be done: what "retry in N s" says."""
        return min(max(tokens / self.speed, SOONEST_S), LATEST_S) if self.speed else 1.0

    def counters(self, tiers: Tally, host: Host, running: int, waiting: int) -> Counters:
        return Counters(
            steps=self.steps, step_seconds=self.seconds, prompt_tokens=self.prompt, generated_tokens=self.generated,
            submitted=self.submitted, refused=self.refused, finished=self.finished, failed=self.failed,
            running=running, waiting=waiting, slot_hits=tiers.hits, slot_misses=tiers.misses, host_hits=host.hits,
            host_misses=host.misses, loads=tiers.loads, load_failures=tiers.failures, evictions=tiers.evictions,
            bytes_loaded=tiers.bytes, load_seconds=tiers.seconds,
        )  # fmt: skip
