"""The page beside exported programs: what they are, and the lines of Python that run them."""

from __future__ import annotations

PARAMETERS = "params.safetensors"
_TOKENS = "numpy.array([[5, 6, 7, 8]], 'int32')"
_LINES = '''\
import json
import jax, numpy
from jax import export
from safetensors.numpy import load_file

program = lambda name: jax.jit(export.deserialize(bytearray(open(name, "rb").read())).call)
params = jax.device_put(load_file("params.safetensors"))
{tokens}
batch = {{{batch}}}
outputs = program("forward.stablehlo")(params, batch)
'''
_DECODE = '''\

io = json.load(open("io.json"))
layers = {n: list(x) if n in io["split"] else x for n, x in params.items()}
logits, cache = program("prefill.stablehlo")(layers, batch)
decode = program("decode.stablehlo")
for _ in range(12):  # greedy
    token = logits[:, :io["vocabulary"]].argmax(-1).astype("int32")
    print(*token)
    logits, cache = decode(layers, cache, token)
'''
_INPUTS = {  # name: what it is, and an example of it in Python
    "tokens": ("token ids", "tokens"),
    "segments": ("1 for a token, 0 for padding, which stands on the right",
                 "numpy.ones_like(tokens)"),
    "source_tokens": ("token ids of what the encoder reads", "source"),
    "source_segments": ("1 for a token, 0 for padding, which stands on the right",
                        "numpy.ones_like(source)"),
    "types": ("0, and 1 in a second text", "0 * tokens"),
    "prefix": ("1 for a token that all others may look at", "numpy.ones_like(tokens)"),
    "pooled": ("the position whose vector the classes are read from", "0 * tokens[:, 0] + 3"),
}


def code(said: dict) -> str:
    """The Python that runs what io.json says is there; it needs no module of this project."""
    names = _inputs(said)
    tokens = f"tokens = {_TOKENS}  # ids from tokenizer/, a row for each text"
    if "source_tokens" in names:
        tokens = (f"source = {_TOKENS}  # ids from tokenizer/, a row for each text\n"
                  f"tokens = numpy.array([[{said['start']}]], 'int32')  # the first of the answer")
    batch = ", ".join(f'"{name}": {_INPUTS[name][1]}' for name in names)
    return _LINES.format(tokens=tokens, batch=batch) + _DECODE * ("decode" in said["programs"])


def _inputs(said: dict) -> dict:
    """{name in the batch: [dtype, shape]}, the tokens first."""
    batch = {path.removeprefix("batch/"): about
             for path, about in said["programs"]["forward"]["arguments"].items()}
    return {name: batch[name] for name in _INPUTS if name in batch}


def card(said: dict) -> str:
    """README.md of an export, from what its io.json holds."""
    programs = said["programs"]
    rows = [f"| `{name}` | [{', '.join(map(str, shape))}] | {dtype} | {_INPUTS[name][0]} |"
            for name, (dtype, shape) in _inputs(said).items()]
    gives = ", ".join(f"`{name}` [{', '.join(map(str, shape))}]"
                      for name, (_, shape) in programs["forward"]["results"].items())
    checked = ", ".join(f"{name} {value:.1e}" for name, value in said["differences"].items())
    room = f" The cache has room for {said['capacity']:,} tokens." if said["capacity"] else ""
    most = f", at most {said['positions']:,}" if said["positions"] else ""
    files = ", ".join(f"`{name}.stablehlo`" for name in programs)
    return f"""\
# {said["model"]}, {said["parameters"]:,} parameters

StableHLO programs ({files}) for {", ".join(said["platforms"])}, and their parameters.
They need JAX, not the code that trained the model. JAX {said["jax"]} wrote them; its later versions
promise to read them for six months.

    pip install jax flatbuffers numpy safetensors

```python
{code(said)}```

| input | shape | type | |
|---|---|---|---|
{chr(10).join(rows)}

b rows of t tokens{most}; each new b and t compiles once.{room}
`forward` gives {gives}.
Products of matrices have the full precision of fp32 on every platform. `io.json` lists each
argument and result.

Largest differences from the model, relative to its largest value, with these files read back:
{checked}.
"""
