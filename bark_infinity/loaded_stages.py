"""The models that are in memory now: all of them, or only the one at work when offloading."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from bark_infinity.bark_config import GPTConfig
from bark_infinity.checkpoints.checkpoint import Checkpoint, WeightStage
from bark_infinity.codec.codec import Codec
from bark_infinity.memory import MemoryPlan
from bark_infinity.stages.model import CausalGPT, FineGPT, State


class LoadedStages:
    """Loads a stage's model when it is asked for, and keeps it as long as the plan allows.

    Offloading from an accelerator keeps the tensors in the machine's memory; offloading on a CPU saves that very
    memory, so a stage is read from disk again.
    """

    def __init__(self, checkpoint: Checkpoint, plan: MemoryPlan) -> None:
        self._checkpoint, self._plan = checkpoint, plan
        self._causals: dict[str, CausalGPT] = {}
        self._fine: FineGPT | None = None
        self._codec: Codec | None = None
        self._offloaded: dict[WeightStage, State] = {}

    def load_all(self) -> None:
        """Loads the three GPTs, so that a damaged file is found now and not in the middle of a run."""
        self.semantic()
        self.coarse()
        self.fine()

    def drop(self) -> None:
        """Forgets everything that is loaded."""
        self._causals, self._fine, self._codec, self._offloaded = {}, None, None, {}

    def semantic(self) -> CausalGPT:
        """Stage 1; its one head ends with the end of the utterance."""
        stage = self._checkpoint.config.semantic
        heads = [[*range(stage.semantic_vocab_size), stage.eos_token_id]]
        return self._causal("semantic", self._checkpoint.config.semantic_gpt, heads)

    def coarse(self) -> CausalGPT:
        """Stage 2; one head per coarse codebook."""
        config = self._checkpoint.config
        first, size = config.semantic.semantic_vocab_size, config.codebook_size
        heads = [range(first + c * size, first + (c + 1) * size) for c in range(config.coarse.n_coarse_codebooks)]
        return self._causal("coarse", config.coarse_gpt, heads)

    def fine(self) -> FineGPT:
        """Stage 3."""
        if self._fine is None:
            state = self._state("fine")
            config = self._checkpoint.config
            self._fine = FineGPT(config.fine_gpt, state, config.codebook_size, self._plan.device, self._plan.dtype)
        return self._fine

    def codec(self) -> Codec:
        """Stage 4; small beside the GPTs, so it stays once it is there."""
        if self._codec is None:
            self._codec = Codec.from_checkpoint(self._checkpoint, device=self._plan.device)
        return self._codec

    def _causal(
        self, stage: Literal["semantic", "coarse"], gpt: GPTConfig, heads: Sequence[Sequence[int]]
    ) -> CausalGPT:
        if stage not in self._causals:
            state = self._state(stage)
            self._causals[stage] = CausalGPT(gpt, state, heads, self._plan.device, self._plan.dtype)
        return self._causals[stage]

    def _state(self, stage: WeightStage) -> State:
        """A stage's tensors; when offloading, the stage that was at work makes room first."""
        if not self._plan.offload:
            return self._checkpoint.load_stage(stage)
        self._causals, self._fine = {}, None
        if self._plan.device.type == "cpu":
            return self._checkpoint.load_stage(stage)
        if stage not in self._offloaded:
            self._offloaded[stage] = self._checkpoint.load_stage(stage)
        return self._offloaded[stage]
