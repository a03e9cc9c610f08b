"""The rules that hold the house up, read off the source itself."""

from __future__ import annotations

import ast
import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# What each floor may import. Everything else in the package stands on top and may import anything,
# but nothing below may import it.
FLOORS = {
    "error": (),
    "spec": ("error",),
    "ops": ("spec", "error"),
    "nn": ("ops", "spec", "error"),
    "zoo": ("nn", "ops", "spec", "error"),
    "data": ("ops", "spec", "error"),
    "objectives": ("data", "ops", "spec", "error"),
    "tasks": ("objectives", "data", "ops", "spec", "error"),
    "training": ("objectives", "ops", "spec", "error"),
    "generation": ("ops", "spec", "error"),
    "scaling": ("training", "objectives", "zoo", "nn", "ops", "data", "spec", "error"),
    "interop": ("zoo", "nn", "ops", "objectives", "tasks", "data", "training", "generation", "spec",
                "error"),
}
LONGEST = 100  # columns
SHAPELESS = ("utils", "util", "common", "misc", "helpers", "helper")
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
UNSAFE_CALLS = {"eval", "exec", "compile", "os.system", "os.popen", "__import__"}
HEAVY = ("jax", "flax", "optax", "orbax", "grain", "sentencepiece", "tokenizers", "matplotlib",
         "pyarrow", "datasets")


def python_files(*folders):
    """Every Python file under these folders of the repository, or all of the project's."""
    if not folders:
        yield from sorted(ROOT.glob("*.py"))
    for folder in folders or ("transformer", "configs", "tests", "benchmarks", "docs"):
        yield from sorted(p for p in (ROOT / folder).rglob("*.py") if "__pycache__" not in p.parts)


@functools.cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def where(path: Path, node) -> str:
    return f"{path.relative_to(ROOT)}:{node.lineno}"


def imports(path: Path):
    """(node, dotted name) of everything a file imports, wherever it stands in the file."""
    package = path.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[:-node.level]) + "." if node.level else ""
            yield from ((node, f"{base}{node.module or ''}.{a.name}".replace("..", "."))
                        for a in node.names)


def lines():
    """("file:line", text) of every line."""
    for path in python_files():
        for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            yield f"{path.relative_to(ROOT)}:{n}", line


def floor(path: Path) -> str:
    """The floor of a file of the package; '' on top."""
    name = path.relative_to(ROOT / "transformer").with_suffix("").parts[0]
    return name if name in FLOORS else ""


def test_imports_run_downward():
    wrong = []
    for path in python_files("transformer"):
        for node, name in imports(path):
            parts = name.split(".")
            if parts[0] in ("train", "evaluate", "configs", "tests", "benchmarks"):
                wrong.append(f"{where(path, node)}: the package imports {parts[0]}")
            elif parts[0] == "transformer" and floor(path):
                allowed = (floor(path), *FLOORS[floor(path)])
                if len(parts) < 2 or parts[1] not in allowed:
                    wrong.append(f"{where(path, node)}: {floor(path)} imports {name}")
        for node in ast.walk(parse(path)):
            by_name = isinstance(node, ast.Call) and dotted(node.func).endswith("import_module")
            if by_name and floor(path) and not own(node.args[0]):
                wrong.append(f"{where(path, node)}: {floor(path)} imports by name")
    assert not wrong, "\n".join(wrong)


def own(name) -> bool:
    """Whether a name to import begins with a dot: it cannot leave the package."""
    first = name.values[0] if isinstance(name, ast.JoinedStr) else name
    return isinstance(first, ast.Constant) and str(first.value).startswith(".")


def test_flax_lives_on_one_floor():
    wrong = [where(path, node) for path in python_files("transformer", "configs")
             for node, name in imports(path) if name.split(".")[0] == "flax"
             and floor_or_top(path) != "nn" and not name.startswith("flax.serialization")]
    assert not wrong, wrong


def floor_or_top(path: Path) -> str:
    return floor(path) if path.is_relative_to(ROOT / "transformer") else ""


@pytest.mark.parametrize("module,heavy", [
    ("transformer", HEAVY), ("transformer.data", HEAVY), ("transformer.spec", HEAVY),
    ("transformer.training", ("flax", "matplotlib")),
])
def test_import_is_light(module, heavy):
    program = f"import sys, {module}; print(*sorted(set({heavy!r}) & set(sys.modules)))"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def suffix(name: str) -> str:
    """The shape a name ends in, lower case: `q_BTHK` -> bthk; '' if there is none."""
    found = re.search(r"_([A-Z][A-Z0-9]*)$", name)
    return found[1].lower() if found else ""


def equations(tree):
    """(call, equation, operands) of every einsum and projection with a literal equation."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            first = {"einsum": 0, "project": 1}.get(node.func.attr)
            if first is not None and len(node.args) > first:
                text = node.args[first]
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    yield node, text.value.replace(" ", ""), node.args[first + 1:]


def test_einsum_letters_are_the_letters_of_the_names():
    wrong, checked = [], 0
    for path in python_files("transformer", "configs"):
        for node, equation, operands in equations(parse(path)):
            inputs, _, _ = equation.partition("->")
            for letters, operand in zip(inputs.split(","), operands):
                name = operand.id if isinstance(operand, ast.Name) else ""
                # where heads are not grouped, h stands for both kinds of head
                if suffix(name) and suffix(name) not in (letters, letters.replace("h", "g")):
                    wrong.append(f"{where(path, node)}: {name} as {letters} in {equation}")
                checked += bool(suffix(name))
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                for call, equation, _ in equations(ast.Expression(node.value)):
                    name = node.targets[0].id
                    direct = call is node.value and call.func.attr == "einsum"
                    if direct and suffix(name):
                        checked += 1
                        if suffix(name) != equation.partition("->")[2]:
                            wrong.append(f"{where(path, node)}: {name} = {equation}")
    assert not wrong, "\n".join(wrong)
    assert checked >= 10  # the test still finds what it checks


def dotted(node) -> str:
    """`os.system` of the expression os.system; '' of anything but names and attributes."""
    if isinstance(node, ast.Name):
        return node.id
    inner = dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{inner}.{node.attr}" if inner else ""


def unsafe(path: Path):
    for node, name in imports(path):
        if name.split(".")[0] in UNSAFE_MODULES:
            yield node, f"imports {name}"
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Call):
            if dotted(node.func) in UNSAFE_CALLS:
                yield node, f"calls {dotted(node.func)}"
            for word in node.keywords:
                on = not (isinstance(word.value, ast.Constant) and not word.value.value)
                if word.arg in ("shell", "allow_pickle") and on:
                    yield node, f"sets {word.arg}"


def test_nothing_runs_what_it_reads():
    """No pickle, no eval, no shell: a file of data stays data."""
    wrong = [f"{where(path, node)}: {what}" for path in python_files()
             if "tests" not in path.parts for node, what in unsafe(path)]
    assert not wrong, "\n".join(wrong)


def test_lines_are_short():
    wrong = [f"{place}: {len(line)}" for place, line in lines() if len(line) > LONGEST]
    assert not wrong, "\n".join(wrong)


def test_two_empty_lines_stand_between_definitions():
    wrong = []
    for path in python_files("transformer", "configs", "benchmarks"):
        text = path.read_text(encoding="utf-8").splitlines()
        for node in parse(path).body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                first = min(n.lineno for n in (node, *node.decorator_list)) - 1
                while first and text[first - 1].startswith("#"):  # what is said about it
                    first -= 1
                empty = next((n for n in range(first) if text[first - 1 - n].strip()), 2)
                if empty != 2:
                    wrong.append(f"{where(path, node)}: {empty}")
    assert not wrong, "\n".join(wrong)


def test_files_are_named_after_an_idea():
    wrong = [str(path.relative_to(ROOT)) for path in python_files()
             if set(path.relative_to(ROOT).with_suffix("").parts) & set(SHAPELESS)]
    assert not wrong, wrong


def test_test_files_have_names_of_their_own():
    """pytest imports them by their last name."""
    names = [path.name for path in python_files("tests") if path.name.startswith("test_")]
    assert sorted(names) == sorted(set(names))


def spec_classes():
    """{class name: [(place, ClassDef)]} of everything in the package that descends from Spec."""
    classes = [(path, node) for path in python_files("transformer")
               for node in ast.walk(parse(path)) if isinstance(node, ast.ClassDef)]
    bases = lambda node: {dotted(base).split(".")[-1] for base in node.bases}
    kinds, grown = {"Spec"}, True
    while grown:
        new = {node.name for _, node in classes if bases(node) & kinds}
        grown, kinds = not new <= kinds, kinds | new
    found = {}
    for path, node in classes:
        if bases(node) & kinds:
            found.setdefault(node.name, []).append((where(path, node), node))
    return found


def test_spec_kinds_are_unique():
    found = spec_classes()
    assert len(found) > 30
    assert {k: [w for w, _ in v] for k, v in found.items() if len(v) > 1} == {}


def test_every_field_is_read():
    """A field that nothing reads is a promise that nothing keeps."""
    read = {node.attr for path in python_files() if "tests" not in path.parts
            for node in ast.walk(parse(path))
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)}
    # read by name, through getattr over the four axes
    read |= {"data", "fsdp", "tensor", "sequence"}
    unread = [f"{place}: {kind}.{line.target.id}" for kind, ((place, node), *_) in
              spec_classes().items() for line in node.body
              if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
              and "ClassVar" not in ast.unparse(line.annotation) and line.target.id not in read]
    assert not unread, "\n".join(unread)


def test_what_is_public_is_explained():
    wrong = []
    for path in python_files("transformer"):
        tree = parse(path)
        if not ast.get_docstring(tree):
            wrong.append(f"{path.relative_to(ROOT)}: the file")
        for node in tree.body:
            named = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
            if named and not node.name.startswith("_") and not ast.get_docstring(node):
                wrong.append(f"{where(path, node)}: {node.name}")
    assert not wrong, "\n".join(wrong)


def test_no_notes_to_self():
    words = ("TODO", "FIXME", "XXX", "HACK")
    pattern = re.compile(rf"\b({'|'.join(words)})\b")
    wrong = [place for place, line in lines() if pattern.search(line) and "words =" not in line]
    assert not wrong, wrong


PLACEHOLDER = re.compile(r"@[A-Z][A-Z0-9_]*@")


def test_pages_are_filled_in():
    """Nothing like @NAME@ waits in a page for its number."""
    assert PLACEHOLDER.search("took @SECONDS_2@ in all") and not PLACEHOLDER.search("me@A.org @B")
    wrong = [f"{path.relative_to(ROOT)}:{n}: {found[0]}"
             for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
             for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
             if (found := PLACEHOLDER.search(line))]
    assert not wrong, "\n".join(wrong)


def tree_of_readme(text: str) -> list[str] | None:
    """The paths in the block after the heading "The tree", None if there is no such block.

    A line is `path   description`; a path is indented under the folder that holds it.
    """
    block = re.search(r"^#+ The tree\s*$.*?^```\w*\n(.*?)^```", text, re.M | re.S)
    if block is None:
        return None
    found, folders = [], []  # folders: (indent, path)
    for line in block[1].splitlines():
        if line.strip():
            indent, name = len(line) - len(line.lstrip()), line.split()[0]
            folders = [(i, p) for i, p in folders if i < indent]
            path = (folders[-1][1] if folders else "") + name
            found.append(path)
            if name.endswith("/"):
                folders.append((indent, path))
    return found


def tree_on_disk() -> set[str]:
    """Every file and folder (with a final /) that the repository keeps."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    files = done.stdout.splitlines() if done.returncode == 0 else [
        str(p.relative_to(ROOT)) for p in ROOT.rglob("*") if p.is_file()]
    kept = [f for f in files if "__pycache__" not in f and (ROOT / f).exists()]
    return set(kept) | {f"{p}/" for f in kept for p in map(str, Path(f).parents) if p != "."}


def differences(listed: list[str], disk: set[str]) -> list[str]:
    """What the list has and the disk has not, and the reverse where a folder is listed in full."""
    wrong = [f"{path} is listed but not there" for path in listed if path not in disk]
    wrong += [f"{path} is listed twice" for path in set(listed) if listed.count(path) > 1]
    parent = lambda path: path.rstrip("/").rpartition("/")[0]
    opened = {parent(path) for path in listed}  # a folder may be one line; if opened, then wholly
    quiet = lambda path: path.rstrip("/").rpartition("/")[2].startswith((".", "__init__"))
    wrong += [f"{path} is there but not listed" for path in sorted(disk)
              if parent(path) in opened and path not in listed and not quiet(path)]
    return wrong


def test_readme_shows_the_tree():
    readme = ROOT / "README.md"
    listed = tree_of_readme(readme.read_text(encoding="utf-8")) if readme.exists() else None
    if listed is None:
        pytest.skip("the README shows no tree")
    assert not differences(listed, tree_on_disk())


def test_the_reader_of_the_tree():
    text = "## The tree\n\n```text\na.py   one\npack/  two\n  b.py  three\n  more/  four\n```\n"
    assert tree_of_readme(text) == ["a.py", "pack/", "pack/b.py", "pack/more/"]
    assert tree_of_readme("# Title\n") is None
    disk = {"a.py", ".ci/", "pack/", "pack/b.py", "pack/__init__.py", "pack/more/",
            "pack/more/c.py"}
    assert differences(tree_of_readme(text), disk) == []
    assert differences(tree_of_readme(text), disk | {"pack/d.py"}) == [
        "pack/d.py is there but not listed"]
    assert differences(tree_of_readme(text), disk - {"a.py"}) == ["a.py is listed but not there"]


def test_jax_is_strict_here():
    import jax

    assert jax.config.jax_numpy_rank_promotion == "raise"
    assert jax.config.jax_default_matmul_precision == "highest"
    assert jax.config.jax_compilation_cache_dir
