"""What users read of parsing and rendering: `make snapshots` rewrites this file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from inline_snapshot import snapshot

import motet
from tests.support.completions import CORPUS
from tests.support.messages import message_of

USER = {"role": "user", "content": "Hi"}


def corpus_inputs() -> list[str]:
    return [path.read_text().split("===\n", 2)[1].removesuffix("\n") for path in CORPUS]


def test_messages_of_repairs() -> None:
    messages: dict[str, str] = {}
    for raw in corpus_inputs():
        for form in (raw, motet.encode(raw, special="token")):
            for repair in motet.parse(form).repairs:
                messages.setdefault(repair.code, repair.message)
    assert dict(sorted(messages.items())) == snapshot(
        {
            "bare_recipient": "tool without its namespace; read as a call of that tool",
            "call_ended_by_stop": "tool call with another stop token than <|call|>",
            "call_without_recipient": "<|call|> at the end of a frame that is not a call",
            "channel_as_recipient": "channel in place of the recipient; the frame is read as one of that channel",
            "channel_case": "channel in upper case; read in lower case",
            "duplicate_channel": "second channel; the last one counts",
            "duplicate_message": "repeated <|message|>; the second one is ignored",
            "duplicate_recipient": "second recipient; the first one counts",
            "duplicate_start": "repeated <|start|>; the last one counts",
            "empty_answer": "empty answer",
            "empty_arguments": "call without arguments",
            "empty_channel": "<|channel|> without a channel",
            "empty_content_type": "<|constrain|> without a content type",
            "empty_function_name": "functions. without a name",
            "empty_output": "empty output: neither a marker nor text",
            "empty_recipient": "to= without a recipient",
            "end_of_text": "<|endoftext|> in place of a stop token",
            "foreign_role": "turn of another role in the completion; not part of the message",
            "foreign_tool_result": "tool result written by the model",
            "garbage_channel": "channel followed by other characters; read as the channel that it begins with",
            "garbage_header": "header without content; ignored",
            "header_order": "recipient or channel after the content type",
            "invalid_json": "arguments that are not valid JSON; kept as written",
            "invalid_recipient": "recipient with other characters around it; read as the part that is a valid name",
            "invalid_value": "header value outside the grammar; kept as written",
            "marker_in_content": "marker that does not begin a frame; kept as text",
            "missing_channel": "assistant frame without a channel; read as the answer",
            "missing_end": "frame without a stop token before the next one; read as ended",
            "missing_header": "text without a header; its position decides what it is",
            "missing_message": "header without <|message|>; content begins at the first word that cannot be header",
            "missing_start": "header without <|start|>; the role is read as assistant",
            "multiple_finals": "second answer in one turn; both are kept",
            "no_markup": "text without markers; read as the answer",
            "no_recipient": "recipient that is neither a tool nor a role; the channel decides what the frame is",
            "odd_space": "white space other than a blank in a header; read as a blank",
            "odd_tool_name": "tool name in another case or with other characters around it; read as the offered tool",
            "redundant_stop": "stop token without an open frame; ignored",
            "repeated_start": "repeats the <|start|> and role of its prompt; skipped",
            "return_mid_turn": "<|return|> before the last frame",
            "role_is_tool_name": "tool name in place of the role; read as a call of that tool",
            "stray_header_text": "words without meaning in a header; ignored",
            "stray_text": "text between frames; not part of the message",
            "stripped_markers": "text whose markers were removed; frames are recognised by the remaining words",
            "tool_call_on_analysis": "function call on the analysis channel",
            "tool_call_on_final": "tool call on the final channel",
            "truncated_content": "the input ends before a stop token",
            "truncated_header": "the input ends in a header",
            "unknown_channel": "unknown channel; the frame is read as the answer",
            "unknown_content_type": "unknown content type",
            "unknown_role": "unknown role; read as the known role that it begins with",
            "unmarked_channel": "channel without <|channel|>",
            "unmarked_recipient": "recipient without to=",
            "wrong_namespace": "tool in another namespace than its own",
        }
    )


def test_messages_of_strict_parsing() -> None:
    messages: dict[str, str] = {}
    for raw in corpus_inputs():
        try:
            motet.parse(raw, strict=True)
        except motet.ParseError as error:
            messages.setdefault(error.code, str(error))
    assert dict(sorted(messages.items())) == snapshot(
        {
            "call_ended_by_stop": """\
call_ended_by_stop at 92 (content): "<|return|>": tool call with another stop token than <|call|>; expected text, then <|end|>, <|call|> or <|return|>
    …er <|constrain|>json<|message|>{"location":"SF"}<|return|>
                                                     ^^^^^^^^^^\
""",
            "call_without_recipient": """\
call_without_recipient at 39 (content): "<|call|>": <|call|> at the end of a frame that is not a call; expected text, then <|end|>, <|call|> or <|return|>
    <|channel|>commentary<|message|>{"a":1}<|call|>
                                           ^^^^^^^^\
""",
            "channel_as_recipient": """\
channel_as_recipient at 0 (header): "<|channel|>analysis to=final code": channel in place of the recipient; the frame is read as one of that channel; expected a role, then ` to=` and a recipient, <|channel|> and a channel, a content type, then <|message|>
    <|channel|>analysis to=final cod…
    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\
""",
            "channel_case": """\
channel_case at 11 (header): "ANALYSIS": channel in upper case; read in lower case; expected a role, then ` to=` and a recipient, <|channel|> and a channel, a content type, then <|message|>
    <|channel|>ANALYSIS<|message|>x<|end|>
               ^^^^^^^^\
""",
            "duplicate_channel": """\
duplicate_channel at 11 (header): "commentary": second channel; the last one counts; expected a role, then ` to=` and a recipient, <|channel|> and a channel, a content type, then <|message|>
    <|channel|>commentary to=functions.get_weather<|chann…
               ^^^^^^^^^^\
""",
            "duplicate_message": """\
duplicate_message at 27 (content): "<|message|>": repeated <|message|>; the second one is ignored; expected text, then <|end|>, <|call|> or <|return|>
    <|channel|>final<|message|><|message|>Hi<|return|>
                               ^^^^^^^^^^^\
""",
            "duplicate_recipient": """\
duplicate_recipient at 50 (header): "functions.get_weather": second recipient; the first one counts; expected a role, then ` to=` and a recipient, <|channel|> and a channel, a content type, then <|message|>
    …o=functions.get_weather<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"l…
                                                     ^^^^^^^^^^^^^^^^^^^^^\
""",
            "duplicate_start": """\
duplicate_start at 51 (header): "<|start|>": repeated <|start|>; the last one counts; expected a role, then ` to=` and a recipient, <|channel|> and a channel, a content type, then <|message|>
    …hannel|>analysis<|message|>think<|end|><|start|><|start|>assistant<|channel|>final<|messa…
                                                     ^^^^^^^^^\
""",
            "empty_channel": """\
empty_channel at 0 (header): "<|channel|>": <|channel|> without a channel; expected a role, then ` to=` and a recipient, <|channel|> and a channel, a content type, then <|message|>
    <|channel|>Hello! How can I
    ^^^^^^^^^^^\
""",
            "empty_content_type": """\
empty_content_type at 17 (header): "<|constrain|>": <|constrain|> without a content type; expected a role, then ` to=` and a recipient, <|channel|> and a channel, a content type, then <|message|>
    <|channel|>final <|constrain|>The answer is 4.<|return|>
                     ^^^^^^^^^^^^^\
""",
            "empty_output": """\
empty_output at 0 (header): empty output: neither a marker nor text; expected a role, then ` to=` and a recipient, <|channel|> and a channel, a content type, then <|message|>
    \n\
    ^\
""",
            "empty_recipient": """\
empty_recipient at 22 (header): "to=": to= without a recipient; expected a role, then ` to=` and a recipient, <|channel|> and a channel, a content type, then <|message|>
    <|channel|>commentary to= functions.f <|constrain|>json<|…
                          ^^^\
""",
            "end_of_text": """\
end_of_text at 29 (content): "<|endoftext|>": <|endoftext|> in place of a stop token; expected text, then <|end|>, <|call|> or <|return|>
    <|channel|>final<|message|>Hi<|endoftext|>
                                 ^^^^^^^^^^^^^\
""",
            "foreign_role": """\
foreign_role at 45 (header): "user": turn of another role in the completion; not part of the message; expected a role, then ` to=` and a recipient, <|channel|> and a channel, a content type, then <|message|>
    <|channel|>final<|message|>Hi<|end|><|start|>user<|message|>next question<|end|>
                                                 ^^^^\
""",
            "foreign_tool_result": """\
foreign_tool_result at 84 (header): "functions.f to=assistant<|channel|>commentary": tool result written by the model; expected a role, then ` to=` and a recipient, <|channel|> and a channel, a content type, then <|message|>
    … <|constrain|>json<|message|>{}<|call|><|start|>functions.f to=assistant<|channe…
                                                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\
""",
            "garbage_channel": """\
garbage_channel at 21 (header): "?commentary?": channel followed by other characters; read as the channel that it begins with; expected a role, then ` to=` and a recipient, <|channel|> and a channel, a content type, then <|message|>
    <|channel|>commentary?commentary?We look it up.<|end|><|start|>as…
                         ^^^^^^^^^^^^\
""",
            "garbage_header": """\
garbage_header at 0 (header): "<|channel|>commentary to=assistant<|channel|>commentary?": header without content; ignored; expected a role, then ` to=` and a recipient, <|channel|> and a channel, a content type, then <|message|>
    <|channel|>commentary to=assista…
    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\
""",
            "header_order": """\
header_order at 29 (header): "commentary": recipient or channel after the content type; expected a role, then ` to=` and a recipient, <|channel|> and a channel, a content type, then <|message|>
     <|constrain|>json<|channel|>commentary<|message|>{}<|end|>
                                 ^^^^^^^^^^\
""",
            "invalid_recipient": """\
invalid_recipient at 25 (header): "`functions.f`": recipient with other characters around it; read as the part that is a valid name; expected a role, then ` to=` and a recipient, <|channel|> and a channel, a content type, then <|message|>
    <|channel|>commentary to=`functions.f`{"a": 1}<|call|>
                             ^^^^^^^^^^^^^\
""",
            "invalid_value": """\
invalid_value at 33 (header): "read:": header value outside the grammar; kept as written; expected a role, then ` to=` and a recipient, <|channel|> and a channel, a content type, then <|message|>
    <|channel|>analysis <|constrain|>read:<|message|>{"path":"a"}<|call|>
                                     ^^^^^\
""",
            "marker_in_content": """\
marker_in_content at 31 (content): "<|channel|>": marker that does not begin a frame; kept as text; expected text, then <|end|>, <|call|> or <|return|>
    <|channel|>final<|message|>Use <|channel|>analysis in the header.<|return|…
                                   ^^^^^^^^^^^\
""",
            "missing_end": """\
missing_end at 71 (content): "<|start|>": frame without a stop token before the next one; read as ended; expected text, then <|end|>, <|call|> or <|return|>
    …o=functions.f <|constrain|>json<|message|>{"a": <|start|>assistant<|channel|>final<|messa…
                                                     ^^^^^^^^^\
""",
            "missing_header": """\
missing_header at 0 (start): "Hello there!": text without a header; its position decides what it is; expected <|start|>
    Hello there!<|end|>
    ^^^^^^^^^^^^\
""",
            "missing_message": """\
missing_message at 54 (header): "{\\"a\\": 1}": header without <|message|>; content begins at the first word that cannot be header; expected a role, then ` to=` and a recipient, <|channel|> and a channel, a content type, then <|message|>
    …nel|>commentary to=functions.f <|constrain|>json{"a": 1}<|call|>
                                                     ^^^^^^^^\
""",
            "missing_start": """\
missing_start at 42 (start): "commentary to=functions.f ": header without <|start|>; the role is read as assistant; expected <|start|>
    <|channel|>analysis<|message|>think<|end|>commentary to=functions.f <|constrain|>json<|message|>{}<|…
                                              ^^^^^^^^^^^^^^^^^^^^^^^^^^\
""",
            "no_markup": """\
no_markup at 0 (header): "Hello, plain text answer.": text without markers; read as the answer; expected a role, then ` to=` and a recipient, <|channel|> and a channel, a content type, then <|message|>
    Hello, plain text answer.
    ^^^^^^^^^^^^^^^^^^^^^^^^^\
""",
            "no_recipient": """\
no_recipient at 0 (header): "<|channel|>commentary to=none": recipient that is neither a tool nor a role; the channel decides what the frame is; expected a role, then ` to=` and a recipient, <|channel|> and a channel, a content type, then <|message|>
    <|channel|>commentary to=none<|message|>Hi<|end|>
    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\
""",
            "odd_space": """\
odd_space at 21 (header): "\\u{a0}": white space other than a blank in a header; read as a blank; expected a role, then ` to=` and a recipient, <|channel|> and a channel, a content type, then <|message|>
    <|channel|>commentary\xa0to=functions.get_weather\u202f<|const…
                         ^\
""",
            "redundant_stop": """\
redundant_stop at 42 (start): "<|end|>": stop token without an open frame; ignored; expected <|start|>
    <|channel|>analysis<|message|>think<|end|><|end|><|start|>assistant<|channel|>fin…
                                              ^^^^^^^\
""",
            "repeated_start": """\
repeated_start at 0 (header): "<|start|>": repeats the <|start|> and role of its prompt; skipped; expected a role, then ` to=` and a recipient, <|channel|> and a channel, a content type, then <|message|>
    <|start|>functions.exec_command{"cmd":"ls…
    ^^^^^^^^^\
""",
            "return_mid_turn": """\
return_mid_turn at 54 (header): "assistant<|channel|>final": <|return|> before the last frame; expected a role, then ` to=` and a recipient, <|channel|> and a channel, a content type, then <|message|>
    …nel|>analysis<|message|>think<|return|><|start|>assistant<|channel|>final<|message|>Hi<|return|>
                                                     ^^^^^^^^^^^^^^^^^^^^^^^^^\
""",
            "role_is_tool_name": """\
role_is_tool_name at 47 (header): "bash": tool name in place of the role; read as a call of that tool; expected a role, then ` to=` and a recipient, <|channel|> and a channel, a content type, then <|message|>
    <|channel|>analysis<|message|>x<|end|><|start|>bash<|channel|>commentary<|message|>…
                                                   ^^^^\
""",
            "stray_header_text": """\
stray_header_text at 39 (header): "Search": words without meaning in a header; ignored; expected a role, then ` to=` and a recipient, <|channel|> and a channel, a content type, then <|message|>
    <|channel|>commentary to=functions.Web Search <|constrain|>json<|message|>{"q…
                                           ^^^^^^\
""",
            "stray_text": """\
stray_text at 44 (start): " literally": text between frames; not part of the message; expected <|start|>
    <|channel|>final<|message|>I mention <|end|> literally<|return|>
                                                ^^^^^^^^^^\
""",
            "stripped_markers": """\
stripped_markers at 0 (header): "to=functions.bash 由json ": text whose markers were removed; frames are recognised by the remaining words; expected a role, then ` to=` and a recipient, <|channel|> and a channel, a content type, then <|message|>
    to=functions.bash 由json {"command":"ls"}
    ^^^^^^^^^^^^^^^^^^^^^^^^\
""",
            "truncated_content": """\
truncated_content at 38 (content): the input ends before a stop token; expected text, then <|end|>, <|call|> or <|return|>
    <|channel|>analysis<|message|>We think
                                          ^\
""",
            "truncated_header": """\
truncated_header at 39 (header): "<|start|>assistant to": the input ends in a header; expected a role, then ` to=` and a recipient, <|channel|> and a channel, a content type, then <|message|>
    <|channel|>analysis<|message|>ok<|end|><|start|>assistant to
                                           ^^^^^^^^^^^^^^^^^^^^^\
""",
            "unknown_role": """\
unknown_role at 51 (header): "Assistant": unknown role; read as the known role that it begins with; expected a role, then ` to=` and a recipient, <|channel|> and a channel, a content type, then <|message|>
    …hannel|>analysis<|message|>think<|end|><|start|>Assistant<|channel|>final<|message|>Hi<|r…
                                                     ^^^^^^^^^\
""",
            "unmarked_channel": """\
unmarked_channel at 60 (header): "finalHello": channel without <|channel|>; expected a role, then ` to=` and a recipient, <|channel|> and a channel, a content type, then <|message|>
    …nalysis<|message|>think<|end|><|start|>assistantfinalHello<|return|>
                                                     ^^^^^^^^^^\
""",
            "unmarked_recipient": """\
unmarked_recipient at 11 (header): "functions.exec_command": recipient without to=; expected a role, then ` to=` and a recipient, <|channel|> and a channel, a content type, then <|message|>
    <|channel|>functions.exec_command{"cmd":"ls -l"}<|call|>
               ^^^^^^^^^^^^^^^^^^^^^^\
""",
        }
    )


INVALID_PROMPTS: dict[str, Callable[[], Any]] = {
    "role": lambda: motet.render([{"role": "robot", "content": "x"}]),
    "no role": lambda: motet.render([{"content": "x"}]),
    "content": lambda: motet.render([{"role": "user", "content": 3}]),
    "content part": lambda: motet.render([{"role": "user", "content": [{"type": "image_url"}]}]),
    "message": lambda: motet.render(["Hi"]),  # type: ignore[list-item]
    "messages": lambda: motet.render({"role": "user"}),  # type: ignore[arg-type]
    "call": lambda: motet.render([{"role": "assistant", "tool_calls": [{"function": {"name": "f"}}, 3]}]),
    "result": lambda: motet.render([USER, {"role": "tool", "content": object()}]),
    "tool": lambda: motet.render([USER], tools=[{"type": "function"}]),
    "tool name": lambda: motet.render([USER], tools=["a b"], strict=True),
    "empty tool name": lambda: motet.render([USER], tools=[""]),
    "tool twice": lambda: motet.render([USER], tools=["f", "f"]),
    "built-in tool": lambda: motet.render([USER], builtin_tools=["shell"]),  # type: ignore[list-item]
    "effort": lambda: motet.render([USER], reasoning_effort="extreme"),  # type: ignore[arg-type]
    "date": lambda: motet.render([USER], current_date="2026-02-30"),
    "dialect": lambda: motet.render([USER], dialect="latin"),  # type: ignore[call-overload]
    "next role": lambda: motet.render([USER], next_role="robot"),
    "author": lambda: motet.render_frames([motet.Frame("tool", "x", name="a<|end|>")]),
    "channel": lambda: motet.render_frames([motet.Frame("assistant", "x", channel="a b")]),
    "recipient": lambda: motet.render_frames([motet.Frame("assistant", "x", recipient="a b")]),
}


def test_messages_of_rendering() -> None:
    assert {name: message_of(call) for name, call in INVALID_PROMPTS.items()} == snapshot(
        {
            "role": "RenderError: messages[0]['role'] must be system, developer, user, assistant, tool or function, not 'robot'",
            "no role": "RenderError: messages[0]['role'] must be system, developer, user, assistant, tool or function, not None",
            "content": "RenderError: messages[0]['content'] must be str or a list of text parts, not int",
            "content part": "RenderError: messages[0]['content'] has a part 'image_url': gpt-oss reads text only",
            "message": "TypeError: messages[0] must be a Message or a dict, not str",
            "messages": "TypeError: messages must be a list of messages, not dict",
            "call": 'RenderError: messages[0][\'tool_calls[1]\'] must be {"id": ..., "function": {"name": ..., "arguments": ...}}',
            "result": "RenderError: messages[1] is a tool's result and needs a tool_call_id or a name",
            "tool": "TypeError: tools[0] has no name",
            "tool name": 'RenderError: tool "a b": its name cannot stand in a header; it is written as "a_b"',
            "empty tool name": 'RenderError: tool "": tool name "" cannot stand in a header: it must be 1 to 64 of A-Z a-z 0-9 _ . -, and not a role',
            "tool twice": 'RenderError: two tools are named "f": a model could not tell them apart',
            "built-in tool": "ValueError: builtin_tools can be 'browser', 'container', 'python', 'repo_browser', not \"shell\"",
            "effort": "ValueError: reasoning_effort must be one of 'low', 'medium', 'high', not \"extreme\"",
            "date": 'RenderError: current_date "2026-02-30" must be a date as 2025-06-28',
            "dialect": "ValueError: dialect must be one of 'motet', 'openai_harmony', 'oss_harmony', 'chat_template', not \"latin\"",
            "next role": 'ValueError: next_role must be one of system, developer, user, assistant, tool, not "robot"',
            "author": 'RenderError: frames[0]: tool author "a<|end|>" cannot stand in a header: it must be 1 to 128 of A-Z a-z 0-9 _ . : / @ -, and neither begin as a role nor be a channel',
            "channel": 'RenderError: frames[0]: channel "a b" cannot stand in a header: it must be 1 to 32 of A-Z a-z 0-9 _ -',
            "recipient": 'RenderError: frames[0]: recipient "a b" cannot stand in a header: it must be 1 to 128 of A-Z a-z 0-9 _ . : / @ -',
        }
    )


INVALID_TEXTS: dict[str, Callable[[], Any]] = {
    "text": lambda: motet.encode(b"x"),  # type: ignore[arg-type]
    "special": lambda: motet.encode("<|end|>", special="error"),
    "policy": lambda: motet.encode("x", special="all"),  # type: ignore[arg-type]
    "id": lambda: motet.decode([201_088]),
    "ids": lambda: motet.decode("x"),  # type: ignore[arg-type]
    "texts": lambda: motet.encode_batch("x"),
    "threads": lambda: motet.encode_batch(["x"], threads=0),
    "completion": lambda: motet.parse(5),  # type: ignore[call-overload]
    "stripped": lambda: motet.parse("x", stripped="maybe"),  # type: ignore[call-overload]
}


def test_messages_of_tokens() -> None:
    assert {name: message_of(call) for name, call in INVALID_TEXTS.items()} == snapshot(
        {
            "text": "TypeError: text must be str, not bytes",
            "special": 'SpecialTokenError: text holds the special token "<|end|>" at byte 0: pass special="text" to encode it as text, or special="token" as the control token',
            "policy": "ValueError: special must be 'text', 'token', 'error' or a set of special tokens: 'all'",
            "id": "ValueError: ids[0] is 201088, which is not a token id: they run from 0 to 201087",
            "ids": "TypeError: ids must be token ids, not str",
            "texts": "TypeError: texts must be a list of str, not str",
            "threads": "ValueError: threads must be at least 1, not 0",
            "completion": "TypeError: raw must be str, bytes or an iterable of token ids, not int",
            "stripped": "ValueError: stripped must be 'auto', 'always' or 'never', not \"maybe\"",
        }
    )
