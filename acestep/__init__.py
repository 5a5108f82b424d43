"""ACE-Step 1.5 music generation: a 5 Hz language-model planner and a diffusion synthesizer.

Importing the package is cheap: nothing heavy (torch, transformers, diffusers) is imported before it is used.
"""

__version__ = "0.1.0"
