"""Evidence for the verdicts: what they find and what they invent, on numbers whose truth is known."""
