"""generate_music, end to end with the tiny checkpoint."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
import soundfile
import torch

from acestep.handler import AceStepHandler
from acestep.inference import GenerationConfig, GenerationParams, GenerationResult, generate_music
from acestep.llm_inference import LLMHandler

CAPTION = "a calm piano piece with warm pads"
LYRICS = "[Verse]\nhello world\nwe sing all day"
PLAIN = GenerationParams(caption=CAPTION, lyrics=LYRICS, duration=10, thinking=False)
THINKING = GenerationParams(caption=CAPTION, lyrics=LYRICS, duration=10, thinking=True)


def generate(
    handler: AceStepHandler,
    planner: LLMHandler | None = None,
    params: GenerationParams = PLAIN,
    save_dir: Path | None = None,
    **config: Any,
) -> GenerationResult:
    settings = {"batch_size": 1, "use_random_seed": False, "seeds": [7]} | config
    return generate_music(
        handler,
        planner,
        dataclasses.replace(params),
        GenerationConfig(**settings),
        save_dir=None if save_dir is None else str(save_dir),
    )


def tensors(result: GenerationResult) -> list[torch.Tensor]:
    assert result.success, result.error
    return [audio["tensor"] for audio in result.audios]


def test_audio_without_planner(handler: AceStepHandler, tmp_path: Path) -> None:
    result = generate(handler, save_dir=tmp_path)
    (audio,) = result.audios
    assert result.success, result.error
    assert audio["tensor"].shape == (2, 480_000)
    assert audio["tensor"].abs().max() == pytest.approx(10 ** (-1 / 20), rel=1e-4)
    assert audio["sample_rate"] == 48_000
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", audio["key"])
    assert audio["params"]["seed"] == 7
    assert Path(audio["path"]) == tmp_path / f"{audio['key']}.flac"
    assert soundfile.info(audio["path"]).duration == 10
    extra = result.extra_outputs
    assert extra["counts"]["dit_calls"] == 8
    assert extra["pred_latents"].shape == extra["target_latents"].shape == extra["src_latents"].shape == (1, 250, 64)
    assert extra["chunk_masks"].eq(1).all()
    assert extra["latent_masks"].tolist() == [[True] * 250]
    assert extra["spans"] == [("full", 0, 250)]
    assert "No planner" in result.status_message


def test_audio_with_planner(handler: AceStepHandler, planner: LLMHandler) -> None:
    params = dataclasses.replace(THINKING)
    config = GenerationConfig(batch_size=2, use_random_seed=False, seeds=[1, 2])
    result = generate_music(handler, planner, params, config)
    assert result.success, result.error
    counts = result.extra_outputs["counts"]
    assert counts["lm_code_tokens"] == 2 * 5 * 10
    assert counts["lm_cot_tokens"] > 0
    codes = [audio["params"]["audio_codes"] for audio in result.audios]
    assert codes[0] != codes[1]
    assert all(len(re.findall(r"<\|audio_code_\d+\|>", text)) == 50 for text in codes)
    assert params.cot_bpm is not None
    assert 30 <= params.cot_bpm <= 300
    assert params.cot_caption
    assert result.extra_outputs["lm_metadata"]["duration"] == 10


def test_each_item_depends_on_its_own_seed_alone(handler: AceStepHandler, planner: LLMHandler) -> None:
    for params in (PLAIN, THINKING):
        pair = tensors(generate(handler, planner, params, batch_size=2, seeds=[7, 8]))
        torch.testing.assert_close(pair[0], tensors(generate(handler, planner, params))[0], atol=1e-4, rtol=0)
        again = tensors(generate(handler, planner, params, batch_size=2, seeds=[7, 9]))
        torch.testing.assert_close(pair[0], again[0], atol=1e-4, rtol=0)
        assert (pair[1] - again[1]).abs().max() > 0.1


@pytest.mark.parametrize("batch", [3, 8])
def test_batches(handler: AceStepHandler, planner: LLMHandler, batch: int) -> None:
    result = generate(handler, planner, THINKING, batch_size=batch, seeds=5, lm_batch_chunk_size=3)
    assert len(tensors(result)) == batch
    assert [audio["params"]["seed"] for audio in result.audios] == list(range(5, 5 + batch))
    assert result.extra_outputs["seed_value"] == ",".join(map(str, range(5, 5 + batch)))
    assert len({audio["key"] for audio in result.audios}) == batch


def test_chunks_of_the_planner_share_one_chain_of_thought(handler: AceStepHandler, planner: LLMHandler) -> None:
    params = dataclasses.replace(THINKING, caption="short", inference_steps=1)
    together = generate(handler, planner, params, batch_size=3, seeds=5)
    apart = generate(handler, planner, params, batch_size=3, seeds=5, lm_batch_chunk_size=1)
    assert apart.extra_outputs["lm_metadata"] == together.extra_outputs["lm_metadata"]
    counts = apart.extra_outputs["counts"]
    assert counts["lm_cot_tokens"] == together.extra_outputs["counts"]["lm_cot_tokens"]
    for one, other in zip(apart.audios, together.audios, strict=True):
        assert one["params"]["audio_codes"] == other["params"]["audio_codes"]


def test_the_same_seed_twice_makes_two_files(handler: AceStepHandler, tmp_path: Path) -> None:
    result = generate(handler, save_dir=tmp_path, batch_size=2, seeds=[3, 3])
    assert len({audio["path"] for audio in result.audios}) == 2
    assert all(Path(audio["path"]).is_file() for audio in result.audios)


def test_seeds_are_drawn_when_asked(handler: AceStepHandler) -> None:
    first, second = (generate(handler, use_random_seed=True).audios[0]["params"]["seed"] for _ in range(2))
    assert first != second
    assert first != 7


def test_params_seed_counts_when_config_names_none(handler: AceStepHandler) -> None:
    params = dataclasses.replace(PLAIN, seed=7)
    assert torch.equal(tensors(generate(handler, params=params, seeds=None))[0], tensors(generate(handler))[0])


STAGES = (
    "text_encode_time_cost",
    "dit_encoder_time_cost",
    "code_decode_time_cost",
    "dit_diffusion_time_cost",
    "dit_vae_decode_time_cost",
    "post_process_time_cost",
    "audio_save_time_cost",
)
LM_PARTS = ("lm_token_generation_time", "lm_constrained_decoding_time", "lm_cfg_time")


def sums_of(costs: dict[str, Any], wall: float) -> dict[str, float]:
    """Every sum of parts as a share of what it is the sum of."""
    whole = sum(costs[stage] for stage in STAGES) + costs.get("lm_total_time", 0) + costs["other_time_cost"]
    sums = {
        "stages": whole / wall,
        "pipeline_total_time": costs["pipeline_total_time"] / wall,
        "steps": sum(costs["dit_step_time_costs"]) / costs["dit_diffusion_time_cost"],
        "all but other": 1 - costs["other_time_cost"] / wall,
    }
    if "lm_total_time" in costs:
        sums["parts of the planner"] = sum(costs[part] for part in LM_PARTS) / costs["lm_total_time"]
        sums["phases"] = (costs["lm_phase1_time"] + costs["lm_phase2_time"]) / costs["lm_total_time"]
    return sums


@pytest.mark.parametrize("thinking", [False, True])
def test_stages_add_up_to_the_wall_time(
    handler: AceStepHandler, planner: LLMHandler, tmp_path: Path, thinking: bool
) -> None:
    params = dataclasses.replace(THINKING if thinking else PLAIN, duration=30)
    if not thinking:
        params = dataclasses.replace(params, use_cot_metas=False, use_cot_caption=False, use_cot_language=False)
    seen = []
    for _ in range(3):  # another program may take the processor between two stages, but not in every run
        start = perf_counter()
        result = generate(handler, planner, params, tmp_path)
        wall = perf_counter() - start
        costs = result.extra_outputs["time_costs"]
        assert ("lm_total_time" in costs) == thinking
        assert all(costs[stage] > 0 for stage in (*STAGES, *(LM_PARTS if thinking else ())))
        assert len(costs["dit_step_time_costs"]) == 8
        seen.append(sums_of(costs, wall))
    closest = {name: min((sums[name] for sums in seen), key=lambda share: abs(share - 1)) for name in seen[0]}
    loose = {"steps": 0.1, "all but other": 0.1}
    assert {name: share for name, share in closest.items() if abs(share - 1) > loose.get(name, 0.02)} == {}


def test_turbo_limits_steps_and_says_so(handler: AceStepHandler) -> None:
    result = generate(handler, params=dataclasses.replace(PLAIN, inference_steps=16))
    assert result.extra_outputs["counts"]["steps"] == 8
    assert "inference_steps=16 was limited to 8" in result.status_message
    explicit = dataclasses.replace(PLAIN, timesteps=[1 - i / 16 for i in range(16)])
    assert generate(handler, params=explicit).extra_outputs["counts"]["steps"] == 16


def test_every_option_changes_the_output(handler: AceStepHandler) -> None:
    plain = tensors(generate(handler))[0]
    changes: list[dict[str, Any]] = [
        {"caption": "loud metal"},
        {"lyrics": "[Instrumental]"},
        {"vocal_language": "fr"},
        {"bpm": 90},
        {"keyscale": "C major"},
        {"timesignature": "3"},
        {"instruction": "Another instruction:"},
        {"shift": 3.0},
        {"inference_steps": 4},
        {"timesteps": [1.0, 0.5]},
        {"dcw_enabled": False},
        {"dcw_mode": "low"},
        {"dcw_scaler": 0.5},
        {"dcw_high_scaler": 0.5},
        {"latent_shift": 0.1},
        {"latent_rescale": 0.5},
        {"enable_normalization": False},
        {"normalization_db": -6.0},
        {"fade_in_duration": 1.0},
        {"fade_out_duration": 1.0},
        {"audio_codes": "<|audio_code_1|>" * 50},
    ]
    for change in changes:
        changed = tensors(generate(handler, params=dataclasses.replace(PLAIN, **change)))[0]
        assert not torch.allclose(changed, plain, atol=1e-6), change


def test_codes_given_by_the_caller_set_the_length(handler: AceStepHandler, planner: LLMHandler) -> None:
    params = dataclasses.replace(THINKING, audio_codes="<|audio_code_9|>" * 60)
    result = generate(handler, planner, params)
    assert tensors(result)[0].shape == (2, 12 * 48_000)
    assert result.extra_outputs["counts"].get("lm_code_tokens", 0) == 0


def test_length_left_open(handler: AceStepHandler) -> None:
    params = dataclasses.replace(PLAIN, duration=-1, inference_steps=1)
    assert tensors(generate(handler, params=params))[0].shape == (2, 120 * 48_000)


def test_failures_are_returned(handler: AceStepHandler) -> None:
    result = generate(handler, params=dataclasses.replace(PLAIN, bpm=1000))
    assert not result.success
    assert result.error == "bpm is 1000, expected a whole number from 30 to 300."
    assert result.audios == []
    thinking = generate(handler, params=THINKING)
    assert thinking.error is not None
    assert "thinking=True needs a planner" in thinking.error
    assert "LLM not initialized" in thinking.error
    assert generate(AceStepHandler()).error == "Model not fully initialized"


def test_latents_that_are_not_finite(handler: AceStepHandler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(handler.model._buffers, "silence_latent", torch.full((1, 750, 64), torch.nan))
    result = generate(handler)
    assert result.error is not None
    assert result.error.startswith("Stage condition_encode made NaN or infinite numbers: the checkpoint is damaged")


def test_audio_that_cannot_be_saved_is_not_lost(handler: AceStepHandler, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    result = generate(handler, save_dir=blocked / "folder")
    assert not result.success
    assert result.error is not None
    assert "made but not saved" in result.error
    assert result.audios[0]["tensor"].shape == (2, 480_000)
    assert result.audios[0]["path"] == ""


def test_progress_runs_from_the_planner_to_the_end(handler: AceStepHandler, planner: LLMHandler) -> None:
    seen: list[tuple[float, str]] = []
    config = GenerationConfig(batch_size=1)
    generate_music(
        handler,
        planner,
        dataclasses.replace(THINKING),
        config,
        progress=lambda value, desc="": seen.append((value, desc)),
    )
    values = [value for value, _ in seen]
    assert values == sorted(values)
    assert values[0] <= 0.1
    assert values[-1] == 0.99
    assert any("8/8" in text for _, text in seen)
    assert (0.8, "Decoding audio...") in seen


def test_result_as_plain_data_is_a_copy(handler: AceStepHandler) -> None:
    result = generate(handler)
    copied = result.to_dict()
    copied["audios"][0]["tensor"].zero_()
    assert result.audios[0]["tensor"].abs().max() > 0
