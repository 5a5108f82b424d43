"""Timing of this package against the same work written with transformers or diffusers alone."""
