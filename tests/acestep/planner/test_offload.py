"""Offloading: weights are on the device during a job, and none of them afterwards."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
import torch

from acestep.planner.engines.decoder import Decoder
from acestep.planner.engines.pt import PtEngine, load_model
from acestep.planner.vocabulary import Vocabulary
from acestep.runtime.offload import OffloadManager
from tests.acestep.planner.requests import text_request
from tests.acestep.planner.test_engine import PROMPT, request

AWAY = "meta"
"""A device other than the CPU that every machine has: its tensors can be made and counted, but not computed with."""


def bytes_on(device: str) -> int:
    """Bytes of all storages on *device* that are still referenced; a view keeps all of its storage alive."""
    gc.collect()
    tensors = [found for found in gc.get_objects() if type(found) in (torch.Tensor, torch.nn.Parameter)]
    storages = [tensor.untyped_storage() for tensor in tensors if tensor.device.type == device]
    return sum({storage._cdata: storage.nbytes() for storage in storages}.values())


def weights_bytes(model: torch.nn.Module) -> int:
    return sum(parameter.nbytes for parameter in model.parameters())


def devices(module: torch.nn.Module | None) -> set[str]:
    assert module is not None
    return {tensor.device.type for tensor in (*module.parameters(), *module.buffers())}


def fail(engine: PtEngine) -> None:
    with engine._weights_on_device() as decoder:
        assert devices(decoder) == {AWAY}
        raise ZeroDivisionError


@pytest.fixture
def away(folder: Path, vocabulary: Vocabulary) -> PtEngine:
    return PtEngine(folder, vocabulary, device=AWAY, dtype=torch.float32, offload=True)


def test_a_job_moves_the_weights_once_and_leaves_nothing_behind(away: PtEngine) -> None:
    before = bytes_on(AWAY)
    with away.on_device():
        assert bytes_on(AWAY) == before  # nothing moves before it is needed
        for _ in range(2):
            with away._weights_on_device() as decoder:
                assert devices(decoder) == {AWAY}
        assert bytes_on(AWAY) - before == away.transfers.moved_bytes >= weights_bytes(away.model)
    assert bytes_on(AWAY) == before
    assert away.transfers.times == 1
    assert away.transfers.seconds > 0


def test_a_tied_head_is_moved_once(away: PtEngine) -> None:
    assert away.model.config.tie_word_embeddings
    with away._weights_on_device():
        pass
    assert away.transfers.moved_bytes < weights_bytes(away.model) + away.model.lm_head.weight.nbytes


def test_a_job_that_fails_leaves_nothing_behind(away: PtEngine) -> None:
    before = bytes_on(AWAY)
    with pytest.raises(ZeroDivisionError):
        fail(away)
    assert bytes_on(AWAY) == before


def test_the_models_own_weights_stay_on_the_host(away: PtEngine) -> None:
    with away._weights_on_device():
        assert {parameter.device.type for parameter in away.model.parameters()} == {"cpu"}


def test_outside_of_a_job_the_decoder_is_on_the_host(away: PtEngine) -> None:
    assert devices(away._decoder) == {"cpu"}
    with away._weights_on_device():
        pass
    assert devices(away._decoder) == {"cpu"}


def test_moved_weights_compute_the_same(folder: Path, vocabulary: Vocabulary, engine: PtEngine) -> None:
    offloading = PtEngine(folder, vocabulary, device="cpu", dtype=torch.float32)
    offloading._decoder = Decoder(load_model(folder, device="cpu", dtype=torch.float32))
    offloading._offload = OffloadManager({"decoder": [offloading._decoder]}, "cpu", ["decoder"])  # CPU to CPU
    asked = request(vocabulary, seeds=[1, 2])
    assert offloading.write_codes(asked).codes == engine.write_codes(asked).codes
    text = text_request(vocabulary, vocabulary.encode((PROMPT,)), limit=20)
    assert offloading.write_text(text).tokens == engine.write_text(text).tokens
    assert offloading._offload.transfers.times == 2


def test_on_a_cpu_nothing_is_moved(folder: Path, vocabulary: Vocabulary) -> None:
    engine = PtEngine(folder, vocabulary, device="cpu", dtype=torch.float32, offload=True)
    engine.write_codes(request(vocabulary, count=2))
    assert engine.transfers.moved_bytes == 0


def test_closing_frees_every_weight(folder: Path, vocabulary: Vocabulary) -> None:
    before = bytes_on("cpu")
    engine = PtEngine(folder, vocabulary, device="cpu", dtype=torch.float32)
    with engine.on_device():
        engine.write_text(text_request(vocabulary, vocabulary.encode((PROMPT,)), limit=3))
        engine.write_codes(request(vocabulary, count=2))
    weights = weights_bytes(engine.model)
    assert bytes_on("cpu") - before >= weights
    engine.close()
    assert bytes_on("cpu") - before < weights / 100
    with pytest.raises(RuntimeError, match="closed"):
        engine.write_codes(request(vocabulary))
