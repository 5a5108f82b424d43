"""Numbers, vocabularies and literal texts that the models were trained with, and the limits of parameters."""

from typing import Final

SAMPLE_RATE: Final = 48_000
"""Samples per second of every waveform inside the pipeline."""
AUDIO_CHANNELS: Final = 2
LATENT_RATE: Final = 25
"""Latent frames per second."""
HOP_SAMPLES: Final = SAMPLE_RATE // LATENT_RATE
"""Samples per latent frame (1920)."""
LATENT_CHANNELS: Final = 64
CODE_RATE: Final = 5
"""Audio codes per second."""
FRAMES_PER_CODE: Final = LATENT_RATE // CODE_RATE
MAX_AUDIO_CODE: Final = 63_999
"""Largest valid audio code: the product of the quantizer levels 8·8·8·5·5·5, less one."""

MIN_LATENT_FRAMES: Final = 128
"""Smallest number of latent frames (5.12 s); shorter requests are padded."""
TIMBRE_FRAMES: Final = 750
"""Length of a timbre reference in latent frames (30 s)."""
MAX_CAPTION_TOKENS: Final = 256
MAX_LYRIC_TOKENS: Final = 2048
MAX_BATCH: Final = 8
MAX_STEPS: Final = 200
"""Largest number of steps that a caller may ask for; turbo variants run fewer, see `acestep.sampling.schedules`."""
MAX_SEED: Final = (1 << 63) - 1
DEFAULT_GUIDANCE_SCALE: Final = 7.0
MAX_GUIDANCE_SCALE: Final = 15.0

BPM_MIN: Final = 30
BPM_MAX: Final = 300
DURATION_MIN_S: Final = 10
DURATION_MAX_S: Final = 600
DEFAULT_DURATION_S: Final = 120.0
"""Length of a piece when neither the caller nor the planner gave one."""
TIME_SIGNATURES: Final = ("2", "3", "4", "6")
KEYSCALES: Final = tuple(
    f"{note}{accidental} {mode}"
    for note in "ABCDEFG"
    for accidental in ("", "#", "b", "♯", "♭")
    for mode in ("major", "minor")
)
LANGUAGES: Final = tuple(
    "ar az bg bn ca cs da de el en es fa fi fr he hi hr ht hu id is it ja ko la lt ms ne nl no pa pl pt ro "
    "ru sa sk sr sv sw ta te th tl tr uk ur vi yue zh unknown".split()
)

DEFAULT_DIT: Final = "acestep-v15-turbo"
LM_PREFIX: Final = "acestep-5Hz-lm-"
DEFAULT_LM: Final = f"{LM_PREFIX}1.7B"
VAE_FOLDER: Final = "vae"
TEXT_ENCODER_FOLDER: Final = "Qwen3-Embedding-0.6B"

INSTRUCTION_TEXT2MUSIC: Final = "Fill the audio semantic mask based on the given conditions:"
INSTRUCTION_COVER: Final = "Generate audio semantic tokens based on the given conditions:"
INSTRUCTION_PLANNER: Final = INSTRUCTION_COVER
INSTRUCTION_UNDERSTAND: Final = "Understand the given musical conditions and describe the audio semantics accordingly:"
INSTRUCTION_INSPIRE: Final = "Expand the user's input into a more detailed and specific musical description:"
INSTRUCTION_FORMAT: Final = "Format the user's input into a more detailed and specific musical description:"
INSTRUMENTAL: Final = "[Instrumental]"
"""The lyrics of an instrumental piece."""
NO_USER_INPUT: Final = "NO USER INPUT"
"""The user turn of an empty input; as a negative prompt it means that there is none."""
