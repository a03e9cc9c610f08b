"""The proof inside an export: what was written gives the same model back.

Every tensor is read back and compared bit for bit. The model that the written directory describes
is run beside the one it came from, on texts of unequal length each by itself, padded on either
side, and packed. Where PyTorch and `transformers` are installed, they load the directory too.
"""

from __future__ import annotations

import functools
from pathlib import Path

import jax
import numpy as np

from transformer.error import UserError
from transformer.interop import original
from transformer.interop.anatomy import differences
from transformer.interop.arrays import Translation
from transformer.interop.config import Config
from transformer.interop.counterpart import Counterpart
from transformer.interop.folder import CONFIG, Folder
from transformer.interop.importing import read
from transformer.interop.table import tensor
from transformer.nn.door import Model
from transformer.nn.model import EncoderDecoder
from transformer.training import manifest, paths

TOLERANCE = 2e-5  # in fp32, between two runs of one model
LENGTH = 16  # tokens of a row
PART = 2**24  # bytes
# Tokens of each row: two texts by themselves, one padded left and one right, two rows of three.
ALONE, PADDED, PACKED = (16, 11), (9, 13), ((5, 7, 4), (8, 3, 5))
KINDS = {"ragged": slice(0, 2), "padded": slice(2, 4), "packed": slice(4, 6)}


class Disproved(UserError):
    """The export is not the same model; nothing of it is kept."""

    status = 1


def prove(folder: Path, found: Counterpart) -> dict:
    """What parity.json says of the directory that `found` was written to, which is used up.

    Raises:
      Disproved: a tensor or an output differs.
      original.Failed: `transformers` is there and cannot run it.
    """
    written = Folder(folder)
    count = _tensors(written, found)
    tree = written.object(CONFIG)
    translation = Translation(found.spec, found.family, Config(tree))
    inputs, mask = _inputs(found.spec, translation.config)
    batch = _batch(translation, inputs, mask)
    ours = _run(found.spec, found.params, batch)
    shapes = _shapes(found.params)
    found.params.clear()  # room for those that are read back
    again = read(written)
    same = _shapes(again.params) == shapes and not differences(found.spec, again.spec)
    theirs = _run(found.spec if same else again.spec, again.params, batch)  # one program for both
    size = sum(array.size for array in again.params.values())
    report = {"tensors": count, "parameters": size, "bit_exact": True, "outputs": {},
              "versions": manifest.versions()}
    for name in ours:
        report["outputs"][name] = {kind: _compared(ours[name][rows], theirs[name][rows], mask[rows])
                                   for kind, rows in KINDS.items()}
    for name, kinds in report["outputs"].items():
        for kind, told in kinds.items():
            if not told["largest_difference"] <= TOLERANCE:
                raise Disproved(f"the export is not the same model: {name} differs by "
                                f"{told['largest_difference']:.3g} on {kind} rows")
    report["original"] = _original(folder, translation, again, inputs, mask)
    return report


def _original(folder: Path, translation: Translation, again, inputs: dict, mask) -> dict:
    """The same from `transformers`: a text by itself, and a batch with padding on both sides."""
    if missing := original.missing():
        return {"ran": False, "why": f"not run: {' and '.join(missing)} not installed"}
    calls = [{name: a[[1]][:, mask[1] > 0] for name, a in inputs.items()}]
    pooled = {"classes", "score"} & translation.heads.keys()
    if not pooled or translation.config.id("pad_token_id") is not None:  # else they take no batch
        calls.append({name: a[KINDS["padded"]] for name, a in inputs.items()})
    if "score" in translation.heads:
        calls = [{name: a[:, None] for name, a in call.items()} for call in calls]
    ours = [translation.outputs(_run(again.spec, again.params, translation.batch(call)),
                                call["input_ids"].shape) for call in calls]
    try:
        told = original.compare(folder, calls, ours)
    except original.Lacking as error:
        return {"ran": False, "why": f"not run: {error}"}
    for name, one in told.items():
        if not one["largest_difference"] <= one["tolerance"]:
            raise Disproved(f"transformers reads another model from the export: {name} differs by "
                            f"{one['largest_difference']:.3g}, more than {one['tolerance']:.3g}")
    return {"ran": True, "outputs": told, "versions": original.versions()}


def _tensors(folder: Folder, found: Counterpart) -> int:
    """How many tensors there are, each read back and compared bit for bit."""
    there, count = folder.tensors(), 0
    for each in found.rows:
        for n, name in enumerate(each.names()):
            wrote = np.ascontiguousarray(tensor(each, found.params, n))
            kept = there.read(found.family.written(found.architecture, name))
            if (wrote.dtype, wrote.shape) != (kept.dtype, kept.shape) or not _same(wrote, kept):
                raise Disproved(f"the export is not the same model: {name} reads back otherwise")
            count += 1
    if count != len(there.names):
        raise Disproved(f"{len(there.names)} tensors were written, the table has {count}")
    return count


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    """Bit for bit, a part at a time: a comparison is as large as what it compares."""
    a, b = (array.reshape(-1).view(np.uint8) for array in (a, b))
    return all(np.array_equal(a[n:n + PART], b[n:n + PART]) for n in range(0, len(a), PART))


def _inputs(spec, config: Config) -> tuple[dict, np.ndarray]:
    """Random inputs under their names, and which tokens are real [6, LENGTH].

    No text holds padding, and a source its end only where it ends.
    """
    pad, end = config.id("pad_token_id"), config.id("eos_token_id")
    draw, limit = np.random.default_rng(0), spec.embedding.position.limit()
    size = min(LENGTH, limit or LENGTH)
    spans = [(0, n) for n in ALONE] + [(LENGTH - PADDED[0], LENGTH), (0, PADDED[1])] + [
        (0, sum(lengths)) for lengths in PACKED]
    mask = np.zeros((len(spans), LENGTH), np.int64)
    for n, (start, stop) in enumerate(spans):
        mask[n, start:stop] = 1
    mask = mask[:, -size:] if size < LENGTH else mask
    usual = np.setdiff1d(np.arange(spec.embedding.vocab), [n for n in (pad, end) if n is not None])
    ids = np.where(mask > 0, usual[draw.integers(0, len(usual), (2, *mask.shape))], pad or 0)
    if end is not None:
        ids[0, np.arange(len(mask)), (np.arange(mask.shape[1]) * mask).argmax(1)] = end
    inputs = {"input_ids": ids[0], "attention_mask": mask}
    if spec.embedding.types:
        inputs["token_type_ids"] = draw.integers(0, spec.embedding.types, mask.shape)
    if isinstance(spec, EncoderDecoder):
        inputs |= {"decoder_input_ids": ids[1], "decoder_attention_mask": mask}
    return inputs, mask


def _batch(translation: Translation, inputs: dict, mask: np.ndarray) -> dict:
    """The batch of all six rows; the last two are packed."""
    if "score" in translation.heads:  # each row is the only choice of its example
        inputs = {name: array[:, None] for name, array in inputs.items()}
    batch = translation.batch(inputs)
    last = (np.arange(mask.shape[1]) * mask).argmax(1)
    if "pooled" in batch:
        batch["pooled"] = last.astype(np.int32)
    for prefix in ("", "source_") if "source_tokens" in batch else ("",):
        shape = batch[prefix + "tokens"].shape
        counted = np.broadcast_to(np.arange(shape[1]), shape)
        positions = np.array(batch.get(prefix + "positions", counted), np.int32)
        for n, lengths in zip((4, 5), PACKED):
            segments = np.repeat(np.arange(1, len(lengths) + 1), lengths)[-shape[1]:]
            batch[prefix + "segments"][n] = batch[prefix + "queries"][n] = segments
            positions[n] = np.concatenate([np.arange(length) for length in lengths])[-shape[1]:]
        batch[prefix + "positions"] = positions
    return batch


def _shapes(params: dict) -> dict:
    return {path: array.shape for path, array in params.items()}


@functools.cache
def _program(spec):
    return jax.jit(Model(spec).apply)


def _run(spec, params: dict, batch: dict) -> dict[str, np.ndarray]:
    with jax.default_matmul_precision("highest"):
        made = jax.device_get(_program(spec)(paths.nested(params), batch))
    return {name: np.asarray(array, np.float32) for name, array in made.items()}


def _compared(ours: np.ndarray, theirs: np.ndarray, mask: np.ndarray) -> dict:
    """Over real tokens, or over rows where there is one result for each."""
    if ours.ndim == 3 and ours.shape[:2] == mask.shape:
        ours, theirs = ours[mask > 0], theirs[mask > 0]
    difference = float(np.abs(ours - theirs).max())
    agreed = float((ours.argmax(-1) == theirs.argmax(-1)).mean())
    return {"largest_difference": difference, "argmax_agreement": agreed}
