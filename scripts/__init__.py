"""What a person runs: each works as ``python -m scripts.x`` or as a shell file."""
