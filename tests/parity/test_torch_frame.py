"""The ids of a text against those of `transformers`' own tokenizers, special pieces included.

Run with `pytest -m torch` as `test_torch_interop.py`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "interop"))
from tiny_configs import CONFIGS  # noqa: E402
from tiny_tokenizers import STORED  # noqa: E402

from transformer.interop.config import Config  # noqa: E402
from transformer.interop.family import known  # noqa: E402
from transformer.interop.folder import Folder  # noqa: E402
from transformer.interop.frame import frame_of  # noqa: E402
from transformer.interop.step import experiment_of  # noqa: E402
from transformer.interop.tokenizer import tokenizer_in  # noqa: E402
from transformer.loaded import Loaded  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("name", STORED)
def test_a_text_has_the_ids_that_it_has_there(name, tmp_path):
    transformers = pytest.importorskip("transformers")
    model_type, write, *_ = STORED[name]
    tree = {"model_type": model_type, **CONFIGS[model_type]}
    (tmp_path / "config.json").write_text(json.dumps(tree))
    write(tmp_path)
    family, folder = known()[model_type], Folder(tmp_path)
    spec = family.spec(Config(tree), next(iter(family.architectures.values())))
    tokenizer = tokenizer_in(folder, spec.embedding.vocab)
    experiment = experiment_of(spec, tokenizer, frame=frame_of(folder, model_type, spec, tokenizer))
    loaded = Loaded(SimpleNamespace(), {}, tokenizer, experiment, tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in ("the old boat", "sea"):
        assert loaded.framed(tokenizer.encode(text)) == theirs(text)["input_ids"], text
