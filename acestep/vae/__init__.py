"""The Oobleck VAE: its networks, exact tiling, and decode strategies."""
