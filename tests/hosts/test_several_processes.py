"""Several processes are one run: the same batches, the same numbers, one checkpoint, one end."""

import os
import signal
import time

import pytest
from processes import free_port, statuses

EXACT = ("batch_hash", "data_units", "optimisation_units", "learning_rate", "skipped")
ROUNDED = ("loss", "grad_norm", "validation_loss", "validation_accuracy")


def same_numbers(found, wanted):
    assert [record["step"] for record in found] == [record["step"] for record in wanted]
    for mine, one in zip(found, wanted, strict=True):
        assert {n: mine.get(n) for n in EXACT} == {n: one.get(n) for n in EXACT}, one["step"]
        for name in set(ROUNDED) & one.keys():
            assert mine[name] == pytest.approx(one[name], rel=2e-4), (one["step"], name)


def stopped_and_alone_again(cluster, run, count, devices, *flags):
    """Trains on `count` processes until the last of them gets SIGTERM; goes on as one."""
    with cluster.together(run, count, *flags, devices=devices) as processes:
        cluster.wait_for_step(run, 5, processes)
        processes[-1].send_signal(signal.SIGTERM)
        assert statuses(processes) == [143] * count, cluster.said(run, 0)
    saved = max(int(path.name) for path in (cluster.folder / run / "checkpoints").glob("0*"))
    last, every = saved + 3, [flag for flag in flags if "every" in flag]
    assert f"saved step {saved}" in cluster.said(run, 0)
    for number in range(1, count):  # process 0 alone tells
        assert set(cluster.said(run, number).split("\n")) <= {
            "", "SIGTERM: saving, then ending; a second signal ends the run at once"}
    assert cluster.log(run)[-1]["step"] == saved
    cluster.alone(run, *every, f"--steps={last}")
    assert f"after step {saved}" in cluster.said(run, 0)
    whole = f"{run} whole"
    cluster.alone(whole, *every, f"--steps={last}")
    same_numbers(cluster.log(run), cluster.log(whole))


def test_two_processes_stop_together_and_go_on_as_one(cluster):
    # an evaluation or a save on the way would make them agree between steps
    stopped_and_alone_again(cluster, "two", 2, 2, "--evaluate_every=0", "--save_every=0")


@pytest.mark.full
def test_four_processes_that_share_rows_stop_together_and_go_on_as_one(cluster):
    stopped_and_alone_again(cluster, "four", 4, 1, "--mesh.tensor=2")


@pytest.mark.full
def test_four_processes_that_share_parameters_and_rows(cluster):
    stopped_and_alone_again(cluster, "mixed", 4, 2, "--mesh.fsdp=2", "--mesh.tensor=2")


@pytest.mark.full
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_all_get_the_signal(cluster, number):
    run = f"all{number}"
    with cluster.together(run, 2) as processes:
        cluster.wait_for_step(run, 5, processes)
        for process in processes:
            process.send_signal(number)
        assert statuses(processes) == [128 + number] * 2, cluster.said(run, 0)


@pytest.mark.full
def test_survivors_name_the_dead_and_leave(cluster):
    with cluster.together("worker", 4) as processes:
        cluster.wait_for_step("worker", 3, processes)
        processes[2].kill()
        began = time.monotonic()
        assert statuses(processes, seconds=10) == [75, 75, 137, 75]
        assert time.monotonic() - began < 10
    for number in (0, 1, 3):
        assert f"process 2 (pid {processes[2].pid} on " in cluster.said("worker", number)
    with cluster.together("worker", 4, "--steps=30") as processes:  # what a launcher does then
        assert statuses(processes) == [0] * 4, cluster.said("worker", 0)


@pytest.mark.full
def test_without_the_coordinator_all_leave(cluster):
    with cluster.together("coordinator", 3, "--batch=6") as processes:
        cluster.wait_for_step("coordinator", 3, processes)
        processes[0].kill()
        assert statuses(processes, seconds=20) == [137, 134, 134]


@pytest.mark.full
def test_a_process_that_hangs_is_dead_after_the_heartbeat(cluster):
    with cluster.together("frozen", 2, "--heartbeat=10") as processes:
        cluster.wait_for_step("frozen", 3, processes)
        processes[1].send_signal(signal.SIGSTOP)
        assert statuses(processes[:1], seconds=60)[0] in (75, 134)


@pytest.mark.full
def test_who_does_not_come_is_named(cluster):
    port = free_port()
    flags = [f"--coordinator=localhost:{port}", "--processes=4", "--wait=8"]
    processes = [cluster.begin("missing", n, *flags, f"--process={n}") for n in (0, 2)]
    assert statuses(processes) == [69, 69]
    line = f"error: processes 1, 3 of 4 did not come within 8 s to port {port} of process 0; " \
           "start them, or look at what they printed\n"
    assert cluster.said("missing", 0) == cluster.said("missing", 2) == line
    alone = cluster.begin("missing", 3, *flags, "--process=3", "--wait=1")
    assert statuses([alone]) == [69]
    assert f"process 3 of 4 could not reach process 0 at localhost:{port} within 1 s" \
        in cluster.said("missing", 3)


@pytest.mark.full
def test_one_mistake_is_told_once(cluster):
    with cluster.together("mistaken", 3) as processes:
        assert statuses(processes) == [2] * 3
    assert "batch: 4 rows of each of 2 slices do not divide" in cluster.said("mistaken", 0)
    assert cluster.said("mistaken", 1) == cluster.said("mistaken", 2) == ""


@pytest.mark.full
def test_a_host_that_does_not_see_the_directory_says_so(cluster, tmp_path):
    flags = [f"--coordinator=localhost:{free_port()}", "--processes=2"]
    other = f"--workdir={tmp_path / 'elsewhere'}"
    processes = [cluster.begin("seen", 0, *flags, "--process=0"),
                 cluster.begin("seen", 1, *flags, "--process=1", other)]
    assert statuses(processes) == [2, 2]
    assert "is not the directory of process 0" in cluster.said("seen", 0)


@pytest.mark.full
def test_slurm_is_found(cluster):
    tasks = {"SLURM_JOB_ID": str(os.getpid()), "SLURM_STEP_NODELIST": "localhost",
             "SLURM_NTASKS": "2", "SLURM_STEP_NUM_NODES": "1"}
    processes = [cluster.begin("slurm", n, "--steps=4", SLURM_PROCID=str(n),
                               SLURM_LOCALID=str(n), **tasks) for n in range(2)]
    assert statuses(processes) == [0, 0], cluster.said("slurm", 0)
    assert "2 x cpu" in cluster.said("slurm", 0)


@pytest.mark.full
def test_stages_tasks_and_samples_come_out_as_on_one_process(cluster):
    quick = ["configs/quickstart.py", "--pretrain.steps=6", "--pretrain.evaluate_every=3",
             "--pretrain.data.megabytes=0.3", "--pretrain.tokens=8", "--scratch.steps=2",
             "--finetune.steps=4", "--finetune.evaluate_every=2"]
    with cluster.together("quick", 2, config=quick) as processes:
        assert statuses(processes) == [0, 0], cluster.said("quick", 0)
    cluster.alone("quick whole", config=quick)
    for stage in ("pretrain", "scratch", "finetune"):
        same_numbers(cluster.log(f"quick/{stage}"), cluster.log(f"quick whole/{stage}"))
        found, wanted = (cluster.summary(f"{run}/{stage}") for run in ("quick", "quick whole"))
        assert found.keys() == wanted.keys() and found["samples"] == wanted["samples"]
        for name in ("test_loss", "test_accuracy", "data_units", "judged_step"):
            assert found[name] == pytest.approx(wanted[name], rel=2e-4), (stage, name)
