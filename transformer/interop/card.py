"""The model card of an export: what it is, how it was proved, how it is read."""

from __future__ import annotations

from transformer.interop.counterpart import Counterpart

TEXT = """---
library_name: transformers
---

# {architecture}

A {kind} of {count:,} parameters (`{model_type}`), exported from the JAX project `transformer`.

| | |
|---|---|
{sizes}

## Proof

`parity.json` holds what was checked before this directory was allowed to exist: every one of its
{tensors} tensors reads back bit for bit, and the model that it describes gives the outputs of the
one it came from. The largest difference in fp32 was {largest:.2g}, on texts by themselves, padded
and packed; {agreement:.2%} of the likeliest answers were the same. {original}

## Use

```python
from transformers import {architecture}

model = {architecture}.from_pretrained("PATH")
```
"""


def card(found: Counterpart, report: dict) -> str:
    """The text of README.md. report: see `proof.prove`."""
    told = [kind for kinds in report["outputs"].values() for kind in kinds.values()]
    sizes = {name: value for name, value in found.tree.items()
             if isinstance(value, (int, float, str)) and not isinstance(value, bool)}
    ran = report["original"]["ran"]
    words = ("`transformers` itself was run on it: " + ", ".join(
        f"{name} within {one['largest_difference']:.2g}"
        for name, one in report["original"]["outputs"].items()) + "." if ran
        else f"The comparison with `transformers` was {report['original']['why']}.")
    return TEXT.format(
        architecture=found.architecture, kind=type(found.spec).__name__, original=words,
        count=report["parameters"],
        model_type=found.family.model_type, tensors=report["tensors"],
        sizes="\n".join(f"| {name} | {value} |" for name, value in sorted(sizes.items())),
        largest=max(one["largest_difference"] for one in told),
        agreement=min(one["argmax_agreement"] for one in told))
