"""The task of a generation: its specification, its source, and the latents that sampling starts from."""
