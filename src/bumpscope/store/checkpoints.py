"""Weights on disk: safetensors files that load without executing code, with a digest against flipped bits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from bumpscope.store.files import CURE, FileError, atomic_path, first_line
from bumpscope.store.manifest import verify


def _digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """SHA-256 of tensors and metadata; states to resume from have no other checksum."""
    digest = hashlib.sha256(repr(sorted((key, text) for key, text in metadata.items() if key != "digest")).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and text metadata, whole or not at all."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        described = {**metadata, "digest": _digest(plain, metadata)}
        temporary.write_bytes(_repeatable(save(plain, metadata=described)))


def _repeatable(file: bytes) -> bytes:
    """The same file with its metadata in alphabetical order; safetensors writes it in a random one."""
    length = int.from_bytes(file[:8], "little")
    header = json.loads(file[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors start at multiples of eight bytes
    return len(text).to_bytes(8, "little") + text + file[8 + length :]


def load_tensors(path: str | Path, prefix: str = "") -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors of a file whose names start with ``prefix`` (which is cut off), and its metadata.

    Raises:
        FileError: when the file is missing, is not safetensors, or its content does not match its digest.
    """
    try:
        verify(path)
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise FileError(f"{path}: is missing; run the step that makes it") from None
    except (SafetensorError, OSError) as error:
        raise FileError(f"{path}: is not a readable checkpoint ({first_line(error)}); {CURE}") from None
    if metadata.get("digest") != _digest(tensors, metadata):
        raise FileError(f"{path}: its content does not match its digest; {CURE}")
    chosen = {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    if not chosen:
        raise FileError(f"{path}: holds no tensor named {prefix}*; {CURE}")
    return chosen, metadata


def load_weights(path: str | Path, weights: str) -> dict[str, Tensor]:
    """Weights of a checkpoint: ``ema`` for their moving average, ``raw`` for the weights themselves."""
    return load_tensors(path, f"{weights}.")[0]


def restore_weights(network: nn.Module, path: str | Path, weights: str, run: str = "") -> None:
    """Give a network the weights of a checkpoint.

    Args:
        weights: as for :func:`load_weights`.
        run: the run that the checkpoint must belong to, if any.

    Raises:
        FileError: as :func:`load_tensors`, and when the checkpoint is of another run, step or network.
    """
    path = Path(path)
    tensors, metadata = load_tensors(path, f"{weights}.")
    if run and (found := metadata.get("run")) and found != run:
        raise FileError(f"{path}: belongs to run {found}, not to {run}; {CURE}")
    if (step := metadata.get("step")) and path.stem != f"step={step}":
        raise FileError(f"{path}: holds the weights of step {step}; {CURE}")
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise FileError(f"{path}: holds the weights of another network ({first_line(error)}); {CURE}") from None
