from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from acestep.checkpoints.errors import CheckpointError
from acestep.llm_inference import LLMHandler
from acestep.planner.codes import CodeRange, format_codes, parse_codes
from acestep.planner.vocabulary import Vocabulary
from acestep.synthetic.tokenizer import build_text_tokenizer, save_tokenizer


def test_codes_are_found_in_the_tokenizer(vocabulary: Vocabulary, golden_vocabulary: Vocabulary) -> None:
    assert vocabulary.codes == CodeRange(first_id=726, count=1024)
    assert golden_vocabulary.codes == CodeRange(first_id=726, count=512)


def test_codes_above_63999_are_left_out() -> None:
    tokens = {f"<|audio_code_{code}|>": 10 + code for code in range(64_002)}
    assert CodeRange.find(tokens, "x") == CodeRange(10, 64_000)


@pytest.mark.parametrize("codes", [{0: 5, 2: 7}, {0: 5, 1: 7}, {1: 6}])
def test_codes_with_gaps_are_rejected(codes: dict[int, int]) -> None:
    with pytest.raises(CheckpointError, match="consecutive"):
        CodeRange.find({f"<|audio_code_{code}|>": token for code, token in codes.items()}, "x")


def test_a_tokenizer_without_codes_is_named(folder: Path, tmp_path: Path) -> None:
    wrong = shutil.copytree(folder, tmp_path / "wrong")
    save_tokenizer(build_text_tokenizer("tiny"), wrong)
    status, loaded = LLMHandler().initialize(tmp_path, "wrong", device="cpu")
    assert not loaded
    assert "audio_code" in status
    assert str(wrong) in status


def test_codes_survive_their_text_form() -> None:
    assert format_codes([0, 63_999]) == "<|audio_code_0|><|audio_code_63999|>"
    assert parse_codes("a<|audio_code_7|> <|audio_code_63999|>\n") == [7, 63_999]
    with pytest.raises(ValueError, match="64000"):
        parse_codes("<|audio_code_64000|>")


def test_codes_in_the_base_vocabulary_are_found_too(folder: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(folder, tmp_path / "moved")
    content = json.loads((moved / "tokenizer.json").read_text())
    codes = {token["content"]: token["id"] for token in content["added_tokens"] if "audio_code" in token["content"]}
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] not in codes]
    content["model"]["vocab"] |= codes
    (moved / "tokenizer.json").write_text(json.dumps(content))
    assert Vocabulary(moved).codes == CodeRange(726, 1024)


def test_a_chat_template_in_the_settings_is_used(folder: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(folder, tmp_path / "moved")
    template = (moved / "chat_template.jinja").read_text()
    (moved / "chat_template.jinja").unlink()
    with pytest.raises(CheckpointError, match="chat template"):
        Vocabulary(moved)
    settings = json.loads((moved / "tokenizer_config.json").read_text())
    for form in (template, [{"name": "tools", "template": "x"}, {"name": "default", "template": template}]):
        (moved / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": form}))
        assert Vocabulary(moved).tokenizer.chat_template == template
