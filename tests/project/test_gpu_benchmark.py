"""benchmarks/gpu.sh, at small sizes on the CPU: every part writes its table, and a part that fails costs no other."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmark_modules import FOLDER, module

gpu, record = module("gpu"), module("record")
SET = ("losses", "behaviour")
# Compiling takes minutes on a CPU, where nothing is recorded.
PARTS = [part for part in gpu.PARTS if part not in ("compiled", "recorded")]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """The tables of a small run."""
    folder = tmp_path_factory.mktemp("gpu")
    gpu.main([*PARTS, "--small", "--device", "cpu", "--out", str(folder)])
    return folder


def table(made, name):
    frame, facts = record.read_table(made / f"{name}.parquet")
    assert facts["torch"] == torch.__version__ and len(frame)
    return frame


TABLES = {f"gpu-{part}-cpu" for part in PARTS}


def test_every_part_writes_its_table(made):
    assert {path.stem for path in made.glob("*.parquet")} == TABLES


@pytest.mark.slow  # the same by the script, in half a minute
def test_a_source_tree_that_is_not_installed_will_do_and_a_summary_is_kept(tmp_path):
    environment = os.environ | {"PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": ""}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [FOLDER / "gpu.sh", tmp_path, "--small"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    tables = TABLES | {f"gpu-set-{name}" for name in SET}
    assert {path.stem for path in tmp_path.glob("*.parquet")} == tables and not (tmp_path / "set").exists()
    assert (tmp_path / "summary.txt").read_text(encoding="utf-8") == done.stdout
    assert all(f"{part}: " in done.stdout for part in [*PARTS, "set"])


def test_on_a_cpu_nothing_is_recorded_and_everything_is_the_same(made):
    frame = table(made, "gpu-equality-cpu")
    assert set(frame.reference) == set(gpu.REFERENCES) and set(frame.precision) == {"float32", "bfloat16"}
    assert frame.groupby(["reference", "precision"]).size().eq(4).all()
    assert frame.same.all() and not frame.recorded.any()


def test_loops_are_timed_alone_and_with_others(made):
    frame = table(made, "gpu-training-cpu")
    assert {"bumpscope, one by one", "bumpscope", "diffusers"} <= set(frame["loop"])
    assert frame.error.isna().all() and (frame.milliseconds > 0).all()
    ours = frame[frame["loop"] == "bumpscope"]
    assert ours.runs.tolist() == [1, 2]
    assert (frame.run_steps_a_second * frame.milliseconds / frame.runs).tolist() == pytest.approx([1e3] * len(frame))


def test_cpu_and_device_agree_where_they_are_the_same(made):
    frame = table(made, "gpu-cpu-cpu")
    found = frame[frame.what.str.contains("relative difference")].groupby("precision").value.max()
    assert found["float32"] == found["tf32"] == 0 < found["bfloat16"] < 0.1  # TF32 is for GPUs
    assert frame.what.str.match("weights of one run after .* steps").sum() == 2


@pytest.mark.slow  # UMAP is compiled
def test_images_of_the_set_are_judged_and_its_activations_measured(tmp_path):
    gpu.gpu_set.make(tmp_path, "cpu", True)
    assert len(table(tmp_path, "gpu-set-behaviour")) == 2 * 16
    gpu.gpu_set.analyse(tmp_path, True)
    for name in ("behaviour", "topology", "geometry", "phases"):
        assert set(table(tmp_path, f"gpu-set-{name}").run) == {"balanced-seed0", "balanced-seed1"}
    assert not (tmp_path / "set").exists()


def test_a_loop_that_cannot_be_recorded_is_a_row_with_its_error(monkeypatch, tmp_path):
    def refuse(*_):
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    monkeypatch.setattr(gpu.peers, "diffusers_step", refuse)
    frame = gpu.table("training", CPU, True, tmp_path)
    (error,) = frame.error.dropna()
    assert error == "operation not permitted when stream is capturing"
    assert frame.milliseconds.notna().sum() == len(frame) - 1


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("void cudnn::ops::nchwToNhwcKernel<float, float>", "copies, casts, layout"),
        ("void cask_plugin::convertTensor_kernel<float>", "copies, casts, layout"),
        ("void at::native::CatArrayBatchedCopy<float, unsigned int, 4>", "copies, casts, layout"),
        ("void at::native::multi_tensor_apply_kernel<CopyFunctor<float, float>, Copy<float>>", "copies, casts, layout"),
        ("Memcpy DtoD (Device -> Device)", "copies, casts, layout"),
        ("sm80_xmma_fprop_implicit_gemm_tf32f32_nhwckcrs_nhwc_tilesize128x64", "convolutions"),
        ("void wgrad2d_grouped_direct_kernel<float>", "convolutions"),
        ("sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize64x64", "matrix products"),
        ("ampere_sgemm_32x128_tn", "matrix products"),
        ("void at::native::RowwiseMomentsCUDAKernel<float>", "normalisation"),
        ("multi_tensor_apply_kernel<FusedOptimizerTensorListMetadata<4>, FusedAdamMathFunctor>", "optimiser, clipping"),
        ("triton_poi_fused_convolution_silu_3", "fused by the compiler"),
        ("void at::native::vectorized_elementwise_kernel<4, at::native::FillFunctor<float>>", "fills"),
        ("void at::native::vectorized_elementwise_kernel<4, CUDAFunctor_add<float>>", "everything else"),
    ],
)
def test_kernels_are_counted_by_kind(name, kind):
    assert gpu.kind_of(name) == kind


def test_a_part_that_is_cut_off_leaves_what_it_has(monkeypatch, tmp_path):
    def part(*_):
        yield {"loop": "first", "milliseconds": 1.0}
        yield {"loop": "second", "error": "too large"}
        raise KeyboardInterrupt

    monkeypatch.setitem(gpu.PARTS, "training", part)
    with pytest.raises(KeyboardInterrupt):
        gpu.table("training", CPU, True, tmp_path)
    frame, _ = record.read_table(tmp_path / "gpu-training-cpu.parquet")
    assert frame["loop"].tolist() == ["first", "second"] and frame.error.isna().tolist() == [True, False]


def test_a_compiled_step_is_timed_and_compared_with_the_plain_one(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.nn.Module, "compile", lambda *_, **__: None)
    frame = gpu.table("compiled", CPU, True, tmp_path)
    assert (frame[["weights_apart_from_plain", "weights_apart_in_company"]] == 0).all(axis=None)
    assert frame.runs.tolist() == [1, 2] and frame.error.isna().all()
    assert (frame[["first_step_seconds", "milliseconds"]] > 0).all(axis=None)


def test_a_part_that_fails_is_told_and_the_python_that_lacks_a_package_too(tmp_path):
    for name, answer in (
        ("python-without", "echo torch pydantic"),
        ("python-failing", "case $1 in -) ;; *) exit 3 ;; esac"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{answer}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    run = lambda name: subprocess.run(  # noqa: E731
        [FOLDER / "gpu.sh", tmp_path / "out"], env=os.environ | {"PYTHON": str(tmp_path / name)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    without = run("python-without")
    assert without.returncode == 1 and "has no torch pydantic" in without.stderr
    failing = run("python-failing")
    assert failing.returncode == 1
    told = sorted(line.split(":")[0] for line in failing.stdout.splitlines())
    compiling = [f"compile --which {which}" for which in range(len(gpu._compiled_sizes(False)))]
    parts = ["analysis", "compiled", *compiling, *PARTS, "recorded", "set"]
    assert told == sorted(parts)
