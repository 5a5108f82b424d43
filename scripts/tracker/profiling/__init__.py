"""The parts of `scripts.profile_inference`: its options, its modes, and how their results are told."""
