"""Makes the golden files: `python tests/parity/make_golden.py [NAME ...]`, by hand.

Needs torch and transformers; the tests that read the files need neither. Weights are drawn by numpy
from the name of the model and of the tensor and rounded to float16, in which they are kept; both
sides compute from them in float32. A second run gives the same files.

`golden/NAME/`: `config.json` and `model.safetensors`, a directory of Hugging Face; `io.npz` with
  in/X       what it is given          rounding/X  largest |float32 - float64| of what it gives
  out/X      what it gives, float32    generate/X  prompts, ends, answers and scores
  lessons/X  batches [N, B, ...] for its gradients and its training
  losses     of training, see `golden_training.py`
and of some `gradients/` and `trained/`, the same directory with gradients, or with the parameters
after training, where the weights were. `golden/versions.json` says what it was made with.
"""

from __future__ import annotations

import copy
import itertools
import json
import re
import sys
import zlib
from pathlib import Path

import golden_training as training
import numpy as np
import torch
import transformers
from golden_models import (ANSWERS, BEAMS, FOLDER, GOLDENS, GRADIENTS, NEW, PAD, PEAKS,
                           SLOPES, TRAINED, Golden, inputs, lessons, prompts)
from safetensors.torch import save_file

SPREAD, SMALL = 0.2, 0.05  # of all that is drawn; a factor of what is to be small


def build(name: str, golden: Golden):
    """The model in float32, nothing in it what it began as."""
    kind = getattr(transformers, golden.kind)
    config = kind.config_class(**golden.config, attn_implementation="eager")
    model = kind(config).eval()
    if golden.config.get("tie_word_embeddings") is False:  # T5 ties even so
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    moved = [pair for pair in model.named_parameters() if pair[1].requires_grad]  # sines do not
    moved += [pair for pair in model.named_buffers() if pair[0] == "final_logits_bias"]
    with torch.no_grad():
        for path, tensor in moved:
            tensor.copy_(torch.tensor(drawn(name, path, tensor, golden)))
    return model


def drawn(name: str, path: str, tensor, golden: Golden) -> np.ndarray:
    """Around 1 what began as 1, all else around 0."""
    draw = np.random.default_rng(zlib.crc32(f"{name} {path}".encode()))
    middle = 1.0 if bool((tensor == 1).all()) else 0.0
    values = middle + SPREAD * draw.standard_normal(tuple(tensor.shape))
    values *= SMALL if re.search(golden.small, path) else 1.0
    return values.astype(np.float16).astype(np.float32)


def outputs(model, given: dict) -> dict[str, np.ndarray]:
    """Every tensor that the class gives, and what its trunk does."""
    kept = {}
    two = model.config.is_encoder_decoder
    trunk = model.get_decoder() if two else getattr(model, model.base_model_prefix)
    hook = trunk.register_forward_hook(lambda _, __, out: kept.update(out))
    with torch.no_grad():
        out = model(**{name: torch.tensor(array) for name, array in given.items()})
    hook.remove()
    made = {**{name: kept[name] for name in ("last_hidden_state", "pooler_output")
               if kept.get(name) is not None}, **out}
    return {name: value.numpy() for name, value in made.items() if torch.is_tensor(value)}


def answers(model, given: dict) -> dict[str, np.ndarray]:
    """Greedy and searched answers under the two ends that give most different lengths."""
    tensors = {name: torch.tensor(array) for name, array in given.items()}
    begun = 1 if model.config.is_encoder_decoder else given["input_ids"].shape[1]
    model.generation_config = transformers.GenerationConfig(
        pad_token_id=PAD, decoder_start_token_id=model.config.to_dict().get(
            "decoder_start_token_id"))

    def ask(ends, **how):
        with torch.no_grad():
            made = model.generate(**tensors, max_new_tokens=NEW, do_sample=False, eos_token_id=ends,
                                  output_scores=True, return_dict_in_generate=True, **how)
        return made.sequences[:, begun:].numpy(), getattr(made, "sequences_scores", None)

    search = dict(num_beams=BEAMS, num_return_sequences=ANSWERS)
    free = np.concatenate([ask(None)[0], ask(None, **search)[0]])
    best = max(itertools.combinations(np.unique(free).tolist(), 2), key=lambda ends: min(
        variety(ask(list(ends))[0]), variety(ask(list(ends), **search)[0])))
    searched, scores = ask(list(best), **search)
    return {**given, "ends": np.array(best), "greedy": ask(list(best))[0], "searched": searched,
            "scores": scores.numpy()}


def variety(tokens: np.ndarray) -> int:
    """How many lengths the answers have."""
    return len(np.unique((tokens != PAD).sum(1)))


def write(folder: Path, model, tensors: dict | None = None) -> None:
    """A directory of Hugging Face: the model in float16, or other tensors under its names."""
    half = copy.deepcopy(model).half()
    half.generation_config = transformers.GenerationConfig()
    half.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if tensors is not None:
        path = folder / "model.safetensors"
        save_file({name: tensors[name].contiguous() for name in saved(path)}, path,
                  metadata={"format": "pt"})


def saved(path: Path) -> list[str]:
    """Names of the tensors in a file."""
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        return [name for name in json.loads(file.read(size)) if name != "__metadata__"]


def make(name: str) -> None:
    """One golden directory."""
    golden, folder = GOLDENS[name], FOLDER / name
    model = build(name, golden)
    two = model.config.is_encoder_decoder
    write(folder, model)
    given = inputs(json.loads((folder / "config.json").read_text()), two)
    found, exact = outputs(model, given), outputs(copy.deepcopy(model).double(), given)
    arrays = {f"in/{key}": array for key, array in given.items()}
    for key, value in found.items():
        arrays[f"out/{key}"] = value
        arrays[f"rounding/{key}"] = np.nanmax(np.abs(value - exact[key])).astype(np.float32)
    if golden.generates:
        made = answers(copy.deepcopy(model), prompts(two))
        arrays |= {f"generate/{key}": array for key, array in made.items()}
    if name in (*SLOPES, *PEAKS):
        given = lessons(name)
        arrays |= {f"lessons/{key}": array for key, array in given.items()}
    if name in SLOPES:
        write(folder / GRADIENTS, model, training.gradients(model, given))
    if name in PEAKS:
        losses, after = training.train(name, copy.deepcopy(model), given)
        arrays["losses"] = losses
        write(folder / TRAINED, model, after)
    np.savez(folder / "io.npz", **arrays)
    sizes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{name}: {sizes / 1000:.0f} kB, " + ", ".join(
        f"{key} {value.std():.2f} +- {arrays[f'rounding/{key}']:.1e}"
        for key, value in found.items()))


def main(names: list[str]) -> None:
    """The goldens of these names, or all."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for name in names or GOLDENS:
        make(name)
    versions = {each.__name__: each.__version__ for each in (np, torch, transformers)}
    text = json.dumps(versions, indent=2) + "\n"
    (FOLDER / "versions.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
