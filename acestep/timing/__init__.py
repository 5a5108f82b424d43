"""Times of the stages of a generation."""
