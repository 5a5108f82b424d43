"""ACE-Step 1.5 music generation: a 5 Hz language-model planner and a diffusion synthesizer.

Importing the package is cheap: nothing heavy (torch, transformers, diffusers) is imported before it is used.
"""

import logging

__version__ = "0.1.0"

for _talker in ("torchao", "torchao.kernel.intmm", "torch.utils._pytree", "diffusers.quantizers.torchao"):
    logging.getLogger(_talker).setLevel(logging.ERROR)  # where torchao is installed, they warn at every import
