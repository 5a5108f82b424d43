"""The profiler behind `scripts.profile_inference`: its options, its modes, and the tables of their results."""
