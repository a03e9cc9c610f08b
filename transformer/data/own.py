"""Your own files where a path names them; what every clone has without downloads elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from transformer.data.reading import Source
from transformer.data.source import reader, table
from transformer.data.world import World, WorldTask


class _Own(Source):
    """A source that stands for another, which `means` gives."""

    path: str | None = None

    def means(self) -> Source:
        raise NotImplementedError

    def check(self) -> None:
        self.means()

    def records(self) -> Iterator[dict]:
        return self.means().records()

    def pieces(self) -> Iterator[tuple[str, bool]]:
        return self.means().pieces()

    def size(self) -> int | None:
        return self.means().size()

    def fingerprint(self) -> str:
        return self.means().fingerprint()


class Own(_Own):
    """Documents of a file, a folder or a glob; None is the corpus of the embedded world.

    The suffix tells how `path` is read, with the defaults of that source: name the source itself to
    set its fields.
    """

    def means(self) -> Source:
        return World() if self.path is None else reader(self.path)(path=self.path)


class OwnPairs(_Own):
    """Records {source, target} of a table; None is the translation task of the embedded world.

    Raises:
      UserError: the suffix is not that of a table.
    """

    def means(self) -> Source:
        return WorldTask(name="translation") if self.path is None else table(self.path)
