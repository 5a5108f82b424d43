"""``time_costs``: where the wall time of one `generate_music` call went, in seconds, under its public keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from acestep.timing.clock import Clock

LM_PARTS = ("lm_token_generation_time", "lm_constrained_decoding_time", "lm_cfg_time")
"""What `lm_total_time` is made of."""

_STAGES = {
    "audio_load": "audio_load_time_cost",
    "text_encode": "text_encode_time_cost",
    "reference_encode": "reference_encode_time_cost",
    "source_encode": "source_encode_time_cost",
    "condition_encode": "dit_encoder_time_cost",
    "code_decode": "code_decode_time_cost",
    "diffusion": "dit_diffusion_time_cost",
    "vae_decode": "dit_vae_decode_time_cost",
    "transfer": "dit_offload_time_cost",
    "post_process": "post_process_time_cost",
    "audio_save": "audio_save_time_cost",
}


def time_costs(clock: Clock, planner: Mapping[str, float], wall_s: float) -> dict[str, Any]:
    """Disjoint stages that add up to *wall_s* (what no stage claims is ``other_time_cost``), their sums and parts.

    Args:
        clock: visits of the synthesizer's stages, see `Synthesizer`.
        planner: ``lm_*`` times, empty if the planner did not run.
        wall_s: seconds of the whole call.
    """
    stages = {key: clock.seconds(stage) for stage, key in _STAGES.items()}
    steps = clock.durations_s.get("dit_step", [])
    diffusion = stages["dit_diffusion_time_cost"]
    return {
        **planner,
        **stages,
        "dit_step_time_costs": list(steps),
        "dit_diffusion_per_step_time_cost": diffusion / len(steps) if steps else 0.0,
        "dit_total_time_cost": stages["dit_encoder_time_cost"] + diffusion,
        "other_time_cost": wall_s - sum(stages.values()) - planner.get("lm_total_time", 0.0),
        "pipeline_total_time": wall_s,
    }
