"""The planner: a language model that turns caption and lyrics into metadata (phase 1) and audio codes (phase 2).

Text in and out: `prompts` builds prompts, `output_parsing` parses outputs, `user_metadata` validates what users give,
`metadata` converts to and from YAML, `vocabulary` and `codes` know the tokens. Constrained decoding: `cot_schema` says
what a text must look like, `grammar` compiles that, `constraint` follows it token by token, `sampling` picks tokens.
`engines` run the model and `planner` puts an engine, its vocabulary and its grammar together. Requests: `two_phase`,
`understanding` and `raw_prompt`. `acestep.llm_inference.LLMHandler` is the public class.
"""


class PlannerError(ValueError):
    """A request that the planner cannot fulfil; the message names the value and the remedy."""
