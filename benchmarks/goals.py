"""What is wanted of each result, and what was measured: rows of docs/speed.md."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks import (
    accelerator_decode,
    compile,
    decode,
    encode,
    first_step,
    interop,
    loader,
    memory,
    published,
    startup,
    train,
)
from benchmarks.shapes import SHAPES
from benchmarks.workloads import PUBLISHED, RATIO


class Row(NamedTuple):
    """what: in words. result: the file's name. value: None where nothing was measured. goal: None
    for none. most: whether the goal is what the value may be at most."""

    what: str
    result: str
    value: float | None
    goal: float | None = None
    most: bool = False
    unit: str = ""

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "not measured"
        if self.goal is None:
            return ""
        met = self.value <= self.goal if self.most else self.value >= self.goal
        return "met" if met else "missed"


def cpu(results: dict[str, dict]) -> list[Row]:
    """results: {name: content} of the files of a CPU."""
    rows = []

    def add(what, name, path, goal=None, most=False, unit=""):
        rows.append(Row(what, name, value_at(results.get(name), path), goal, most, unit))

    for shape in SHAPES:
        name, text = f"train_fp32_{shape}", f"training, {shape.replace('_', '–')}"
        add(f"{text}: tokens/s over the best of PyTorch", name, "ratio", train.GOALS["ratio"])
        add(f"{text}: of the matmul rate", name, "of_matmul", train.GOALS["of_matmul"])
    for beams in decode.BEAMS:
        how = "greedy" if beams == 1 else f"{beams} beams"
        for many, goal in decode.GOALS.items():
            add(f"decoding, {how}, {many} row{'s' * (many > 1)}: over the best of PyTorch",
                "decode_fp32", f"beams.{beams}.{many}.ratio", goal)
    for model in published.MODELS:
        add(f"decoding {model}: over the best of PyTorch", "published_fp32",
            f"models.{model}.ratio", 1.0)
        add(f"decoding {model}: of the weight-read ceiling", "published_fp32",
            f"models.{model}.of_ceiling", published.GOAL)
    add("compile time, 96 layers over 12", "compile_fp32", "ratio", compile.GOAL, True)
    add("initialisation's, 96 layers over 12", "compile_fp32", "init_ratio", compile.GOAL, True)
    add("imports beyond jax", "startup", "beyond_jax", startup.GOAL, True, " s")
    add("loader over training", "loader_fp32", "ratio", loader.GOALS["ratio"])
    add("training's wait for data", "loader_fp32", "waiting", loader.GOALS["waiting"], True)
    for shape in SHAPES:
        add(f"memory of a step over the count, {shape.replace('_', '–')}", "memory_fp32_none",
            f"shapes.{shape}.ratio", memory.GOAL, True)
    add("encoding over SentencePiece", "encode", "ratio", encode.GOALS["ratio"])
    add("memory while encoding", "encode", "whole.gigabytes", encode.GOALS["gigabytes"], True,
        " GB")
    for way in ("import", "export"):
        add(f"{way}, Hugging Face: over the libraries' reading and writing", "interop",
            f"{way}.time_ratio", interop.GOALS["seconds"], True)
        add(f"{way}'s own memory over the file", "interop", f"{way}.own_memory_ratio",
            interop.GOALS["memory"], True)
    return rows


def accelerator(results: dict[str, dict], goals: bool) -> list[Row]:
    """results: of one kind of device. goals: whether they are those for this kind."""
    rows = []

    def add(what, name, path, goal=None, most=False, unit=""):
        rows.append(Row(what, name, value_at(results.get(name), path), goal if goals else None,
                        most, unit))

    for workload, work in PUBLISHED.items():
        name, text = f"train_{workload}", f"training {workload}"
        add(f"{text}: tokens/s", name, "sides.ours.tokens_per_second")
        add(f"{text}: over PyTorch", name, "ratio", RATIO)
        add(f"{text}: of the matmul rate", name, "of_matmul", work.goal)
        add(f"{text}: MFU", name, "mfu")
    for model in accelerator_decode.MODELS:
        name, text, wanted = f"decode_{model}", f"decoding {model}", accelerator_decode.GOALS
        add(f"{text}, 1 row: tokens/s", name, "tokens_per_second.1",
            wanted["tokens_per_second"].get(model))
        add(f"{text}, 1 row: weights read, of the bandwidth", name, "of_bandwidth",
            wanted["of_bandwidth"].get(model))
        add(f"{text}: 64 rows over 1", name, "many_over_one", wanted["many_over_one"].get(model))
    for how in ("cold", "warm"):
        add(f"first step, {how} cache", "first_step", how, first_step.GOALS[how], True, " s")
    add("compile time, 96 layers over 12", "compile_bf16", "ratio", compile.GOAL, True)
    return rows


def value_at(content, path: str) -> float | None:
    """What lies at a dotted path; None where there is nothing."""
    for name in path.split("."):
        content = content.get(name) if isinstance(content, dict) else None
    return content
