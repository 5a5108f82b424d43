"""Every task, end to end with the tiny base model: what it makes depends on source, window, reference and track."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from acestep.audio import read
from acestep.checkpoints.variants import TURBO, VARIANTS, variant_named
from acestep.handler import AceStepHandler
from acestep.inference import GenerationConfig, GenerationParams, GenerationResult, generate_music
from acestep.llm_inference import LLMHandler
from acestep.planner.codes import parse_codes
from acestep.synthetic import cached
from acestep.tasks.task_types import SHARED_TASKS, TASKS
from acestep.text.prompts import generate_instruction

RATE = 48_000
SOURCE_S = 2.0
WINDOW = {"repainting_start": 0.8, "repainting_end": 1.2}
INSIDE, BEFORE, AFTER = slice(20, 30), slice(0, 20), slice(30, 50)
CODES = "".join(f"<|audio_code_{97 * i}|>" for i in range(26))


@pytest.fixture(scope="module")
def base() -> Iterator[AceStepHandler]:
    """The tiny base model. It encodes each waveform once, for the encoder is as wide as the released one."""
    handler = AceStepHandler()
    known: dict[bytes, Tensor] = {}
    encode = handler.encode_audio

    def remembered(waveform: Tensor) -> Tensor:
        key = waveform.numpy().tobytes()
        if key not in known:
            known[key] = encode(waveform)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACESTEP_CHECKPOINTS_DIR", str(cached("tiny", dits=[variant.name for variant in VARIANTS])))
        patch.setattr(handler, "encode_audio", remembered)
        patch.setattr(read, "TIMBRE_SAMPLES", RATE)
        status, ok = handler.initialize_service(None, "acestep-v15-base", device="cpu")
        assert ok, status
        yield handler


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files: a ``source``, ``other`` like it but in the middle of the window, and ``foreign``."""
    folder = tmp_path_factory.mktemp("audio")
    time = np.arange(round(SOURCE_S * RATE)) / RATE
    source = 0.4 * np.sin(2 * np.pi * 330 * time) * (1 + 0.5 * np.sin(2 * np.pi * 3 * time))
    other = source + 0.3 * np.sin(2 * np.pi * 1900 * time) * ((time > 0.95) & (time < 1.05))
    foreign = 0.3 * np.sign(np.sin(2 * np.pi * 90 * time))
    for name, samples in {"source": source, "other": other, "foreign": foreign}.items():
        soundfile.write(folder / f"{name}.wav", samples, RATE, subtype="FLOAT")
    return {name: str(folder / f"{name}.wav") for name in ("source", "other", "foreign")}


def run(handler: AceStepHandler, planner: LLMHandler | None = None, **wanted: Any) -> GenerationResult:
    settings = {"caption": "calm", "inference_steps": 4, "thinking": False, "enable_normalization": False}
    config = GenerationConfig(batch_size=1, use_random_seed=False, seeds=[7])
    return generate_music(handler, planner, GenerationParams(**(settings | wanted)), config)


def make(handler: AceStepHandler, **wanted: Any) -> dict[str, Any]:
    """What a generation yields, with its first waveform as ``audio`` and its final latents as ``latents``."""
    result = run(handler, **wanted)
    assert result.success, result.error
    extra = result.extra_outputs
    return extra | {"audio": result.audios[0]["tensor"], "latents": extra["pred_latents"][0]}


def source_latents(handler: AceStepHandler, path: str) -> Tensor:
    return handler.encode_audio(handler.process_src_audio(path))


def difference(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max())


@pytest.mark.parametrize("task", TASKS[1:])
def test_the_source_is_heard_and_sets_the_length(base: AceStepHandler, audio: dict[str, str], task: str) -> None:
    window = WINDOW if task in ("repaint", "lego") else {}
    one = run(base, task_type=task, src_audio=audio["source"], duration=30, **window)
    other = run(base, task_type=task, src_audio=audio["foreign"], **window)
    assert one.success, one.error
    assert other.success, other.error
    latents = [result.extra_outputs["pred_latents"] for result in (one, other)]
    assert latents[0].shape == (1, 128, 64)  # the shortest that the models make
    assert difference(*latents) > 1e-2
    assert one.extra_outputs["latent_masks"].all()
    assert "duration=30 has no effect" in one.status_message
    assert "no effect" not in other.status_message


def test_a_cover_hears_what_codes_keep_of_its_source(base: AceStepHandler, audio: dict[str, str]) -> None:
    cover = make(base, task_type="cover", src_audio=audio["source"])
    exact = make(base, task_type="cover-nofsq", src_audio=audio["source"])
    latents = source_latents(base, audio["source"])
    assert torch.equal(cover["src_latents"][0, :50], latents)
    assert torch.equal(exact["context_latents"][0, :50, :64], latents)
    heard = base.coarse_latents(cover["src_latents"])
    torch.testing.assert_close(cover["context_latents"][..., :64], heard)
    assert difference(cover["latents"], exact["latents"]) > 1e-2


def test_codes_of_a_source_take_its_place(base: AceStepHandler, audio: dict[str, str], tmp_path: Path) -> None:
    samples, _ = soundfile.read(audio["source"])
    path = str(tmp_path / "long.wav")
    soundfile.write(path, np.tile(samples, 3)[: round(5.2 * RATE)], RATE, subtype="FLOAT")
    codes = base.convert_src_audio_to_codes(path)
    assert len(parse_codes(codes)) == 26
    request: dict[str, Any] = {"captions": "calm", "lyrics": "la", "task_type": "cover", "batch_size": 1, "seed": 3}
    request |= {"use_random_seed": False, "inference_steps": 3}
    by_source = base.generate_music(**request, src_audio=path)["extra_outputs"]
    by_codes = base.generate_music(**request, audio_code_string=codes, audio_duration=5.2)["extra_outputs"]
    torch.testing.assert_close(by_codes["context_latents"], by_source["context_latents"], atol=1e-4, rtol=0)
    torch.testing.assert_close(by_codes["pred_latents"], by_source["pred_latents"], atol=1e-3, rtol=0)
    assert base.convert_src_audio_to_codes("nowhere.wav").startswith("❌ src_audio is 'nowhere.wav'")


@pytest.mark.parametrize("mode", ["balanced", "conservative"])
def test_repaint_keeps_what_is_outside_its_window(base: AceStepHandler, audio: dict[str, str], mode: str) -> None:
    made = make(base, task_type="repaint", src_audio=audio["source"], repaint_mode=mode, **WINDOW)
    source = base.process_src_audio(audio["source"])
    ramp = round((0.05 if mode == "conservative" else 0.025) * RATE)
    start, end = round(0.8 * RATE), round(1.2 * RATE)
    assert torch.equal(made["audio"][:, : start - ramp], source[:, : start - ramp])
    assert torch.equal(made["audio"][:, end + ramp : len(source[0])], source[:, end + ramp :])
    assert difference(made["audio"][:, start:end], source[:, start:end]) > 0.01
    latents = source_latents(base, audio["source"])
    fade = 25 if mode == "conservative" else 12
    kept = slice(0, max(0, 20 - fade))
    assert torch.equal(made["latents"][kept], latents[kept])
    torch.testing.assert_close(made["latents"][30 + fade : 50], latents[30 + fade :], atol=1e-6, rtol=0)
    assert difference(made["latents"][INSIDE], latents[INSIDE]) > 0.1
    assert made["spans"] == [("repainting", 20, 30)]


def test_aggressive_repaint_keeps_nothing(base: AceStepHandler, audio: dict[str, str]) -> None:
    made = make(base, task_type="repaint", src_audio=audio["source"], repaint_mode="aggressive", **WINDOW)
    assert difference(made["latents"][BEFORE], source_latents(base, audio["source"])[BEFORE]) > 0.1


def test_repaint_forgets_its_window_and_lego_hears_it(base: AceStepHandler, audio: dict[str, str]) -> None:
    one, other = (source_latents(base, audio[name]) for name in ("source", "other"))
    assert torch.equal(one[:10], other[:10])
    assert torch.equal(one[40:], other[40:])
    window = {"repainting_start": 0.4, "repainting_end": 1.6}
    repainted, added = (
        [make(base, task_type=task, src_audio=audio[name], **window) for name in ("source", "other")]
        for task in ("repaint", "lego")
    )
    assert torch.equal(repainted[0]["latents"], repainted[1]["latents"])
    assert difference(added[0]["latents"][INSIDE], added[1]["latents"][INSIDE]) > 1e-2
    source = base.process_src_audio(audio["source"])
    kept = round(0.3 * RATE)
    assert torch.equal(added[0]["audio"][:, :kept], source[:, :kept])


def test_the_window_and_its_mask(base: AceStepHandler, audio: dict[str, str]) -> None:
    request = {"task_type": "repaint", "src_audio": audio["source"]}
    auto = make(base, **request, **WINDOW)
    explicit = make(base, **request, **WINDOW, chunk_mask_mode="explicit")
    assert auto["chunk_masks"].eq(1).all()
    assert explicit["chunk_masks"][0, :, 0].nonzero().flatten().tolist() == list(range(20, 30))
    assert difference(auto["latents"][INSIDE], explicit["latents"][INSIDE]) > 1e-3
    other = make(base, **request, repainting_start=1.0, repainting_end=1.6)
    assert other["spans"] == [("repainting", 25, 40)]
    strict, lax = (make(base, **request, **WINDOW, repaint_strength=strength) for strength in (0.0, 0.9))
    assert difference(strict["latents"][INSIDE], lax["latents"][INSIDE]) > 1e-3


def test_a_window_beyond_the_source_lengthens_it(base: AceStepHandler, audio: dict[str, str]) -> None:
    made = make(base, task_type="repaint", src_audio=audio["source"], repainting_start=-0.4, repainting_end=0.4)
    assert made["spans"] == [("repainting", 0, 20)]
    source = base.process_src_audio(audio["source"])
    offset, kept = round(0.4 * RATE), round(0.5 * RATE)
    end = offset + len(source[0])
    assert torch.equal(made["audio"][:, offset + kept : end], source[:, kept:])


@pytest.mark.parametrize("task", ["lego", "extract"])
def test_the_track_is_told(base: AceStepHandler, audio: dict[str, str], task: str) -> None:
    drums, bass, given = (
        make(base, task_type=task, src_audio=audio["source"], **said)
        for said in (
            {"track_name": "drums"},
            {"track_name": "bass"},
            {"instruction": generate_instruction(task, "bass")},
        )
    )
    assert difference(drums["latents"], bass["latents"]) > 1e-3
    assert torch.equal(bass["latents"], given["latents"])


def test_complete_is_told_its_tracks(base: AceStepHandler, audio: dict[str, str]) -> None:
    one, two = (
        make(base, task_type="complete", src_audio=audio["source"], complete_track_classes=tracks)
        for tracks in (["drums"], ["drums", "bass"])
    )
    assert difference(one["latents"], two["latents"]) > 1e-3
    assert torch.equal(one["context_latents"][0, :50, :64], source_latents(base, audio["source"]))


def test_instructions() -> None:
    assert (
        generate_instruction("lego", "backing_vocals")
        == "Generate the BACKING_VOCALS track based on the audio context:"
    )
    assert generate_instruction("extract") == "Extract the track from the audio:"
    assert generate_instruction("complete", "", ["drums", "bass"]) == "Complete the input track with DRUMS | BASS:"
    assert generate_instruction("repaint") == "Repaint the mask area based on the given conditions:"
    assert AceStepHandler.generate_instruction("complete", None, None) == "Complete the input track:"


def test_a_reference_gives_its_timbre(base: AceStepHandler, audio: dict[str, str]) -> None:
    plain, one, other = (
        make(base, duration=10, reference_audio=path) for path in (None, audio["source"], audio["foreign"])
    )
    assert difference(plain["latents"], one["latents"]) > 1e-3
    assert difference(other["latents"], one["latents"]) > 1e-3
    assert difference(other["encoder_hidden_states"], one["encoder_hidden_states"]) > 1e-3
    assert torch.equal(plain["context_latents"], one["context_latents"])
    assert one["counts"]["encoded_samples"] == RATE


def test_cover_strength_is_the_share_of_steps_that_hear_the_source(base: AceStepHandler, audio: dict[str, str]) -> None:
    def cover(name: str, strength: float) -> Tensor:
        made = make(base, task_type="cover", src_audio=audio[name], audio_cover_strength=strength)
        latents: Tensor = made["latents"]
        return latents

    whole, half, none = (cover("source", strength) for strength in (1.0, 0.5, 0.0))
    assert difference(whole, half) > 1e-3
    assert difference(half, none) > 1e-3
    assert torch.equal(cover("foreign", 0.0), none)
    assert difference(cover("foreign", 0.5), half) > 1e-3


def test_cover_noise_strength_starts_from_the_source(base: AceStepHandler, audio: dict[str, str]) -> None:
    request = {"task_type": "cover-nofsq", "src_audio": audio["source"]}
    far, near = (make(base, **request, cover_noise_strength=strength) for strength in (0.0, 0.75))
    assert (far["counts"]["steps"], near["counts"]["steps"]) == (4, 1)
    latents = source_latents(base, audio["source"])
    assert (near["latents"][:50] - latents).norm() < (far["latents"][:50] - latents).norm()
    alone = run(base, duration=10, cover_noise_strength=0.5)
    assert alone.error == "cover_noise_strength is 0.5, but there is no source audio."


def test_codes_are_a_source_of_repaint(base: AceStepHandler) -> None:
    made = make(base, task_type="repaint", audio_codes=CODES, **WINDOW)
    (latents,) = base.decode_codes([parse_codes(CODES)])
    torch.testing.assert_close(made["latents"][50:], latents[50:], atol=1e-6, rtol=0)
    assert difference(made["latents"][INSIDE], latents[INSIDE]) > 0.1
    silence = base.encode_audio(torch.zeros(2, RATE))[:10]
    assert torch.equal(made["context_latents"][0, INSIDE, :64], silence)
    covers = [make(base, audio_codes=CODES, audio_cover_strength=strength)["latents"] for strength in (1.0, 0.5)]
    assert difference(*covers) > 1e-3
    beyond = run(base, task_type="repaint", audio_codes=CODES, repainting_end=9.0)
    assert beyond.error is not None
    assert "audio_codes cannot be lengthened" in beyond.error


def test_a_retake_is_a_step_towards_another_noise(base: AceStepHandler) -> None:
    plain, near, far = (make(base, duration=10, retake_seed=5, retake_variance=v) for v in (0.0, 0.05, 0.5))
    assert 0 < difference(near["latents"], plain["latents"]) < difference(far["latents"], plain["latents"])
    assert near["retake_seed_value"] == "5"
    result = run(base, duration=10, retake_seed=5, retake_variance=0.5)
    assert result.audios[0]["params"]["retake_seed"] == 5


def test_a_batch_shares_its_source(base: AceStepHandler, audio: dict[str, str]) -> None:
    params = GenerationParams(
        caption="calm", inference_steps=4, thinking=False, task_type="repaint", src_audio=audio["source"], **WINDOW
    )
    config = GenerationConfig(batch_size=2, use_random_seed=False, seeds=[8, 7])
    both = generate_music(base, None, params, config).extra_outputs
    alone = make(base, task_type="repaint", src_audio=audio["source"], **WINDOW)
    torch.testing.assert_close(both["pred_latents"][1], alone["latents"], atol=1e-4, rtol=0)
    assert difference(both["pred_latents"][0, INSIDE], both["pred_latents"][1, INSIDE]) > 0.1
    assert both["counts"]["encoded_samples"] == alone["counts"]["encoded_samples"]


def test_the_planner_has_no_part_in_a_source(base: AceStepHandler, planner: LLMHandler, audio: dict[str, str]) -> None:
    for task in ("cover", "lego", "complete"):
        result = run(base, planner, task_type=task, src_audio=audio["source"], thinking=True)
        assert result.success, result.error
        assert "lm_total_time" not in result.extra_outputs["time_costs"]
        assert torch.equal(result.extra_outputs["target_latents"][0, :50], source_latents(base, audio["source"]))


def test_encoding_has_its_place_in_the_times(base: AceStepHandler, audio: dict[str, str]) -> None:
    result = run(base, task_type="cover", src_audio=audio["source"], reference_audio=audio["foreign"])
    costs = result.extra_outputs["time_costs"]
    assert all(costs[f"{name}_time_cost"] > 0 for name in ("audio_load", "reference_encode", "source_encode"))
    ignored = ("pipeline_total_time", "dit_total_time_cost", "dit_diffusion_per_step_time_cost")
    parts = [value for key, value in costs.items() if key not in ignored and isinstance(value, float)]
    assert sum(parts) == pytest.approx(costs["pipeline_total_time"])


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"task_type": "cover"}, "task_type is 'cover', which needs src_audio (or audio_codes in its place)."),
        ({"src_audio": "FILE"}, "but text2music has no source"),
        ({"task_type": "cover", "src_audio": "FILE", "audio_codes": CODES}, "there are audio_codes too"),
        ({"task_type": "cover", "src_audio": "gone.wav"}, "src_audio is 'gone.wav', and there is no such file."),
        ({"reference_audio": "gone.wav"}, "reference_audio is 'gone.wav', and there is no such file."),
        ({"reference_audio": 5}, "reference_audio is 5, expected the path of an audio file"),
        ({"track_name": "drums"}, "track_name is 'drums', which is for lego and extract, not for text2music."),
        (
            {"task_type": "extract", "src_audio": "FILE", "track_name": "kazoo"},
            "track_name is 'kazoo', expected one of",
        ),
        ({"task_type": "complete", "src_audio": "FILE", "complete_track_classes": ["x"]}, "expected one of: woodwinds"),
        ({"repainting_start": 2.0}, "repainting_start is 2.0, which is for repaint and lego"),
        ({"task_type": "repaint", "src_audio": "FILE", "repainting_start": 3}, "the end of the source"),
        ({"task_type": "repaint", "src_audio": "FILE", "repaint_mode": "wild"}, "repaint_mode is 'wild'"),
        ({"audio_cover_strength": 1.5}, "audio_cover_strength is 1.5, expected a number from 0 to 1"),
    ],
)
def test_what_does_not_fit_is_an_error(
    base: AceStepHandler, audio: dict[str, str], wanted: dict[str, Any], message: str
) -> None:
    wanted = {name: audio["source"] if value == "FILE" else value for name, value in wanted.items()}
    result = run(base, **wanted)
    assert result.error is not None
    assert message in result.error


def test_a_turbo_model_repaints(handler: AceStepHandler, audio: dict[str, str]) -> None:
    request = {"task_type": "repaint", "src_audio": audio["source"], "repaint_mode": "conservative"}
    made = make(handler, **request, **WINDOW, inference_steps=8)
    source = handler.process_src_audio(audio["source"])
    kept = round(0.7 * RATE)
    assert torch.equal(made["audio"][:, :kept], source[:, :kept])
    assert difference(made["audio"][:, RATE : RATE + kept], source[:, RATE : RATE + kept]) > 0.01
    assert made["counts"]["dit_rows"] == 8


def test_each_variant_knows_its_tasks(handler: AceStepHandler, audio: dict[str, str]) -> None:
    assert TURBO.tasks == variant_named("xl-sft").tasks == SHARED_TASKS
    assert variant_named("xl-base").tasks == TASKS
    result = run(handler, task_type="extract", src_audio=audio["source"])
    assert result.error == (
        "task_type is 'extract', which a turbo model was not trained for; it knows text2music, cover, cover-nofsq, "
        "repaint. Load a base model."
    )
