"""Inputs and outputs under Hugging Face's names, as `python -m transformer logits` has them."""

from __future__ import annotations

import numpy as np

from transformer.error import UserError
from transformer.interop.config import Config
from transformer.interop.family import Family
from transformer.nn.head import Pooler
from transformer.nn.model import Decoder, SourceToTarget
from transformer.spec import Spec

# Our heads -> their output; where another of the model's heads takes the plain name, the second.
OUTPUTS = {"logits": ("logits", "logits"), "mlm": ("logits", "prediction_logits"),
           "nsp": ("logits", "seq_relationship_logits"), "sop": ("logits", "sop_logits"),
           "classes": ("logits", "logits"), "tags": ("logits", "logits"),
           "score": ("logits", "mc_logits"), "replaced": ("logits", "logits")}


class Translation:
    """One model's inputs and outputs under Hugging Face's names.

    spec: our architecture. family, config: of the checkpoint it was imported from, if it was.
    """

    def __init__(self, spec: Spec, family: Family | None = None, config: Config | None = None):
        self.spec, self.family, self.config = spec, family, config
        self.heads = dict(spec.heads)

    def batch(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The model's batch. Choices [B, C, T] are folded into rows.

        As there, padding looks at the text although nobody looks at padding.

        Raises:
          UserError: shapes that disagree, ids out of range, an input that the model does not have.
        """
        ids = inputs["input_ids"]
        if ids.ndim != (3 if self._choices() else 2) or not ids.size:
            raise UserError(f"input_ids are {list(ids.shape)}, but this model reads "
                            f"[batch, {'choices, ' * self._choices()}length]")
        self._require_known(inputs)
        for name in ("attention_mask", "token_type_ids", "position_ids"):
            if name in inputs:
                inputs = {**inputs, name: spread(name, inputs[name], ids.shape)}
        beside = inputs.get("decoder_input_ids", ids)
        if "decoder_input_ids" in inputs:
            require_rows("decoder_input_ids", beside, len(ids))
        if "decoder_attention_mask" in inputs:
            mask = spread("decoder_attention_mask", inputs["decoder_attention_mask"], beside.shape)
            inputs = {**inputs, "decoder_attention_mask": mask}
        flat = {name: array.reshape(-1, array.shape[-1]) for name, array in inputs.items()
                if name != "mc_token_ids"}
        two = isinstance(self.spec, SourceToTarget)
        batch = self._side(flat, "", "source_" if two else "")
        if two:
            batch |= self._side(self._decoder(flat), "decoder_", "")
        return {name: a.astype(np.int32) for name, a in {**batch, **self._pooled(inputs)}.items()}

    def outputs(self, made: dict, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        """{their name: float32 array} of what the model gave. shape: of input_ids."""
        named, choices = {}, shape[:-1] if self._choices() else None
        fold = lambda a: a.reshape(*choices, *a.shape[1:]) if choices else a
        crowd = len(self.heads) > 1
        for name in self.heads:
            logits = np.asarray(made[name], np.float32)
            if name == "span":
                named |= {"start_logits": logits[..., 0], "end_logits": logits[..., 1]}
            elif name == "score":
                named[OUTPUTS[name][crowd]] = fold(logits)[..., 0]
            else:
                named[OUTPUTS[name][crowd]] = fold(logits)
        named["last_hidden_state"] = np.asarray(made["hidden"], np.float32)
        if crowd:
            named["last_hidden_state"] = fold(named["last_hidden_state"])
        if "memory" in made:
            named["encoder_last_hidden_state"] = np.asarray(made["memory"], np.float32)
        if isinstance(getattr(self.spec, "pooler", None), Pooler):
            named["pooler_output"] = np.asarray(made["pooled"], np.float32)
        return named

    def _choices(self) -> bool:
        return "score" in self.heads

    def _require_known(self, inputs) -> None:
        two = isinstance(self.spec, SourceToTarget)
        applies = {"token_type_ids": bool(self.spec.embedding.types),
                   "mc_token_ids": {"score", "logits"} <= self.heads.keys(),
                   "decoder_input_ids": two, "decoder_attention_mask": two}
        for name in inputs:
            if not applies.get(name, True):
                raise UserError(f"this model does not read {name}; leave it out")

    def _side(self, flat: dict, theirs: str, ours: str) -> dict:
        ids, spec = flat[theirs + "input_ids"], self.spec.embedding
        if ours:
            spec = getattr(self.spec, "source_embedding", None) or spec
        within(theirs + "input_ids", ids, spec.vocab, "the vocabulary")
        side = {ours + "tokens": ids}
        mask = flat.get(theirs + "attention_mask")
        if mask is not None:
            within(theirs + "attention_mask", mask, 2, "0 and 1")
            side |= {ours + "segments": mask, ours + "queries": np.ones_like(mask)}
        if theirs:
            return side
        if "token_type_ids" in flat:
            within("token_type_ids", flat["token_type_ids"], spec.types, "the token types")
            side[ours + "types"] = flat["token_type_ids"]
        if "position_ids" in flat:
            offset = getattr(spec.position, "offset", 0)
            stop = (spec.position.limit() or 1 << 30) + offset
            within("position_ids", flat["position_ids"], stop, "the model's positions")
            side[ours + "positions"] = flat["position_ids"] - offset
        elif self.family and self.family.positions:
            side[ours + "positions"] = self.family.positions(ids, self.config)
        return side

    def _decoder(self, flat: dict) -> dict:
        start = self.config and self.config.id("decoder_start_token_id")
        if "decoder_input_ids" in flat:
            return flat
        if start is None:
            raise UserError("this model has a decoder; give its decoder_input_ids too")
        ids = flat["input_ids"]  # as theirs do: the source, shifted right
        shifted = np.concatenate([np.full((len(ids), 1), start), ids[:, :-1]], 1)
        return {**flat, "decoder_input_ids": shifted}

    def _pooled(self, inputs: dict) -> dict:
        """Where a decoder is read: at its last token, as each of their classes finds it."""
        pooled, ids = {"classes", "score"} & self.heads.keys(), inputs["input_ids"]
        if pooled and self.family and self.family.pooled:
            return {"pooled": self.family.pooled(inputs, self.config).reshape(-1)}
        if not (pooled and isinstance(self.spec, Decoder)):
            return {}
        if "mc_token_ids" in inputs:
            within("mc_token_ids", inputs["mc_token_ids"], ids.shape[-1], "the row")
            at = spread("mc_token_ids", inputs["mc_token_ids"], ids.shape[:-1])
        elif "score" in pooled and self.config is not None:
            at = np.full(ids.shape[:-1], ids.shape[-1] - 1)
        else:
            pad = self.config.id("pad_token_id") if self.config is not None else None
            real = ids != pad if pad is not None else inputs.get("attention_mask", ids >= 0)
            at = (np.arange(ids.shape[-1]) * (real > 0)).argmax(-1)
        return {"pooled": at.reshape(-1)}


def require_rows(name: str, ids: np.ndarray, rows: int) -> None:
    """UserError unless the ids are [rows, length], and there is at least one."""
    if ids.ndim != 2 or not ids.size or len(ids) != rows:
        raise UserError(f"{name} are {list(ids.shape)}, but they must be [batch, length], with as "
                        "many rows as input_ids")


def spread(name: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The array for every one of this many ids. UserError where shapes disagree."""
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        raise UserError(f"{name} is {list(array.shape)}, but the ids are {list(shape)}"
                        ) from None


def within(name: str, array: np.ndarray, stop: int, what: str) -> None:
    """UserError unless all numbers are from 0 to stop - 1."""
    outside = array[(array < 0) | (array >= stop)]
    if outside.size:
        raise UserError(f"{name} holds {outside[0]}, which lies outside {what} (0 to {stop - 1})")
