"""An atom as a chat model of LangChain: `ChatMotet(model="together/gpt-oss/120b")`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, Literal

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.output_parsers import BaseOutputParser, JsonOutputParser, PydanticOutputParser
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, Field, PrivateAttr

from motet import _core, errors
from motet.asking.answer import Answer
from motet.atoms.atom import Atom
from motet.atoms.factory import atom as make_atom
from motet.integrations import _asking
from motet.integrations._langchain.failures import raise_model_error
from motet.integrations._langchain.messages import to_ai_message, to_chunk, to_last_chunk, to_messages

__all__ = ["ChatMotet"]

_IGNORED = frozenset({"ls_structured_output_format", "model", "stream", "strict"})
"""Arguments of a call that are not options of `Atom.ask`."""


class ChatMotet(BaseChatModel):
    """An atom as a chat model of LangChain. Give `model` or `atom`.

    Arguments of `invoke`, `bind` and their kin are options of `Atom.ask` (`max_cost`, `reasoning_effort`, `seed`, ...),
    and `model`, which asks another model of the same service.

    Reasoning is in `additional_kwargs["reasoning_content"]` and in `content_blocks`, counts in `usage_metadata`, and
    `response_metadata` has `model_name`, `finish_reason`, `lane`, `cost` in US dollars as text, `tokens_by_channel`,
    `repairs` and `notes`. Errors of the service are motet's and LangChain's at once, with `.partial` and `.cost`.
    """

    model: str = ""
    """The slug of an atom, or a model id of the service."""
    atom: Any = Field(default=None, exclude=True, repr=False)
    """An atom. Default: the one of `model`. The caller closes it."""
    temperature: float | None = None
    max_tokens: int | None = None
    """Tokens of an answer, reasoning included."""
    timeout: float | None = None
    """Seconds for the whole answer, retries included."""
    reasoning_effort: Literal["low", "medium", "high"] | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    """Further options of `Atom.ask` for each question: `briefs`, `max_cost`, `budget`, `lane`, ..."""
    allow_text_calls: bool = False
    """Passes on tool calls that were read from text, which are not trusted. Otherwise they raise `motet.ToolError`."""

    _atom: Atom = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        """Makes the atom."""
        if (self.atom is None) == (not self.model):
            raise errors.ConfigError("give either model= or atom=")
        self._atom = _asking.to_atom(self.model or self.atom)
        self.model = self._atom.slug

    @property
    def _llm_type(self) -> str:
        return "motet"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        fields = ("temperature", "max_tokens", "reasoning_effort", "options")
        return {"model": self.model, **{name: getattr(self, name) for name in fields if getattr(self, name)}}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        name = kwargs.get("model") or self._atom.spec.model or self._atom.slug
        return super()._get_ls_params(stop, **kwargs) | LangSmithParams(ls_provider="motet", ls_model_name=name)

    def _atom_of(self, arguments: Mapping[str, Any]) -> Atom:
        """The atom of a call: with `model`, that model at the same service."""
        model = arguments.get("model")
        return self._atom if model is None else make_atom(model, backend=self._atom.backend)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        try:
            answer = _asking.ask(self._atom_of(kwargs), to_messages(messages), self._options(stop, kwargs))
        except errors.MotetError as error:
            raise_model_error(error)
        return self._result(answer)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        try:
            answer = await _asking.aask(self._atom_of(kwargs), to_messages(messages), self._options(stop, kwargs))
        except errors.MotetError as error:
            raise_model_error(error)
        return self._result(answer)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with self._atom_of(kwargs).stream(to_messages(messages), **self._options(stop, kwargs)) as stream:
            try:
                for event in stream:
                    chunk = to_chunk(event)
                    if chunk is not None:
                        yield ChatGenerationChunk(message=chunk)
            except errors.TruncatedOutputError:
                pass
            except errors.MotetError as error:
                raise_model_error(error)
            yield ChatGenerationChunk(message=to_last_chunk(self._checked(stream.answer)))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async with self._atom_of(kwargs).astream(to_messages(messages), **self._options(stop, kwargs)) as stream:
            try:
                async for event in stream:
                    chunk = to_chunk(event)
                    if chunk is not None:
                        yield ChatGenerationChunk(message=chunk)
            except errors.TruncatedOutputError:
                pass
            except errors.MotetError as error:
                raise_model_error(error)
            yield ChatGenerationChunk(message=to_last_chunk(self._checked(stream.answer)))

    def _checked(self, answer: Answer[Any]) -> Answer[Any]:
        return _asking.check_calls(answer, allow_text_calls=self.allow_text_calls)

    def _result(self, answer: Answer[Any]) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=to_ai_message(self._checked(answer)))])

    def _options(self, stop: list[str] | None, arguments: Mapping[str, Any]) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("temperature", "max_tokens", "timeout", "reasoning_effort")}
        given = {name: value for name, value in arguments.items() if name not in _IGNORED}
        schema = given.pop("json_schema", None)
        if schema is not None:
            given["output"] = _asking.text_output(schema["schema"], schema["name"])
        if stop:
            given["sampling"] = {**given.get("sampling", {}), "stop": stop}
        return _asking.merge_options(self.options, own, given)

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """A model that may call `tools`.

        - `tool_choice`: `auto`, `none`, `required` (also `any` or True), the name of a tool, or a dict that names one.
          A choice other than `auto` needs the chat lane.
        """
        dicts = [convert_to_openai_tool(tool) for tool in tools]
        names = [tool["function"]["name"] for tool in dicts]
        choice: Any = {"any": "required", True: "required", False: None}.get(tool_choice, tool_choice)  # type: ignore[arg-type]
        if isinstance(choice, str) and choice in names:
            choice = {"type": "function", "function": {"name": choice}}
        return self.bind(tools=dicts, **({} if choice is None else {"tool_choice": choice}), **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        method: Literal["json_schema", "function_calling"] = "json_schema",
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """A model whose answers are read as `schema`: a pydantic model, a TypedDict or a JSON Schema.

        - `include_raw`: returns a dict with `raw`, `parsed` and `parsing_error`.
        - `method`: `json_schema` states the schema in the request, `function_calling` asks for a call of a tool.
        """
        if method != "json_schema":
            return super().with_structured_output(schema, include_raw=include_raw, **kwargs)
        if unknown := sorted(set(kwargs) - {"strict"}):
            raise TypeError(f"unknown argument of with_structured_output: {', '.join(unknown)}")
        json_schema = convert_to_json_schema(schema)
        name = json_schema.get("title") or "answer"
        model = self.bind(
            json_schema={"name": name, "schema": json_schema},
            ls_structured_output_format={"kwargs": {"method": method}, "schema": schema},
        )
        parser: BaseOutputParser[Any] = JsonOutputParser()
        # True for models of pydantic 1 as well.
        if isinstance(schema, type) and is_basemodel_subclass(schema):
            parser = PydanticOutputParser(pydantic_object=schema)
        if not include_raw:
            return model | parser
        parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
        unparsed = RunnablePassthrough.assign(parsed=lambda _: None)
        return RunnableMap(raw=model) | parsed.with_fallbacks([unparsed], exception_key="parsing_error")

    def get_token_ids(self, text: str) -> list[int]:
        """The ids of a text in gpt-oss's vocabulary."""
        return _core.encode(text)

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Sequence[Any] | None = None) -> int:
        """Tokens of the prompt, exact for models that speak harmony."""
        options = self._options(None, {"tools": [convert_to_openai_tool(tool) for tool in tools or ()]})
        count = self._atom.estimate(to_messages(messages), **options).tokens.input
        if count is None:
            raise errors.ConfigError(f"the prompt of {self.model} cannot be counted")
        return count
