"""What a model's other doors do on eight simulated devices: to begin, to judge, to generate.

A program, for the reason that `sharded_step.py` gives: its argument is the name of one of its
functions, and it prints what that measured as one JSON object.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
from pathlib import Path

MESHES = (dict(data=2, fsdp=2, tensor=2), dict(data=1, fsdp=2, tensor=2, sequence=2))


def experiment(**fields):
    from transformer.data.chunks import Chunks
    from transformer.data.source import Text
    from transformer.data.vocabulary import Bytes
    from transformer.objectives.next_token import NextToken
    from transformer.training.experiment import Experiment
    from transformer.training.optimizer import AdamW
    from transformer.training.schedule import Constant
    from transformer.zoo.gpt2 import gpt2

    defaults = dict(
        model=gpt2(width=64, depth=4, heads=4, vocab=384, length=32), data=Text(path="none"),
        objective=NextToken(), tokenizer=Bytes(), rows=Chunks(length=16), steps=1, batch=8,
        average=0.9, optimizer=AdamW(learning_rate=Constant(peak=1e-3)))
    return Experiment(**{**defaults, **fields})


def plain(state) -> dict:
    """{path: bytes of the values}."""
    import jax
    import numpy as np

    from transformer.training.paths import named

    key = lambda x: jax.random.key_data(x) if jax.dtypes.issubdtype(
        x.dtype, jax.dtypes.prng_key) else x
    return {path: np.asarray(key(leaf)).tobytes() for path, leaf in named(state).items()}


def most() -> int:
    """Bytes of all arrays on the device that has most of them."""
    import collections

    import jax

    held = collections.defaultdict(dict)  # arrays may look at the same memory
    for array in jax.live_arrays():
        for shard in array.addressable_shards:
            if shard.data.nbytes and not jax.dtypes.issubdtype(array.dtype, jax.dtypes.prng_key):
                held[shard.device][shard.data.unsafe_buffer_pointer()] = shard.data.nbytes
    return max(sum(memory.values()) for memory in held.values())


def beginning() -> dict:
    """A state made on a mesh beside the one made on one device, fresh and from a checkpoint."""
    import gc

    import jax

    from transformer.beginning import begin, drawing, planned
    from transformer.nn.door import Model
    from transformer.nn.head import Classes
    from transformer.ops.placement import Mesh
    from transformer.training.checkpoint import Checkpoints
    from transformer.training.paths import named

    made = experiment()
    more = dataclasses.replace(made.model, heads=(*made.model.heads, ("more", Classes(classes=3))))
    optimizer, found = made.optimizer.build(), {}
    with tempfile.TemporaryDirectory() as folder:
        alone, wanted = {}, 0
        one = Mesh(data=1).build(jax.devices()[:1])
        for spec, base in ((made.model, None), (more, Path(folder) / "checkpoints/00000001")):
            for n, sizes in enumerate((None, *MESHES)):
                mesh = one if sizes is None else Mesh(**sizes).build()
                model = Model(spec)
                abstract = planned(model, optimizer, made, mesh)
                state, fresh = begin(model, optimizer, made, base, abstract)
                gc.collect()
                size = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
                values, held = plain(state), most()
                if sizes is None:
                    alone, wanted = values, size
                if sizes is None and base is None:
                    with Checkpoints(Path(folder)) as checkpoints:
                        checkpoints.save(1, state, {})
                        checkpoints.wait()
                places = named(jax.tree.map(lambda leaf: leaf.sharding, abstract))
                program = drawing(model, abstract["params"], list(named(abstract["params"])))
                memory = program.lower(jax.random.key(0)).compile().memory_analysis()
                found[f"{'fresh' if base is None else 'from a checkpoint'} {n}"] = {
                    "equal": values == alone, "held": held / wanted, "fresh": fresh,
                    "in_place": all(leaf.sharding == places[path]
                                    for path, leaf in named(state).items()),
                    "drawing": (memory.temp_size_in_bytes + memory.output_size_in_bytes)
                    / sum(leaf.nbytes for leaf in jax.tree.leaves(state["params"]))}
                del state
    return found


def generating() -> dict:
    """Tokens of greedy, sampled and searched answers to three prompts, with no mesh and on two."""
    import jax
    from conftest import scattered
    from families import value

    from transformer.generation.generate import Beam, Greedy, Sample, generate
    from transformer.generation.prompt import batch_of
    from transformer.nn.door import Model, unstack
    from transformer.ops.placement import Mesh, parameter_shardings

    prompts = [[7, 8, 9], [20], [30, 31]]
    found: dict = {}
    for name in ("llama", "t5"):
        model = Model(value(name))
        params = jax.device_put(scattered(model.shapes()))
        batch = batch_of(prompts) | (batch_of([[5, 6], [9, 9, 4], [3]], "source_")
                                     if name == "t5" else {})
        for choose in (Greedy(), Sample(temperature=0.7, answers=2), Beam(width=3)):
            for n, sizes in enumerate((None, *MESHES)):
                how = dict(tokens=5, choose=choose, stop=1)
                if sizes is None:
                    made = generate(model, unstack(params), batch, **how)
                else:
                    mesh = Mesh(**sizes).build()
                    with jax.set_mesh(mesh):
                        laid = unstack(jax.device_put(params, parameter_shardings(params, mesh)))
                        made = generate(model, laid, batch, **how)
                        found[f"{name} {n} held"] = sum(
                            leaf.addressable_shards[0].data.size for leaf in jax.tree.leaves(laid)
                        ) / sum(leaf.size for leaf in jax.tree.leaves(laid))
                found.setdefault(f"{name} {type(choose).__name__}", []).append(
                    {part: array.tolist() for part, array in made.items()})
    return found


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    print(json.dumps({"beginning": beginning, "generating": generating}[sys.argv[1]]()))
