"""The timing of the synthesizer against diffusers: same outputs, clear errors for bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from acestep.constants import DEFAULT_DIT, VAE_FOLDER
from acestep.dit.model import load_model
from acestep.synthetic.synthesizer import write_model, write_vae
from scripts.tracker.versus import synthesizer
from scripts.tracker.versus.alternation import DisagreementError, Variant
from scripts.tracker.versus.synthesizer import SynthesizerSides
from scripts.tracker.versus.synthesizer_variants import PairedVariants, time_variants
from scripts.versus import main

BRIEF = ["--seconds", "5", "--rounds", "1", "--threads", "1"]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("versus")
    write_model(root / DEFAULT_DIT, "tiny")
    write_vae(root / VAE_FOLDER, "tiny")
    return root


def test_both_sides_make_the_same_and_the_numbers_add_up(checkpoints: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--scale", str(checkpoints), "--condition-tokens", "16", *BRIEF]
    assert main(["synthesizer", *options, "--json", "--seconds", "6,5", "--layers", "1", "--rounds", "2"]) == 0
    said = json.loads(capsys.readouterr().out)
    names = ["DiT step, 5 s", "DiT step, 6 s", "VAE decode, 5 s", "VAE decode, 6 s"]
    assert [work["work"] for work in said["works"]] == names
    for work in said["works"]:
        ratios = [ours / theirs for ours, theirs in zip(work["ours_s"], work["diffusers_s"], strict=True)]
        assert [work["ratio"]["minimum"], work["ratio"]["maximum"]] == sorted(ratios)
        assert 0 <= work["largest_difference"] <= 1e-4
    assert [len(work["ours_s"]) for work in said["once_a_generation"]] == [2, 2]
    assert (said["layers"], said["cut"], said["rounds"]) == (1, True, 2)
    assert main(["synthesizer", *options]) == 0
    table = capsys.readouterr().out
    assert all(text in table for text in ("DiT of 2 layers", "DiT step, 5 s", "VAE decode, 5 s"))


@pytest.mark.parametrize(("free", "tiles"), [(10**12, 1), (10**6, 2)])
def test_the_pipeline_has_its_weight_norm_and_tiles_what_would_not_fit(
    checkpoints: Path, monkeypatch: pytest.MonkeyPatch, free: int, tiles: int
) -> None:
    monkeypatch.setattr(synthesizer, "free_bytes", lambda _: free)
    sides = SynthesizerSides(checkpoints, seconds=[21], condition_tokens=16, parts=["vae"])
    decoder = sides.pipeline.vae.decoder
    calls: list[None] = []
    decoder.register_forward_hook(lambda *_: calls.append(None))
    assert hasattr(decoder.conv1, "weight_g")
    pairs, once = sides.variants(lambda _: None)
    assert [pair.work for pair in pairs] == [f"VAE decode, 21 s{', theirs in tiles' * (tiles - 1)}"]
    assert len(calls) == tiles
    assert once == []


def test_different_outputs_are_an_error(
    checkpoints: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    true = synthesizer.open_pipeline

    def flawed(*arguments: Any, **options: Any) -> Any:
        pipeline = true(*arguments, **options)
        pipeline.vae.decoder.conv1.weight_g.data[0] *= -1
        return pipeline

    monkeypatch.setattr(synthesizer, "open_pipeline", flawed)
    assert main(["synthesizer", "--scale", str(checkpoints), "--parts", "vae", *BRIEF]) == 1
    assert "VAE decode, 5 s: the outputs of ours and of diffusers differ by" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("theirs", "complaint"),
    [
        (torch.zeros(3), r"ours makes \[2\], diffusers \[3\]"),
        (torch.tensor([0.0, 2e-4]), "differ by 2.0e-04, more than 1e-04"),
        (torch.tensor([0.0, torch.nan]), "differ by nan"),
    ],
)
def test_shapes_and_numbers_are_compared(theirs: torch.Tensor, complaint: str) -> None:
    with pytest.raises(DisagreementError, match=complaint):
        PairedVariants.of("work", lambda: torch.zeros(2), lambda: theirs)


def test_an_interruption_keeps_the_complete_rounds() -> None:
    turns: list[str] = []

    def run() -> None:
        turns.append("b")
        if turns.count("b") == 3:
            raise KeyboardInterrupt

    variants = [Variant("a", lambda: turns.append("a")), Variant("b", run)]
    assert time_variants(variants, 9) == len(variants[0].seconds) == len(variants[1].seconds) == 1
    assert "".join(turns) == "abbaab"


def test_a_model_is_written_with_fewer_layers(tmp_path: Path) -> None:
    write_model(tmp_path / DEFAULT_DIT, "tiny", layers=1)
    assert len(load_model(tmp_path / DEFAULT_DIT, device="cpu", dtype=torch.float32).decoder.layers) == 1
    with pytest.raises(ValueError, match="layers is 25, expected 1 to 24"):
        write_model(tmp_path / "other", "full", layers=25)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["synthesizer", "--scale", "nowhere"], "nor a folder that holds acestep-v15-turbo and vae"),
        (["synthesizer", "--scale", "nowhere", "--parts", "vae"], "nor a folder that holds vae."),
        (["synthesizer", "--seconds", "5,x"], "expected whole numbers separated by commas, as in 30,240"),
        (["synthesizer", "--seconds", "601"], "expected numbers from 1 to 600"),
        (["synthesizer", "--parts", "vae,text"], "--parts is 'vae,text', expected dit or vae"),
        (["synthesizer", "--layers", "0"], "--layers is 0, expected 1 to"),
        (["synthesizer", "--layers", "2", "--parts", "vae"], "--layers is about dit, but --parts is 'vae'"),
        (["synthesizer", "--condition-tokens", "0"], "--condition-tokens is 0, expected 1 to"),
        (["synthesizer", "--rounds", "0"], "--rounds is 0"),
        (["synthesizer", "--tokens", "5"], "unrecognized arguments: --tokens 5"),
        (["planner", "--seconds", "5"], "unrecognized arguments: --seconds 5"),
        (["vocoder"], "invalid choice: 'vocoder'"),
        ([], "subject"),
    ],
)
def test_bad_input_is_refused_with_a_message(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main(arguments)
    except SystemExit as stopped:
        status = int(str(stopped.code))
    assert status == 2
    assert complaint in capsys.readouterr().err


def test_too_many_layers_are_refused(checkpoints: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["synthesizer", "--scale", str(checkpoints), "--layers", "3"]) == 2
    assert "layers is 3, but the transformer has 2: ask for 1 to 2." in capsys.readouterr().err
