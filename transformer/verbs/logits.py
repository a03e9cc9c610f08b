"""`python -m transformer logits CHECKPOINT --inputs=IN.npz --outputs=OUT.npz`: fp32 outputs."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from transformer.error import UserError, require_folder


def forward(loaded, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """{output: float32 array} of a checkpoint, in full precision.

    Args:
      loaded: from `transformer.load`. inputs: {name: integers}, see `interop.array_files`.

    Raises:
      UserError: inputs that the model cannot read.
    """
    import jax

    from transformer.interop.exporting import original
    from transformer.interop.arrays import Translation

    translation = Translation(loaded.model.spec, *original(loaded.path))
    batch = translation.batch(inputs)
    with jax.default_matmul_precision("highest"):
        made = jax.device_get(jax.jit(loaded.model.apply)(loaded.params, batch))
    return translation.outputs(made, inputs["input_ids"].shape)


def command(arguments: list[str]) -> int:
    """Writes the outputs; exit status 0."""
    parser = argparse.ArgumentParser(prog="python -m transformer logits", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="a run's directory or one step's")
    parser.add_argument("--inputs", type=Path, required=True, metavar="IN.npz",
                        help="integers: input_ids [batch, length], or [batch, choices, length]; "
                        "optional attention_mask (1 = real), token_type_ids, position_ids, "
                        "mc_token_ids, decoder_input_ids, decoder_attention_mask")
    parser.add_argument("--outputs", type=Path, required=True, metavar="OUT.npz",
                        help="float32: logits (or the outputs of the model's heads under Hugging "
                        "Face's names), last_hidden_state, and where there are such "
                        "encoder_last_hidden_state and pooler_output")
    options = parser.parse_args(arguments)
    require_folder(options.outputs)
    if not options.inputs.is_file():
        raise UserError(f"{options.inputs}: there is no such file")

    from transformer import load
    from transformer.interop.array_files import read_inputs, write_outputs

    inputs = read_inputs(options.inputs)
    outputs = forward(load(options.checkpoint), inputs)
    write_outputs(options.outputs, outputs)
    return 0
