"""The token that an encoder-decoder's answers begin from: an id in their files, a name in ours."""

from __future__ import annotations

from transformer.interop.config import Config
from transformer.interop.folder import CONFIG, GENERATION, KEPT, Folder
from transformer.nn.model import SourceToTarget

ENTRY = "decoder_start_token_id"
NAMES = ("pad", "eos", "bos", "start")  # of `SequenceToSequence.start`


def told(loaded) -> int | None:
    """The id in the files that an imported checkpoint kept; None where none of them says it.

    Raises:
      UserError: one of them is no JSON object.
    """
    for place, name in ((loaded.path, GENERATION), (loaded.path / KEPT, CONFIG)):
        if (place / name).is_file():
            found = Config(Folder(place).object(name), str(place / name)).id(ENTRY)
            if found is not None:
                return found
    return None


def piece(config: Config, special: dict[str, int]) -> str:
    """The name of the piece whose id a config.json says, among those that an objective can begin
    with; "pad" where it says none of them, as T5 and Marian have it."""
    return next((name for name in NAMES if special.get(name, -1) == config.id(ENTRY)), NAMES[0])


def entry(loaded) -> dict[str, int]:
    """What config.json and generation_config.json say of it: nothing of a model of one stack, or
    where the tokenizer lacks the piece."""
    if not isinstance(loaded.model.spec, SourceToTarget):
        return {}
    found = told(loaded)
    if found is None:
        found = loaded.tokenizer.special.get(loaded.experiment.objective.start)
    return {} if found is None else {ENTRY: found}
