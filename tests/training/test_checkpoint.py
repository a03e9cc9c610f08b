"""Saving, rotating, falling back and restoring."""

import json
import os
import shutil
import stat
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer.error import UserError
from transformer.training import manifest
from transformer.training.checkpoint import Checkpoints
from transformer.training.restore import restore_params, restore_state, shapes
from transformer.training.shelf import Shelf, find


def state(n):
    """A state of every kind of leaf, all of whose numbers tell the step."""
    return {
        "step": jnp.int32(n), "skipped": np.int32(0), "key": jax.random.key(n),
        "params": {"a": {"query": jnp.full((3, 4), n, jnp.float32)},
                   "b": jnp.full(5, n, jnp.bfloat16)},
        "opt": {"count": jnp.int32(n), "rule": ({}, (jnp.full(7, n, jnp.float32), None))}}


def same(a, b):
    def bits(x):
        return np.asarray(jax.random.key_data(x) if x.dtype == jax.random.key(0).dtype else x)
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(x.dtype == y.dtype and bits(x).tobytes() == bits(y).tobytes() for x, y in pairs)


def fill(directory, steps, **options):
    """Checkpoints of these steps, or of {step: metric}."""
    checkpoints = Checkpoints(directory, **options)
    metrics = steps if isinstance(steps, dict) else dict.fromkeys(steps)
    for step, metric in metrics.items():
        checkpoints.save(step, state(step), {"spec.json": {"n": step}}, metric)
    checkpoints.wait()
    return checkpoints


def damage(checkpoints, step):
    """Flips one bit of the largest file of a step's state; returns the file."""
    files = [p for p in (checkpoints.path(step) / "state").rglob("*") if p.is_file()]
    path = max(files, key=lambda p: p.stat().st_size)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    return path


def names(checkpoints):
    return sorted(p.name for p in checkpoints.shelf.home.iterdir() if p.name != "run")


def test_a_restored_state_has_the_same_bits_and_containers(tmp_path):
    checkpoints = fill(tmp_path, [12])
    restored = checkpoints.restore(12, jax.eval_shape(lambda: state(12)))
    assert same(restored, state(12))
    assert jax.tree.structure(restored) == jax.tree.structure(state(12))
    assert jax.random.uniform(restored["key"]) == jax.random.uniform(jax.random.key(12))


def test_the_directory_of_a_step(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(100, state(1), {
        "spec.json": {"kind": "X"}, "tokenizer": lambda d: (d / "vocabulary").write_text("ä")})
    checkpoints.wait()
    step = tmp_path / "checkpoints" / "00000100"
    assert {p.name for p in step.iterdir()} == {"state", "spec.json", "tokenizer", "manifest.json"}
    assert json.loads((step / "spec.json").read_text()) == {"kind": "X"}
    assert {"spec.json", "tokenizer/vocabulary"} < set(manifest.read(step)["files"])
    assert {"params/a/query", "opt/rule/1/0", "key"} < set(shapes(step))


def test_saved_values_are_those_of_the_call_though_the_state_is_donated(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep_last=9)
    step = jax.jit(lambda s: jax.tree.map(lambda x: x + 1, s), donate_argnums=0)
    now = {"params": jnp.zeros(200_000), "host": np.zeros(2_000_000)}
    for n in range(3):
        checkpoints.save(n, now)
        host = now.pop("host")
        now = {**step(now), "host": host}
        host += 1  # in place
    checkpoints.wait()
    for n in range(3):
        got = checkpoints.restore(n, now)
        assert (got["params"] == n).all() and (got["host"] == n).all()


def test_saving_does_not_wait_for_the_disk(tmp_path):
    checkpoints, gate = Checkpoints(tmp_path), threading.Event()
    checkpoints.save(1, state(1), {"slow": lambda d: gate.wait(30)})
    assert names(checkpoints) == ["00000001.tmp"] and checkpoints.shelf.steps() == []
    gate.set()
    assert checkpoints.latest_good() == 1


def test_an_error_in_the_background_surfaces_and_costs_nothing(tmp_path):
    def fail(directory):
        raise OSError("disk on fire\nand more")
    checkpoints = fill(tmp_path, [1], keep_last=1)
    checkpoints.save(2, state(2), {"broken": fail})
    checkpoints._thread.join()
    with pytest.raises(UserError, match="step 2 .*disk on fire;"):
        checkpoints.check()
    checkpoints.check()  # told once
    assert names(checkpoints) == ["00000001"] and checkpoints.latest_good() == 1
    checkpoints.save(3, state(3), {"broken": fail})
    with pytest.raises(UserError, match="step 3"):
        checkpoints.save(4, state(4))
    checkpoints.save(5, state(5))
    assert checkpoints.latest_good() == 5


def test_no_room_on_the_disk_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    checkpoints = fill(tmp_path, [1])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 100))
    with pytest.raises(UserError, match=r"needs 1\.0 MB, but .* 0\.0 MB free"):
        checkpoints.save(2, state(2))
    assert names(checkpoints) == ["00000001"]


def test_the_newest_are_kept_and_the_best(tmp_path):
    metrics = {1: 5.0, 2: 0.0, 3: 4.0, 4: float("nan"), 5: 3.0, 6: None}
    assert names(fill(tmp_path / "a", metrics, keep_last=2)) == ["00000002", "00000005", "00000006"]
    highest = fill(tmp_path / "b", metrics, keep_last=1, better="higher")
    assert names(highest) == ["00000001", "00000006"] and highest.best_good() == 1
    none = fill(tmp_path / "c", metrics, keep_last=1, keep_best=0)
    assert names(none) == ["00000006"] and none.best_good() is None


def test_the_best_survives_a_restart_of_the_process(tmp_path):
    fill(tmp_path, {1: 1.0, 2: 2.0}, keep_last=1)
    again = fill(tmp_path, {3: 3.0, 4: 4.0}, keep_last=1)
    assert names(again) == ["00000001", "00000004"] and again.best_good() == 1


def test_a_damaged_step_is_named_and_the_one_before_it_used(tmp_path):
    lines = []
    checkpoints = fill(tmp_path, [1, 2, 3], warn=lines.append)
    damaged = [damage(checkpoints, step) for step in (3, 2)]
    assert checkpoints.latest_good() == 1
    assert [str(path) in line and "using step 1" in line for path, line in zip(damaged, lines)] == [
        True, True]
    for step in (2, 3):
        with pytest.raises(UserError, match="sha256"):
            checkpoints.restore(step, state(step))
    assert same(checkpoints.restore(1, state(1)), state(1))
    assert names(checkpoints) == ["00000001", "00000002", "00000003"]


def test_a_damaged_step_is_replaced_when_the_run_comes_by_again(tmp_path):
    checkpoints = fill(tmp_path, [1, 2])
    damage(checkpoints, 2)
    again = fill(tmp_path, [2])
    assert again.latest_good() == 2 and names(again) == ["00000001", "00000002"]


def test_rotation_does_not_count_on_a_damaged_newer_step(tmp_path):
    damage(fill(tmp_path, [1, 9]), 9)
    again = Checkpoints(tmp_path, keep_last=1, warn=lambda line: None)
    assert again.latest_good() == 1
    again.save(2, state(2))
    assert again.latest_good() == 2 and names(again) == ["00000002", "00000009"]


def test_everything_is_synced_before_a_step_gets_its_name(tmp_path, monkeypatch):
    checkpoints, synced, rename = Checkpoints(tmp_path), set(), type(tmp_path).rename
    home = checkpoints.shelf.home

    def record(handle):
        synced.add(os.stat(handle).st_ino)

    def check(path, target):
        inside = [path, *path.rglob("*")]
        assert {p.stat().st_ino for p in inside} <= synced and len(inside) > 8
        synced.clear()
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", record)
    monkeypatch.setattr(type(tmp_path), "rename", check)
    checkpoints.save(1, state(1), {"a.json": 1, "b": lambda d: (d / "c").touch()})
    checkpoints.wait()
    assert synced == {home.stat().st_ino}  # the new name itself, after the renaming


def test_no_good_step_left_is_an_error_and_not_a_fresh_start(tmp_path):
    assert Checkpoints(tmp_path).latest_good() is None
    checkpoints = fill(tmp_path, [1])
    damage(checkpoints, 1)
    with pytest.raises(UserError, match="no good checkpoint is left"):
        checkpoints.latest_good()


def test_a_half_empty_step_directory_is_damaged(tmp_path):
    checkpoints = fill(tmp_path, [1], warn=lambda line: None)
    checkpoints.path(2).mkdir()
    assert checkpoints.latest_good() == 1


def test_a_stale_higher_step_of_another_run_is_neither_used_nor_removed(tmp_path):
    other = fill(tmp_path / "other", [1_000_000, 3])
    fill(tmp_path / "mine", [1, 2])
    for step in (3, 1_000_000):
        shutil.copytree(other.path(step), tmp_path / "mine" / "checkpoints" / other.path(step).name)
    mine = Checkpoints(tmp_path / "mine", keep_last=1)
    assert mine.latest_good() == 2
    mine.save(3, state(3))
    mine.wait()
    assert mine.latest_good() == 3 and same(mine.restore(3, state(3)), state(3))
    assert names(mine) == ["00000003", f"00000003.{other.shelf.run}", "01000000"]


def test_a_copied_step_can_be_continued_in_a_new_directory(tmp_path):
    old = fill(tmp_path / "old", [5])
    shutil.copytree(old.path(5), tmp_path / "new" / "checkpoints" / "00000005")
    new = Checkpoints(tmp_path / "new")
    assert new.latest_good() == 5 and new.shelf.run == old.shelf.run


def test_what_a_killed_save_left_is_removed_and_nothing_else(tmp_path):
    checkpoints = fill(tmp_path, [1, 2])
    home = checkpoints.shelf.home
    (home / "00000003.tmp" / "state").mkdir(parents=True)
    (home / "notes.tmp").touch()
    checkpoints.path(2).rename(home / "00000002.replaced")  # killed between two renames
    shutil.copytree(checkpoints.path(1), home / "00000001.replaced")  # killed after both
    again = Checkpoints(tmp_path)
    assert names(again) == ["00000001", "00000002", "notes.tmp"] and again.latest_good() == 2


@pytest.mark.parametrize("how", ["copy", "move", "link", "read-only"])
def test_a_step_loads_from_where_it_was_brought(tmp_path, how):
    step = fill(tmp_path / "run", [7]).path(7)
    there = tmp_path / "späces and % #?" / "model"
    there.parent.mkdir()
    {"copy": shutil.copytree, "move": shutil.move, "link": lambda a, b: b.symlink_to(a),
     "read-only": shutil.copytree}[how](step, there)
    everything = [there, *there.rglob("*")]
    if how == "read-only":
        for path in everything:
            path.chmod(path.stat().st_mode & ~0o222)
    before = [(str(p), p.stat().st_mtime_ns) for p in everything]
    assert same(restore_state(find(there), state(7)), state(7))
    assert before == [(str(p), p.stat().st_mtime_ns) for p in [there, *there.rglob("*")]]
    for path in everything:
        path.chmod(path.stat().st_mode | stat.S_IWUSR)


def test_finding_what_a_path_means(tmp_path):
    checkpoints = fill(tmp_path / "run", [1, 2])
    damage(checkpoints, 2)
    for path in (tmp_path / "run", tmp_path / "run" / "checkpoints", checkpoints.path(1)):
        assert find(path) == checkpoints.path(1)
    for path in (tmp_path, tmp_path / "absent", tmp_path / "00000009"):
        with pytest.raises(UserError, match="checkpoint"):
            find(path)


def test_reading_leaves_the_save_under_way_alone(tmp_path):
    fill(tmp_path, [1])
    (tmp_path / "checkpoints" / "00000002.tmp").mkdir()
    assert Shelf(find(tmp_path).parent).path(1).is_dir()
    assert (tmp_path / "checkpoints" / "00000002.tmp").is_dir()


def test_parameters_alone(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    average = {"a": {"query": jnp.full((3, 4), 0.5)}, "b": jnp.zeros(5, jnp.bfloat16)}
    checkpoints.save(1, {**state(1), "ema": average})
    checkpoints.wait()
    path = checkpoints.path(1)
    assert same(restore_params(path), state(1)["params"])
    assert same(restore_params(path, average=True), average)
    part = {"a": {"query": jax.ShapeDtypeStruct((3, 4), jnp.bfloat16)}}
    assert same(restore_params(path, part), {"a": {"query": jnp.ones((3, 4), jnp.bfloat16)}})


@pytest.mark.parametrize(("abstract", "message"), [
    ({"a": {"query": jnp.ones((3, 5))}}, r"params/a/query is \[3, 4\], but this run has \[3, 5\]"),
    ({"a": {"key": jnp.ones((3, 4))}}, "lacks params/a/key")])
def test_parameters_that_do_not_fit_are_named(tmp_path, abstract, message):
    path = fill(tmp_path, [1]).path(1)
    with pytest.raises(UserError, match=message):
        restore_params(path, abstract)


def test_a_state_that_does_not_fit_is_named(tmp_path):
    checkpoints = fill(tmp_path, [1])
    for changed, message in (
        ({"ema": jnp.ones(1)}, "lacks ema"), ({"params": {}}, "holds params/"),
        ({"step": jnp.float32(1)}, "step is int32, but this run has float32"),
        ({"opt": {}}, "holds opt/count"),
    ):
        with pytest.raises(UserError, match=message):
            checkpoints.restore(1, {**state(1), **changed})


def test_a_damaged_step_gives_no_parameters(tmp_path):
    checkpoints = fill(tmp_path, [1])
    path = damage(checkpoints, 1)
    with pytest.raises(UserError, match="damaged checkpoint: .*" + path.name):
        restore_params(checkpoints.path(1))


def test_the_same_step_twice(tmp_path):
    checkpoints = fill(tmp_path, [4])
    checkpoints.save(4, state(5))
    assert checkpoints.latest_good() == 4 and same(checkpoints.restore(4, state(4)), state(5))
    assert names(checkpoints) == ["00000004"]


def test_a_step_saved_again_without_a_metric_keeps_the_one_it_had(tmp_path):
    checkpoints = fill(tmp_path, {4: 0.5, 5: 0.7})
    checkpoints.save(4, state(4))
    checkpoints.wait()
    assert checkpoints.best_good() == 4


def test_each_crash_point_leaves_a_good_step(tmp_path, monkeypatch):
    """The process stops at the k-th call to the file system, for every k of a save that replaces,
    rotates and removes; whatever is left, the next start finds a whole step that is no older."""
    class Crash(BaseException):
        pass

    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    fill(tmp_path / "start", [1, 2], keep_last=2)
    for k in range(100):
        here, left = tmp_path / f"run {k}", k

        def guard(call, half=None):
            def guarded(*args, **options):
                nonlocal left
                left -= 1
                if left < 0:
                    if half and left == -1:
                        half(*args)
                    raise Crash
                return call(*args, **options)
            return guarded

        def remove_one_file(path, **_):
            next(p for p in path.rglob("*") if p.is_file()).unlink()

        shutil.copytree(tmp_path / "start", here)
        checkpoints = Checkpoints(here, keep_last=1)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", guard(os.fsync))
            patch.setattr(type(here), "rename", guard(type(here).rename))
            checkpoints.save(2, state(20))
            patch.setattr(shutil, "rmtree", guard(shutil.rmtree, remove_one_file))
            checkpoints._thread.join()
            checkpoints._thread = None
        again = Checkpoints(here, keep_last=1)
        assert again.latest_good() == 2, k
        restored = again.restore(2, state(2))
        assert same(restored, state(2)) or same(restored, state(20)), k
        assert all(not manifest.problems(again.path(int(n))) for n in names(again)), k
        if left > 0:
            break
    assert k > 12 and names(again) == ["00000002"] and same(restored, state(20))
