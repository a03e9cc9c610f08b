"""docs/mesh.md shows the tables that lay arrays over a mesh, as they are."""

from pathlib import Path

from transformer.ops.placement import ACTIVATIONS, LETTERS, MAY_DROP, PARAMETERS

PAGE = Path(__file__).parents[1] / "docs" / "mesh.md"


def tables() -> tuple[str, str]:
    """Letters and their axes; ends of paths and their letters."""
    axes = lambda table, letter: ", ".join(f"`{axis}`" for axis in table.get(letter, ())) or "-"
    letters = ["| letter | of a parameter | of an activation |", "|---|---|---|"] + [
        f"| `{letter}` | {axes(PARAMETERS, letter)} | {axes(ACTIVATIONS, letter)} |"
        for letter in dict.fromkeys([*ACTIVATIONS, *PARAMETERS])]
    ends = ["| a path that ends in | has the letters |", "|---|---|"] + [
        "| `{}` | `{}` |".format(pattern.replace("|", "\\|"), row) for pattern, row in LETTERS]
    return "\n".join(letters), "\n".join(ends)


def test_the_page_shows_the_tables():
    text = PAGE.read_text(encoding="utf-8")
    for table in tables():
        assert table in text
    assert "Only " + ", ".join(f"`{letter}`" for letter in MAY_DROP) in text
