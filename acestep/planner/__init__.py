"""The planner: from a caption and lyrics to metadata (phase 1) and audio codes (phase 2).

`prompts` and `metadata` know the text, `vocabulary` and `codes` the tokens, `grammar` and `sampling` what
may be written next, `engines` run the model. `acestep.llm_inference.LLMHandler` puts them together.
"""


class PlannerError(ValueError):
    """A request that the planner cannot fulfil; the message names the value and the remedy."""
