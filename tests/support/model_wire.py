"""What a model answers, on the wire of each API: as one message, as a stream of events, or as an error."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict

from tests.support.model_script import Json, Refuse, Say


def message(model: str, say: Say) -> dict[str, Json]:
    """The body of an answer that is not streamed."""
    return {
        "id": _new_id("msg"),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": _content(say),
        "stop_reason": say.stop_reason or ("tool_use" if say.tools else "end_turn"),
        "stop_sequence": None,
        "usage": asdict(say.usage),
    }


def event_stream(model: str, say: Say) -> tuple[list[bytes], list[bytes]]:
    """The server-sent events of a streamed answer, in two parts that meet inside its first block."""
    whole = message(model, say)
    usage = {**whole["usage"], "output_tokens": 1}
    opening = {**whole, "content": [], "stop_reason": None, "usage": usage}
    events = [_event("message_start", message=opening)]
    middle = 0
    for index, block in enumerate(whole["content"]):
        start, deltas = _pieces(block)
        events.append(_event("content_block_start", index=index, content_block=start))
        events += [_event("content_block_delta", index=index, delta=delta) for delta in deltas]
        middle = middle or len(events) - 1
        events.append(_event("content_block_stop", index=index))
    end = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    events += [_event("message_delta", delta=end, usage=whole["usage"]), _event("message_stop")]
    return events[:middle], events[middle:]


def responses_stream(model: str, say: Say) -> tuple[list[bytes], list[bytes]]:
    """The same answer in the events of the OpenAI Responses API."""
    texts = [{"type": "output_text", "text": say.text, "annotations": []}]
    spoken = {"type": "message", "id": _new_id("msg"), "role": "assistant", "content": texts}
    calls = [
        {
            "type": "function_call",
            "id": _new_id("fc"),
            "call_id": _new_id("call"),
            "name": call.name,
            "arguments": json.dumps(dict(call.input)),
        }
        for call in say.tools
    ]
    items = [*([spoken] if say.text or not calls else []), *calls]
    usage = {
        "input_tokens": say.usage.input_tokens,
        "input_tokens_details": {"cached_tokens": say.usage.cache_read_input_tokens},
        "output_tokens": say.usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": say.usage.input_tokens + say.usage.output_tokens,
    }
    whole = {"id": _new_id("resp"), "object": "response", "model": model, "output": items, "usage": usage}
    opening = [_event("response.created", response={**whole, "status": "in_progress", "output": []})]
    done = [_event("response.output_item.done", output_index=at, item=item) for at, item in enumerate(items)]
    return opening, [*done, _event("response.completed", response={**whole, "status": "completed"})]


def chat_stream(model: str, say: Say) -> tuple[list[bytes], list[bytes]]:
    """The same answer in the chunks of the OpenAI Chat Completions API."""
    base = {"id": _new_id("chatcmpl"), "object": "chat.completion.chunk", "created": 0, "model": model}
    calls = [
        {
            "index": at,
            "id": _new_id("call"),
            "type": "function",
            "function": {"name": call.name, "arguments": json.dumps(dict(call.input))},
        }
        for at, call in enumerate(say.tools)
    ]
    read = say.usage.input_tokens + say.usage.cache_read_input_tokens
    usage = {
        "prompt_tokens": read,
        "prompt_tokens_details": {"cached_tokens": say.usage.cache_read_input_tokens},
        "completion_tokens": say.usage.output_tokens,
        "total_tokens": read + say.usage.output_tokens,
    }
    first, rest = _halves(say.text)
    words = [{"role": "assistant", "content": first}, {"content": rest}]
    deltas = [*words, *({"tool_calls": [call]} for call in calls)]
    chunks = [_data(**base, choices=[{"index": 0, "delta": one, "finish_reason": None}]) for one in deltas]
    reason = say.stop_reason or ("tool_calls" if calls else "stop")
    end = _data(**base, choices=[{"index": 0, "delta": {}, "finish_reason": reason}], usage=usage)
    return chunks[:1], [*chunks[1:], end, b"data: [DONE]\n\n"]


def gemini_stream(model: str, say: Say) -> tuple[list[bytes], list[bytes]]:
    """The same answer in the chunks of Google's `streamGenerateContent`."""
    first, rest = _halves(say.text)
    calls = [{"functionCall": {"name": call.name, "args": dict(call.input)}} for call in say.tools]
    usage = {
        "promptTokenCount": say.usage.input_tokens + say.usage.cache_read_input_tokens,
        "cachedContentTokenCount": say.usage.cache_read_input_tokens,
        "candidatesTokenCount": say.usage.output_tokens,
        "totalTokenCount": say.usage.input_tokens + say.usage.output_tokens,
    }

    def chunk(parts: list[Json], **more: Json) -> bytes:
        content = {"role": "model", "parts": parts}
        return _data(candidates=[{"index": 0, "content": content, **more}], usageMetadata=usage)

    reason = say.stop_reason or "STOP"
    return [chunk([{"text": first}])], [chunk([{"text": rest}, *calls], finishReason=reason)]


def error_body(refusal: Refuse) -> dict[str, Json]:
    """The body of an HTTP error."""
    error = {"type": refusal.kind, "message": refusal.message}
    return {"type": "error", "error": error, "request_id": _new_id("req")}


def _content(say: Say) -> list[dict[str, Json]]:
    """A turn without text has no text block, unless it would be empty."""
    text: list[dict[str, Json]] = [{"type": "text", "text": say.text}] if say.text or not say.tools else []
    calls = [
        {"type": "tool_use", "id": _new_id("toolu"), "name": call.name, "input": dict(call.input)}
        for call in say.tools
    ]
    return [*text, *calls]


def _pieces(block: Mapping[str, Json]) -> tuple[dict[str, Json], list[dict[str, Json]]]:
    """A block as it starts, and the two deltas that fill it."""
    if block["type"] == "text":
        return {"type": "text", "text": ""}, [
            {"type": "text_delta", "text": half} for half in _halves(block["text"])
        ]
    halves = _halves(json.dumps(block["input"]))
    return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": half} for half in halves]


def _halves(text: str) -> tuple[str, str]:
    middle = len(text) // 2
    return text[:middle], text[middle:]


def _event(kind: str, **fields: Json) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def _data(**fields: Json) -> bytes:
    return f"data: {json.dumps(fields)}\n\n".encode()


def _new_id(prefix: str) -> str:
    return f"{prefix}_scripted_{uuid.uuid4().hex[:12]}"
