"""Synthetic tokenizers: byte-level BPE with Qwen3's pre-tokenizer, control tokens and chat template.

``tiny`` ones know a few hundred text tokens; ``full`` ones have exactly the released vocabulary layout:
151,643 base entries, 26 control tokens, and for the planner 65,535 audio codes. Text of any kind survives a
round trip, for every byte is a token.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from acestep.constants import (
    INSTRUCTION_PLANNER,
    INSTRUCTION_TEXT2MUSIC,
    KEYSCALES,
    LANGUAGES,
    MAX_AUDIO_CODE,
    NO_USER_INPUT,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Scale = Literal["tiny", "full"]

SPECIAL_TOKENS: Final = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
PLAIN_TOKENS: Final = (
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
    "<tool_response>",
    "</tool_response>",
    "<think>",
    "</think>",
)
"""Control tokens that decoding keeps when it skips special tokens."""
TINY_BASE: Final = 700
FULL_BASE: Final = 151_643
FULL_CODES: Final = 65_535
INVALID_CODES: Final = (MAX_AUDIO_CODE + 1, MAX_AUDIO_CODE + 2)
"""Codes of a tiny planner that exist but must never be generated."""

SPLIT: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Qwen's pre-tokenizer: each digit stands alone, a space joins the word after it."""
WORDS: Final = """
    a an the and of with in on soft loud slow fast warm bright dark calm gentle driving dreamy upbeat piano
    guitar drums bass synth strings brass violin cello flute choir voice vocal male female ballad pop rock
    jazz blues soul funk metal folk house techno trap ambient orchestral cinematic electronic acoustic
    melody rhythm chorus verse bridge intro outro love night light heart dream fire rain time home road sky
    world dance sing alone together
"""
CHAT_TEMPLATE: Final = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def build_tokenizer(codes: int) -> Tokenizer:
    """The tiny planner's tokenizer: 700 base entries, 26 control tokens, *codes* + 2 audio codes.

    The codes are 0 to *codes* - 1 and the two `INVALID_CODES`.
    """
    tokenizer = _byte_level_bpe(*_trained(TINY_BASE))
    _add_control_tokens(tokenizer)
    _add_codes(tokenizer, (*range(codes), *INVALID_CODES))
    return tokenizer


def build_full_tokenizer() -> Tokenizer:
    """A tokenizer with the released planner's layout: 217,204 entries, 65,535 of them codes."""
    tokenizer = _byte_level_bpe(*_extended(*_trained(TINY_BASE), FULL_BASE))
    _add_control_tokens(tokenizer)
    _add_codes(tokenizer, range(FULL_CODES))
    return tokenizer


def build_text_tokenizer(scale: Scale) -> Tokenizer:
    """The text encoder's tokenizer: no audio codes, one ``<|endoftext|>`` behind every text it encodes."""
    from tokenizers import processors

    base = _trained(TINY_BASE)
    tokenizer = _byte_level_bpe(*(_extended(*base, FULL_BASE) if scale == "full" else base))
    _add_control_tokens(tokenizer)
    end = SPECIAL_TOKENS[0]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {end}", pair=f"$A {end} $B {end}", special_tokens=[(end, tokenizer.token_to_id(end))]
    )
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write *tokenizer* to *folder* with the settings and chat template that transformers reads."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "model_max_length": 131_072,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")


def _byte_level_bpe(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> Tokenizer:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _trained(entries: int) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges of *entries* tokens: all bytes, then what the planner's phrases are made of."""
    from tokenizers import pre_tokenizers, trainers

    bytes_first = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = _byte_level_bpe({}, [])
    tokenizer.train_from_iterator(
        _phrases(), trainers.BpeTrainer(vocab_size=entries, initial_alphabet=bytes_first, show_progress=False)
    )
    model = json.loads(tokenizer.to_str())["model"]
    vocabulary: dict[str, int] = model["vocab"]
    if len(vocabulary) != entries:
        raise AssertionError(f"the phrases yield {len(vocabulary)} tokens, not {entries}: add words to _phrases")
    return vocabulary, [(left, right) for left, right in model["merges"]]


def _phrases() -> Iterator[str]:
    """Text of the kind that the planner reads and writes."""
    words = WORDS.split()
    for turn, (keyscale, language) in enumerate(zip(KEYSCALES, itertools.cycle(LANGUAGES), strict=False)):
        caption = " ".join(words[(7 * turn + 5 * step) % len(words)] for step in range(12))
        yield f"\nbpm: {60 + turn}\ncaption: A {caption}.\nduration: {10 + turn}\ngenres: pop\n"
        yield f"keyscale: {keyscale}\nlanguage: {language}\ntimesignature: 4\n\n"
        yield f"# Instruction\n{INSTRUCTION_PLANNER}\n\n# Caption\n{caption}\n\n# Lyric\n[Verse 1]\n"
        yield "[Chorus]\n[Instrumental]\n\ninstrumental: true\n# Languages\n# Metas\n- N/A\nsystem\nuser\n"
        yield f"assistant\n{NO_USER_INPUT}\n{INSTRUCTION_TEXT2MUSIC}\nseconds\n"


def _extended(
    vocabulary: dict[str, int], merges: list[tuple[str, str]], entries: int
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """*vocabulary* and *merges* grown to *entries* tokens with made-up words of two and three syllables."""
    vocabulary, merges = dict(vocabulary), list(merges)
    syllables = [consonant + vowel for consonant in "bcdfghjklmnpqrstvwxz" for vowel in "aeiou"]
    single = ((syllable[0], syllable[1]) for syllable in syllables)
    double = list(itertools.product(syllables, syllables))
    triple = ((first + second, third) for first, second in double for third in syllables)
    for left, right in itertools.chain(single, double, triple):
        if len(vocabulary) == entries:
            break
        if left + right not in vocabulary:
            vocabulary[left + right] = len(vocabulary)
            merges.append((left, right))
    return vocabulary, merges


def _add_control_tokens(tokenizer: Tokenizer) -> None:
    from tokenizers import AddedToken

    tokenizer.add_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIAL_TOKENS])
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in PLAIN_TOKENS])


def _add_codes(tokenizer: Tokenizer, codes: range | tuple[int, ...]) -> None:
    from tokenizers import AddedToken

    names = (f"<|audio_code_{code}|>" for code in codes)
    tokenizer.add_tokens([AddedToken(name, special=False, normalized=False) for name in names])
