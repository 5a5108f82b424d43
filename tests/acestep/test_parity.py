"""The synthesizer computes what the reference implementation computes: fp32 within 1e-4, indices equal."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from acestep.handler import AceStepHandler
from acestep.sampling.dcw import DCW
from acestep.sampling.noise import seeded_noise
from acestep.sampling.sample import sample
from acestep.sampling.schedules import turbo_schedule
from acestep.timing.clock import Clock
from tests.conftest import GOLDEN

TOLERANCE = 1e-4
CONDITIONS = (
    "text_hidden_states",
    "text_attention_mask",
    "lyric_hidden_states",
    "lyric_attention_mask",
    "refer_audio_acoustic_hidden_states_packed",
    "refer_audio_order_mask",
)
CALLS: dict[str, dict[str, dict[str, Any]]] = json.loads((GOLDEN / "turbo" / "index.json").read_text())[
    "generate_calls"
]
PIPELINE: dict[str, dict[str, Any]] = json.loads((GOLDEN / "pipeline" / "index.json").read_text())["cases"]


def assert_close(ours: Tensor, reference: Tensor) -> None:
    assert ours.shape == reference.shape
    torch.testing.assert_close(ours, reference, atol=TOLERANCE, rtol=0)


Case = tuple[dict[str, Tensor], dict[str, Tensor]]


def load_case(name: str) -> Case:
    folder = GOLDEN / "turbo"
    return load_file(folder / f"{name}_inputs.safetensors"), load_file(folder / f"{name}_outputs.safetensors")


@pytest.fixture(scope="module", params=["case0", "case1"])
def case(request: pytest.FixtureRequest) -> Case:
    return load_case(request.param)


@torch.inference_mode()
def test_condition_encoder(golden_handler: AceStepHandler, case: Case) -> None:
    inputs, outputs = case
    states, mask = golden_handler.model.encoder(*(inputs[name] for name in CONDITIONS))
    assert_close(states, outputs["encoder.encoder_hidden_states"])
    assert torch.equal(mask, outputs["encoder.encoder_attention_mask"])


@torch.inference_mode()
def test_tokenizer_and_detokenizer(golden_handler: AceStepHandler, case: Case) -> None:
    inputs, outputs = case
    model = golden_handler.model
    quantized, indices = model.tokenizer.tokenize(inputs["src_latents"], inputs["silence_latent"])
    assert_close(quantized, outputs["tokenize.quantized"])
    assert torch.equal(indices.int(), outputs["tokenize.indices"])
    assert_close(model.detokenizer(quantized), outputs["detokenize.hidden_states"])


def test_audio_codes_become_latents(golden_handler: AceStepHandler, case: Case) -> None:
    _, outputs = case
    codes = outputs["codes.indices"].tolist()
    shorter = codes[:4]
    latents = golden_handler.decode_codes([codes, shorter, [], codes])
    assert_close(latents[0].unsqueeze(0), outputs["codes.latents_25Hz"])
    assert_close(latents[1], latents[0][:20])
    assert latents[2].shape == (0, 64)
    assert_close(latents[3], latents[0])


@torch.inference_mode()
def test_diffusion_transformer(golden_handler: AceStepHandler, case: Case) -> None:
    inputs, outputs = case
    condition = outputs["encoder.encoder_hidden_states"]
    context = outputs["prepare_condition.context_latents"]
    decoder = golden_handler.model.decoder
    velocity = decoder(inputs["xt"], inputs["timestep"], inputs["timestep_r"], condition, context).sample
    assert_close(velocity, outputs["decoder.velocity"])
    velocity = decoder(inputs["xt"], inputs["timestep"], inputs["timestep"], condition, context).sample
    assert_close(velocity, outputs["decoder.velocity_t_eq_r"])


def test_noise_of_each_seed(case: Case) -> None:
    inputs, outputs = case
    noise = seeded_noise([1, 2], inputs["xt"].shape[1], 64, device="cpu", dtype=torch.float32)
    assert torch.equal(noise, outputs["noise.seeds_1_2"])


@pytest.mark.parametrize(("name", "call"), [(name, call) for name, calls in CALLS.items() for call in calls])
def test_final_latents(golden_handler: AceStepHandler, name: str, call: str) -> None:
    _, outputs = load_case(name)
    arguments = CALLS[name][call]
    context = outputs[f"prepare_condition{'_hints' if call == 'lm_hints' else ''}.context_latents"]
    correction = None
    if arguments.get("dcw_enabled", True):
        correction = DCW(arguments.get("dcw_mode", "double"), arguments.get("dcw_scaler", 0.05))
    schedule = turbo_schedule(arguments.get("infer_steps", 8), arguments.get("shift", 3.0), arguments.get("timesteps"))
    condition = outputs["encoder.encoder_hidden_states"]
    latents = golden_handler.diffuse(condition, context, arguments["seed"], schedule, correction)
    assert_close(latents, outputs[f"generate.{call}"])


def test_vae_whole_and_tiled(golden_handler: AceStepHandler) -> None:
    latents = load_file(GOLDEN / "vae" / "inputs.safetensors")
    outputs = load_file(GOLDEN / "vae" / "outputs.safetensors")
    short = golden_handler.decode_latents(latents["latents_short"].transpose(1, 2))
    assert_close(short, outputs["decode.latents_short"])
    whole = golden_handler.decode_latents(latents["latents_long"].transpose(1, 2), tiled=False)
    assert_close(whole[..., 52000:60000], outputs["decode.latents_long_part"])
    windows = golden_handler.decode_latents(latents["latents_long"].transpose(1, 2), window_frames=16)
    assert_close(windows, whole)
    assert_close(windows[..., 52000:60000], outputs["tiled_decode.chunk32_overlap8_part"])


@pytest.mark.parametrize("name", PIPELINE)
def test_prompts_to_audio(golden_handler: AceStepHandler, name: str) -> None:
    outputs = load_file(GOLDEN / "pipeline" / "outputs.safetensors")
    result = golden_handler.generate_music(**PIPELINE[name])
    assert result["success"], result["error"]
    extra = result["extra_outputs"]
    assert torch.equal(extra["lyric_token_idss"], outputs[f"{name}.lyric_token_ids"])
    assert_close(extra["pred_latents"], outputs[f"{name}.target_latents"])
    audio = torch.stack([item["tensor"] for item in result["audios"]])
    assert_close(audio[..., :4800], outputs[f"{name}.handler_audio_head"])
    assert_close(audio[..., -4800:], outputs[f"{name}.wav_tail"])


def test_each_step_is_a_visit_of_the_clock() -> None:
    clock = Clock()
    noise = torch.ones(1, 4, 64)
    latents = sample(lambda x, _t: x, noise, [1.0, 0.5], correction=None, clock=clock)
    assert torch.equal(latents, noise * 0.5 * 0.5)
    assert len(clock.durations_s["dit_step"]) == 2
