"""``time_costs``: how the wall time of one `generate_music` call divides into stages, in seconds, by public key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from acestep.timing.clock import Clock

LM_PARTS = ("lm_token_generation_time", "lm_constrained_decoding_time", "lm_cfg_time")
"""Keys of the disjoint parts of `lm_total_time`."""

_STAGE_KEYS = {
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
"""The public key of each stage of the clock."""


def time_costs(clock: Clock, planner: Mapping[str, float], wall_s: float) -> dict[str, Any]:
    """Return the stages, which are disjoint and add up to *wall_s* with ``other_time_cost``, and their sums and parts.

    Args:
        clock: has timed the synthesizer's stages.
        planner: the ``lm_*`` times; empty if the planner did not run.
        wall_s: seconds of the whole call.
    """
    stages = {key: clock.seconds(stage) for stage, key in _STAGE_KEYS.items()}
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
