"""Replaced-token detection: which tokens did a small generator put there? (Clark 2020 §2)."""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp

from transformer.objectives.masked_lm import MaskedLM
from transformer.objectives.objective import Objective
from transformer.ops.dropout import example_keys
from transformer.ops.loss import binary_cross_entropy, weighted
from transformer.ops.sampling import draw
from transformer.ops.unscored import whole
from transformer.spec import Nonnegative

SAMPLING = 2  # keeps the draws apart from the dropout of the generator (0) and discriminator (1)


class ReplacedToken(Objective):
    """ELECTRA's objective for a Pair: heads "mlm" [B, N, V] and "replaced" [B, T].

    The generator learns to predict the masked tokens. A token drawn from each of its predictions is
    put in their places, those left unmasked too, and the discriminator tells for every token of the
    row, [cls] and [sep] included, whether it is another than the text's: a token drawn right counts
    as real. No gradient flows through the draw, so this is no GAN. Tokens are drawn in evaluation
    as well.

    The authors' code draws the masked positions with replacement, and where one is drawn twice puts
    the mean of the drawn ids; here positions are distinct, as in the paper.

    masked: how rows are masked; 85 % of the places hold the mask, 15 % stay, none is random.
    generator, discriminator: weights of the two losses, 1 and lambda (Clark 2020 §2.2).
    """

    masked: MaskedLM = MaskedLM(replace=(0.85, 0.0, 0.15))
    generator: Nonnegative = 1.0
    discriminator: Nonnegative = 50.0
    main: ClassVar[str] = "replaced"
    language: ClassVar[str] = "masked"

    def prepare(self, example, rng, tokenizer):
        """As `MaskedLM.prepare`: the masked tokens' ids are in `targets`."""
        return self.masked.prepare(example, rng, tokenizer)

    def weights(self, batch):
        tokens = (batch["segments"] > 0).sum()
        return {**self.masked.weights(batch), "replaced": tokens, "detection": tokens}

    def loss(self, apply, params, batch, rng, train):
        generated = self.run(apply, params, batch, rng, train, part="generator")["mlm"]
        logits_BNV = jax.lax.stop_gradient(whole(generated))
        index_B = batch.get("index", jnp.arange(len(logits_BNV)))
        keys_B = example_keys(jax.random.fold_in(rng, SAMPLING), index_B)
        original_BT = placed(batch, batch["targets"])
        drawn_BT = placed(batch, draw(logits_BNV, keys_B))
        replaced_BT = (drawn_BT != original_BT).astype(jnp.float32)
        judged = {**batch, "tokens": drawn_BT}
        logits_BT = self.run(apply, params, judged, rng, train, part="discriminator")["replaced"]
        seen_BT = batch["segments"] > 0
        detected_BT = (logits_BT > 0) == (replaced_BT > 0)
        return {
            **self.masked.scored(generated, batch, self.generator),
            "replaced": weighted(binary_cross_entropy(logits_BT, replaced_BT), seen_BT,
                                 self.discriminator),
            "detection": weighted(detected_BT.astype(jnp.float32), seen_BT, 0.0)}


def placed(batch, ids_BN):
    """The row with ids at its masked positions; slots of weight 0 change nothing. -> [B, T]"""
    tokens_BT = jnp.asarray(batch["tokens"])
    outside = tokens_BT.shape[1]  # what is put there is dropped
    place_BN = jnp.where(batch["weights"] > 0, batch["masked"], outside)
    # row by row: as one scatter, a mesh would gather the places of all rows
    put = lambda tokens_T, place_N, ids_N: tokens_T.at[place_N].set(ids_N, mode="drop")
    return jax.vmap(put)(tokens_BT, place_BN, ids_BN)
