"""Timing of the stages of a generation."""
