"""A value that is unknown or out of range is an error that names field, value and what is allowed."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from typing import Any

import pytest

from acestep.handler import AceStepHandler
from acestep.params import GenerationConfig, GenerationParams


def test_defaults_are_valid() -> None:
    GenerationParams().validate()
    GenerationConfig().validate()


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("task_type", "karaoke", "expected one of: text2music"),
        ("caption", None, "expected text"),
        ("lyrics", b"la", "expected text"),
        ("vocal_language", "tlh", "expected one of: ar, az"),
        ("keyscale", "H major", "expected one of: A major"),
        ("timesignature", "5", "expected one of: 2, 3, 4, 6"),
        ("bpm", 29, "expected a whole number from 30 to 300"),
        ("bpm", 120.5, "expected a whole number"),
        ("bpm", True, "expected a whole number"),
        ("duration", 601, "expected a number from 10 to 600"),
        ("duration", 9.9, "expected a number from 10 to 600"),
        ("duration", float("nan"), "expected a number"),
        ("duration", "30", "expected a number"),
        ("normalization_db", 1, "expected a number from -inf to 0"),
        ("fade_in_duration", -1, "expected a number from 0"),
        ("latent_rescale", float("inf"), "expected a number"),
        ("inference_steps", 0, "expected a whole number from 1 to 200"),
        ("seed", -2, "expected a whole number from -1"),
        ("shift", 0, "expected a number above 0"),
        ("timesteps", [], "1 to 200"),
        ("timesteps", [1.0] * 201, "1 to 200"),
        ("timesteps", [0.5, 0.6], "descending"),
        ("timesteps", [1.5], "expected a number above 0 to 1"),
        ("dcw_mode", "triple", "expected one of: low, high, double, pix"),
        ("lm_temperature", 2.1, "expected a number from 0 to 2"),
        ("lm_cfg_scale", 0.5, "expected a number from 1"),
        ("lm_top_k", -1, "expected a whole number"),
        ("thinking", "no", "expected True or False"),
        ("keyscale", ["C major"], "expected one of: A major"),
        ("lm_top_p", 1.1, "expected a number from 0 to 1"),
        ("guidance_scale", 0.5, "expected a number from 1 to 15"),
        ("guidance_scale", 16, "expected a number from 1 to 15"),
        ("use_adg", 1, "expected True or False"),
        ("cfg_interval_start", -0.1, "expected a number from 0 to 1"),
        ("cfg_interval_end", 1.1, "expected a number from 0 to 1"),
        ("infer_method", "sgd", "expected one of: ode, sde"),
        ("sampler_mode", "rk4", "expected one of: euler, heun"),
        ("velocity_norm_threshold", -1, "expected a number from 0"),
        ("velocity_ema_factor", 2, "expected a number from 0 to 1"),
        ("dcw_wavelet", 3, "expected text"),
        ("task_type", ["cover"], "expected one of: text2music, cover, cover-nofsq, repaint, lego, extract, complete"),
        ("reference_audio", "/nowhere.wav", "there is no such file"),
        ("src_audio", "/nowhere.wav", "there is no such file"),
        ("repaint_strength", 0.7, "which is for repaint and lego"),
        ("repaint_strength", "much", "which is for repaint and lego"),
        ("complete_track_classes", "drums", "which is for complete, not for text2music"),
        ("audio_cover_strength", -0.1, "expected a number from 0 to 1"),
        ("cover_noise_strength", 1.1, "expected a number from 0 to 1"),
        ("retake_seed", "seven", "expected whole numbers"),
        ("retake_seed", -2, "expected a whole number from -1"),
        ("retake_variance", 1.1, "expected a number from 0 to 1"),
    ],
)
def test_params(field: str, value: Any, expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)) as error:
        GenerationParams(**{field: value}).validate()
    assert field in str(error.value)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"cfg_interval_start": 0.6, "cfg_interval_end": 0.5}, "cfg_interval_end is 0.5, expected a number from 0.6"),
        ({"infer_method": "sde", "sampler_mode": "heun"}, "Heun steps integrate the ode"),
    ],
)
def test_params_that_exclude_each_other(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        GenerationParams(**changes).validate()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"batch_size": 9}, "batch_size is 9, expected a whole number from 1 to 8"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"seeds": [1, "x"]}, "seeds is 'x'"),
        ({"seeds": [1, 2, 3]}, "seeds has 3 entries for batch_size=2"),
        ({"audio_format": "aac"}, "audio_format is 'aac', expected one of: flac"),
        ({"mp3_bitrate": ["128k"]}, "mp3_bitrate is ['128k']"),
        ({"use_random_seed": 1}, "use_random_seed is 1, expected True or False"),
        ({"mp3_bitrate": "64k"}, "mp3_bitrate is '64k'"),
        ({"mp3_sample_rate": 8000}, "mp3_sample_rate is 8000"),
        ({"lm_batch_chunk_size": -1}, "lm_batch_chunk_size is -1"),
    ],
)
def test_config(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        GenerationConfig(**changes).validate()


@pytest.mark.parametrize("duration", [None, -1, 0])
def test_an_open_duration(duration: float | None) -> None:
    params = GenerationParams(duration=duration)
    params.validate()
    assert params.requested_duration is None


def test_parameters_and_the_keywords_of_the_handler_have_equal_defaults() -> None:
    parameters = {item.name: item.default for item in fields(GenerationParams)}
    keywords = inspect.signature(AceStepHandler.generate_music).parameters
    shared = {name: keywords[name].default for name in parameters.keys() & keywords.keys()}
    differing = {name: default for name, default in shared.items() if parameters[name] != default}
    assert differing == {"vocal_language": "en", "repainting_end": None, "lyrics": inspect.Parameter.empty} | {
        "complete_track_classes": ()
    }
    renamed = {"captions", "key_scale", "time_signature", "audio_duration", "audio_code_string"}
    others = {"self", "use_random_seed", "batch_size", "use_tiled_decode", "progress", "clock"}
    assert keywords.keys() - parameters.keys() == renamed | others


def test_every_parameter_of_the_synthesizer_becomes_a_keyword_of_the_handler() -> None:
    given: dict[str, Any] = {
        "caption": "calm",
        "keyscale": "C major",
        "timesignature": "3",
        "duration": 20,
        "audio_codes": "<|audio_code_1|>",
        "shift": 3.0,
        "repaint_strength": 0.9,
    }
    keywords = GenerationParams(**given).request().keywords()
    renamed = {
        "caption": "captions",
        "keyscale": "key_scale",
        "timesignature": "time_signature",
        "duration": "audio_duration",
        "audio_codes": "audio_code_string",
    }
    assert {name: keywords[renamed.get(name, name)] for name in given} == given


def test_wrong_keywords_of_the_handler_are_type_errors() -> None:
    generate: Any = AceStepHandler().generate_music
    with pytest.raises(TypeError, match="unexpected keyword argument 'caption'"):
        generate(captions="calm", lyrics="", caption="calm")
    with pytest.raises(TypeError, match="missing a required argument: 'lyrics'"):
        generate("calm")
