"""gpt-oss in verl's agent loops: the loop `motet_agent` and the tool parser `motet`.

A file of agent loops names the class, and verl imports it from there:

    - name: motet_agent
      _target_: motet.integrations.verl.MotetAgentLoop
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from verl.experimental.agent_loop.agent_loop import register
from verl.experimental.agent_loop.tool_agent_loop import ToolAgentLoop
from verl.experimental.agent_loop.tool_parser import FunctionCall, ToolParser
from verl.utils.tokenizer.continuous_token import MergeResult

from motet import _core
from motet.dialects.chat import to_messages
from motet.harmony import Prompt, render

__all__ = ["MotetAgentLoop", "MotetToolParser"]

_RETURN, _, _CALL = _core.STOP_TOKENS
_OPTION_NAMES = {"model_identity": "identity", "conversation_start_date": "current_date"}
"""Names of chat templates, and the options of `motet.render` for them."""


@ToolParser.register("motet")
class MotetToolParser(ToolParser):
    """Reads calls with motet's tolerant parser: `actor_rollout_ref.rollout.multi_turn.format=motet`."""

    @property
    def stop_token_ids(self) -> list[int]:
        """`<|return|>` and `<|call|>`."""
        return [_RETURN, _CALL]

    async def extract_tool_calls(
        self, responses_ids: list[int], tools: Sequence[Any] | None = None
    ) -> tuple[str, list[FunctionCall]]:
        """The text that is no reasoning, and the calls in their order."""
        names = [tool.function.name for tool in tools or ()]
        completion = _core.parse(responses_ids, tools=names)
        calls = [
            FunctionCall(name=call.name, arguments=call.arguments, tool_call_id=call.id)
            for call in completion.tool_calls
        ]
        return completion.preamble + completion.text, calls


@register("motet_agent")
class MotetAgentLoop(ToolAgentLoop):
    """verl's `ToolAgentLoop` with prompts by motet: what was sampled stays id for id, and behind it stand the results
    of the tools as gpt-oss reads them.

    `data.apply_chat_template_kwargs` are options of `motet.render`, such as `reasoning_effort`. Tools, limits and the
    sampling of a rollout are those of verl's loop. An instance is for one trajectory, as verl makes them.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tool_parser = MotetToolParser(self.tokenizer)
        options = {str(name): value for name, value in self.apply_chat_template_kwargs.items()}
        self._options: dict[str, Any] = {_OPTION_NAMES.get(name, name): value for name, value in options.items()}
        self._prompt: Prompt | None = None
        self._sampled: list[int] = []

    async def ct_build_initial_tokens(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Any] | None = None,
        images: object = None,
        videos: object = None,
        audios: object = None,
        mm_inputs_out: object = None,
    ) -> list[int]:
        """The ids of the first prompt. Raises `motet.RenderError` for what the format has no place for. verl's loop
        refuses media before."""
        self._prompt = render(messages, tools=tools or (), **self._options)
        return list(self._cap_text_prompt_length(self._prompt.ids))

    async def ct_merge_assistant_token(
        self,
        runtime_token_ids: list[int],
        assistant_token_ids: list[int],
        response_mask: list[int],
        response_logprobs: list[float] | None = None,
        assistant_logprobs: list[float] | None = None,
    ) -> tuple[MergeResult, list[int], list[float] | None]:
        """The ids with those of an answer behind them, and what goes with each."""
        self._sampled = list(assistant_token_ids)
        return self._merged(runtime_token_ids, self._sampled, 1, response_mask, response_logprobs, assistant_logprobs)

    async def ct_merge_context_msg(
        self,
        previous_messages: Sequence[Mapping[str, Any]],
        updated_messages: Sequence[Mapping[str, Any]],
        runtime_token_ids: list[int],
        response_mask: list[int],
        response_logprobs: list[float] | None = None,
        tools: Sequence[Any] | None = None,
    ) -> tuple[MergeResult, list[int], list[float] | None]:
        """The ids with the new messages and the header of the next answer behind them, and what goes with each."""
        assert self._prompt is not None
        new = to_messages(updated_messages[len(previous_messages) :], unnamed_results=True)
        longer = self._prompt.extend_ids(self._sampled, new)
        appended = longer.ids[len(self._prompt) + len(self._sampled) :]
        self._prompt, self._sampled = longer, []
        return self._merged(runtime_token_ids, appended, 0, response_mask, response_logprobs)

    def _merged(
        self,
        ids: list[int],
        appended: list[int],
        flag: int,
        mask: list[int],
        logprobs: list[float] | None,
        appended_logprobs: list[float] | None = None,
    ) -> tuple[MergeResult, list[int], list[float] | None]:
        merged = MergeResult(
            token_ids=[*ids, *appended],
            appended_token_count=len(appended),
            kind="assistant" if flag else "context",
        )
        if logprobs is not None:
            logprobs = [*logprobs, *(appended_logprobs or [0.0] * len(appended))]
        return merged, [*mask, *[flag] * len(appended)], logprobs
