"""What a vLLM server replies: its models, answers and errors, checked. Anything unexpected is one clear line.

Knows the documents of the OpenAI interface; does not know HTTP.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from infer.model.adapter_folder import ADAPTER_WEIGHTS
from infer.model.base_files import base_digest, refuse_other_weights, resolve_model_name, split_revision
from infer.model.errors import ModelError
from infer.model.source import ModelSource

START = "start it with `python -m infer.vllm` and the same --model_path"


def refuse_error_object(document: Any, server: str) -> None:
    """Refuse a reply that is no object, or is an error under a status of success."""
    if not isinstance(document, dict):
        raise ModelError(f"the server {server} replies {_short(document)}, which no vLLM server does; check --server")
    if document.get("error") or document.get("object") == "error":
        error = document.get("error") or document.get("message")
        detail = error.get("message", error) if isinstance(error, dict) else error
        raise ModelError(f"the server {server} refuses the request: {_short(detail)}")


def answer_in(reply: dict[str, Any], server: str) -> str:
    """Return the text of a chat completion.

    Raises:
        ModelError: The reply holds no choice, or no text.
    """
    choices = reply.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = choice.get("message")
    if not isinstance(message, dict):
        raise ModelError(f"the server {server} replies without a choice: {_short(reply)}; see the log of the server")
    content = message.get("content")
    if not isinstance(content, str):
        raise ModelError(
            f"the server {server} replies without a text (content is {_short(content)}, finish_reason "
            f"{_short(choice.get('finish_reason'))}); start it without a reasoning parser or tools, as "
            "`python -m infer.vllm` does"
        )
    return content


def refuse_other_model(models: dict[str, Any], name: str, server: str, source: ModelSource) -> None:
    """Refuse a server whose model `name` is not the one of `source`, as far as its list of models tells.

    The list names the place of each model ("root") and, for an adapter, its base ("parent"). Weights are compared by
    content where the server's folder is on this machine, too.

    Raises:
        ModelError: The model is missing, is of the other kind, or has other weights.
    """
    rows = models.get("data")
    if not isinstance(rows, list) or not all(isinstance(row, dict) and isinstance(row.get("id"), str) for row in rows):
        raise ModelError(f"the server {server} lists no models ({_short(models)}); check --server")
    by_name = {row["id"]: row for row in rows}
    row = by_name.get(name)
    if row is None:
        raise ModelError(
            f'the server {server} has no model "{name}", only {", ".join(by_name) or "none"}; {START}, or name the '
            "model with --server_model"
        )
    root, parent = row.get("root"), row.get("parent")
    if not source.use_lora:
        if parent:
            raise ModelError(
                f'"{name}" of the server {server} is an adapter ({root}) on "{parent}", but a base is asked for; add '
                "--use_lora and name the adapter folder, or name the base with --server_model"
            )
        _refuse_other_base(root, source.model_path, name, server)
        return
    if "parent" in row and not parent:
        raise ModelError(
            f'"{name}" of the server {server} is a model without an adapter ({root}), so it would answer as the base '
            f"does; {START} and --use_lora, or name the adapter with --server_model"
        )
    if root and (Path(root) / ADAPTER_WEIGHTS).is_file():
        theirs, ours = ((Path(folder) / ADAPTER_WEIGHTS).read_bytes() for folder in (root, source.model_path))
        if theirs != ours:
            raise ModelError(
                f'"{name}" of the server {server} is the adapter {root}, not {source.model_path}; {START}'
                " and --use_lora"
            )
    base = by_name.get(parent, {}).get("root") if parent else None
    if base and Path(base).is_dir():
        _, config = source.check_folder()
        refuse_other_weights(source.model_path, config.base_digest if config else None, base)


def _refuse_other_base(root: str | None, base_name: str, name: str, server: str) -> None:
    if not root or resolve_model_name(root) == resolve_model_name(split_revision(base_name)[0]):
        return
    try:
        same = base_digest(root) == base_digest(base_name)
    except ModelError:  # the weights of one of them are elsewhere
        print(
            f'warning: "{name}" of the server {server} is {root}; whether its weights are those of {base_name} cannot '
            "be checked here"
        )
        return
    if not same:
        raise ModelError(
            f'"{name}" of the server {server} is {root}, which has other weights than {base_name}; {START}'
        )


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 300 else text[:300] + "..."
