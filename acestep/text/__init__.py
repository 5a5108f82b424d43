"""Text conditions: prompts and the text encoder."""
