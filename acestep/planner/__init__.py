"""The planner: from a caption and lyrics to metadata (phase 1) and audio codes (phase 2); descriptions of pieces.

`prompts` asks, `answers` reads; `wishes` checks what users give and `metadata` spells it. `vocabulary` and `codes`
know the tokens. `forms` says what an answer must look like, `grammar` compiles that, `constraint` follows it and
`sampling` draws. `engines` run the model. `procedure` is what all requests have in common; `music`, `descriptions` and
`completion` are the requests. `acestep.llm_inference.LLMHandler` puts them together.
"""


class PlannerError(ValueError):
    """A request that the planner cannot fulfil; the message names the value and the remedy."""
