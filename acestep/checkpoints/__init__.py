"""Checkpoint folders: finding, checking and reading their files, and the names of their tensors."""
