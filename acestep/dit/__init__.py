"""The diffusion transformer (DiT) and the condition encoder: modules and the forward pass."""
