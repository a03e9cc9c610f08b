"""Every transformer of the pre-training era as a value, trained by one pure step in JAX.

    from transformer import load
    model, params, tokenizer = load("runs/quickstart")

Shapes are written as one-letter suffixes, in names, einsums and sharding tables alike:

    B  batch rows                 H  attention heads            V  vocabulary
    T  query or target length     G  key-value heads            N  slots to predict in a row
    S  key or source length       M  query heads per kv head    C  classes or choices
    D  width of the stream        K  head dimension             L  layers
    F  feed-forward width         A  accumulation slices        .  a dimension never sharded
"""

__version__ = "0.1.0"


def __getattr__(name: str):
    if name in ("load", "Loaded"):
        from transformer import loaded

        return getattr(loaded, name)
    raise AttributeError(f"module 'transformer' has no attribute {name!r}")
