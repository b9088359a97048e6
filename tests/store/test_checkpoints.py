"""Checkpoints: what is saved comes back to the bit, and what is broken is told."""

import json
import pickle
import struct

import pytest
import torch

from bumpscope.store import manifest
from bumpscope.store.checkpoints import load_tensors, load_weights, save_tensors
from bumpscope.store.files import FileError
from bumpscope.store.tables import read_checkpoint_metadata

TENSORS = {
    "raw.weight": torch.tensor([[0.1, -0.0], [float("inf"), 1e-45]]),
    "raw.bias": torch.arange(3, dtype=torch.float64),
    "ema.weight": torch.full((2, 2), 0.5),
    "step": torch.tensor(7),
    "log.steps": torch.tensor([], dtype=torch.int64),
    "optimizer.0.flag": torch.tensor([True, False]),
}
METADATA = {"step": "7", "config": '{"seed": 0}', "settings": "0123456789abcdef"}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "run" / "step=7.safetensors"
    save_tensors(path, TENSORS, METADATA)
    return path


def assert_told(path, told, load=load_tensors):
    with pytest.raises(FileError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert told in message
    assert "\n" not in message


def test_tensors_come_back_to_the_bit_with_their_types(path):
    tensors, metadata = load_tensors(path)
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert tensors[name].shape == tensor.shape
        assert tensors[name].numpy().tobytes() == tensor.numpy().tobytes()
    assert METADATA.items() <= metadata.items()


def test_a_prefix_chooses_tensors_and_is_cut_off(path):
    assert load_tensors(path, "raw.")[0].keys() == {"weight", "bias"}
    assert torch.equal(load_weights(path, "ema")["weight"], TENSORS["ema.weight"])
    assert torch.equal(load_weights(path, "raw")["weight"], TENSORS["raw.weight"])


def test_metadata_is_read_without_the_tensors(path):
    assert METADATA.items() <= read_checkpoint_metadata(path).items()


def test_the_same_tensors_make_the_same_file(path, tmp_path):
    turned = dict(reversed([(name, tensor.clone()) for name, tensor in TENSORS.items()]))
    save_tensors(tmp_path / "again", turned, METADATA)
    assert load_tensors(tmp_path / "again")[1]["digest"] == load_tensors(path)[1]["digest"]
    for _ in range(10):
        save_tensors(tmp_path / "same", TENSORS, METADATA)
        assert (tmp_path / "same").read_bytes() == path.read_bytes()


def test_nothing_is_left_beside_a_checkpoint(path):
    assert list(path.parent.iterdir()) == [path]


def test_weights_that_are_views_or_need_gradients_are_saved(tmp_path):
    weight = torch.randn(4, 6, requires_grad=True)
    save_tensors(tmp_path / "file", {"raw.turned": weight.T, "raw.row": weight[1]}, {})
    tensors = load_weights(tmp_path / "file", "raw")
    assert torch.equal(tensors["turned"], weight.T)
    assert torch.equal(tensors["row"], weight[1])


def test_any_flipped_bit_of_the_tensors_is_told(path):
    raw = path.read_bytes()
    header = 8 + struct.unpack("<Q", raw[:8])[0]
    for position in range(header, len(raw)):
        path.write_bytes(raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :])
        assert_told(path, "its content does not match its digest; delete it and run the workflow again")


def test_a_flipped_bit_of_the_header_never_gives_other_tensors_or_metadata(path):
    raw = path.read_bytes()
    header = 8 + struct.unpack("<Q", raw[:8])[0]
    for position in range(0, header, 2):
        path.write_bytes(raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :])
        try:
            tensors, metadata = load_tensors(path)
        except FileError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
        else:
            assert tensors.keys() == TENSORS.keys()
            assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
            assert METADATA.items() <= metadata.items()


def test_any_flipped_bit_of_a_recorded_checkpoint_is_told(path):
    with manifest.recorded_folder(path.parent, {path.name: manifest.checksum(path)}):
        pass
    raw = path.read_bytes()
    for position in range(0, len(raw), 5):
        path.write_bytes(raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :])
        manifest._checksum.cache_clear()
        for load in (load_tensors, read_checkpoint_metadata):
            assert_told(path, "does not match its checksum; delete it and run the workflow again", load)


@pytest.mark.parametrize("swap", [("raw.weight", "ema.weight")])
def test_tensors_that_trade_names_are_told(path, swap):
    raw = path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + size])
    header[swap[0]], header[swap[1]] = header[swap[1]], header[swap[0]]
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + size :])
    assert_told(path, "its content does not match its digest")


@pytest.mark.parametrize("keep", [0, 5, 8, 60, -1])
def test_a_truncated_file_is_told(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    assert_told(path, "is not a readable checkpoint")
    assert_told(path, "is not a readable checkpoint", read_checkpoint_metadata)


def test_a_missing_file_is_told(tmp_path):
    assert_told(tmp_path / "none.safetensors", "is missing; run the step that makes it")


def test_a_folder_in_place_of_a_file_is_told(tmp_path):
    assert_told(tmp_path, "is not a readable checkpoint")


def test_weights_that_are_not_there_are_told(path):
    assert_told(path, "holds no tensor named averaged.*", lambda path: load_weights(path, "averaged"))


def test_a_pickled_file_is_told_and_its_code_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    for content in (pickle.dumps(Trap()), None):
        path = tmp_path / "step=0.safetensors"
        if content is None:
            torch.save({"raw.weight": torch.zeros(2)}, path)
        else:
            path.write_bytes(content)
        assert_told(path, "is not a readable checkpoint")
    assert not (tmp_path / "sprung").exists()


def test_a_file_of_other_software_without_a_digest_is_told(tmp_path):
    from safetensors.torch import save_file

    save_file({"raw.weight": torch.zeros(2)}, tmp_path / "foreign")
    assert_told(tmp_path / "foreign", "does not match its digest")
