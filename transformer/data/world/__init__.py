"""The embedded default: a small invented world, generated from a seed, with nothing to download.

Its corpus states the facts of some hundreds of things in English-like text, with some lines of an
old tongue; its labelled tasks ask about things that no labelled training record mentions, so that
only what was read in the corpus can answer.
"""

from transformer.data.world.facts import ATTRIBUTES
from transformer.data.world.labelled import CLASSES, TASKS
from transformer.data.world.sources import SIZES, Floor, World, WorldTask

__all__ = ["ATTRIBUTES", "CLASSES", "SIZES", "TASKS", "Floor", "World", "WorldTask"]
