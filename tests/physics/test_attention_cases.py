"""What is refused before a run is what would be refused in it, layer by layer."""

import jax
import pytest
from families import ALL, cells

from transformer.error import UserError
from transformer.nn import cases as module
from transformer.nn.cases import cases, require_backend
from transformer.nn.context import Run
from transformer.ops import backend
from transformer.ops.placement import Mesh

LENGTH, SOURCE = 12, 7  # of the tiny batches


@pytest.fixture(scope="module")
def mesh():
    return Mesh().build(jax.devices()[:1])


@pytest.mark.parametrize("name", cells(ALL, ("bart", "electra", "gpt3", "modernbert", "t5")))
def test_the_cases_are_those_that_are_met(monkeypatch, tiny, mesh, name):
    """A forward pass with dropout asks the door for exactly these."""
    small, met, choose = tiny(name), [], backend.choose
    monkeypatch.setattr(backend, "choose", lambda case, asked: met.append(case) or choose(case))
    batch = {**small.batch, "prefix": small.batch["segments"]}
    jax.eval_shape(lambda p, b, k: small.model.apply(p, b, k), small.params, batch,
                   jax.random.key(0))
    met = {case._replace(aligned=False, prefix=case.reach.by_row) for case in met}
    assert met == {case for _, case in cases(small.spec, Run(), LENGTH, SOURCE, mesh)}


def test_the_refusal_names_the_layer(tiny, mesh):
    spec = tiny("t5").spec
    require_backend(spec, Run(attention="xla"), LENGTH, SOURCE, mesh)
    with pytest.raises(UserError, match=r"tiles cannot compute encoder.segments.0.pattern.0."
                                        r"attention: tiles add nothing to the scores; use"):
        require_backend(spec, Run(attention="tiles"), LENGTH, SOURCE, mesh)
    with pytest.raises(UserError, match="cuDNN takes bfloat16, not float32"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "platform", lambda: "gpu")
            require_backend(tiny("gpt2").spec, Run(attention="cudnn"), LENGTH, SOURCE, mesh)
