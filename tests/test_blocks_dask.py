"""Block-wise runs on a dask cluster: the same records, lost workers, workers that cannot do the tasks."""

import os
import signal
import threading
import time
from dataclasses import replace

import blockwise_dummies as dummies
import pytest
from blockwise_dummies import PLAN, contents, counts, stages_of, with_settings

from flowseg.blockwise._runs.job import holding_job, start_job, work_folder_of
from flowseg.blockwise._runs.run import run_stages
from flowseg.blockwise._runs.runners import dask_client
from flowseg.blockwise._runs.runners.dask_client import WorkerState, check_workers
from flowseg.blockwise._runs.tasks import run_task

distributed = pytest.importorskip("distributed")
dask = pytest.importorskip("dask")

# Nothing but this machine, no dashboard, no warnings about its port.
QUIET = {"dashboard_address": ":0", "protocol": "tcp", "host": "127.0.0.1", "silence_logs": 50}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(dask_client, "POLL", 0.2)
    monkeypatch.setattr(dask_client, "FIRST_WORKER", 0.5)


@pytest.fixture
def cluster():
    """Starts clusters of threads, or of processes, which end with the test."""
    opened = []

    def begin(n_workers, *, processes=False, **options):
        cluster = distributed.LocalCluster(
            n_workers=n_workers, threads_per_worker=1, processes=processes, **(QUIET | options)
        )
        opened.append(cluster)
        client = distributed.Client(cluster)
        opened.append(client)
        return client

    yield begin
    for each in reversed(opened):
        each.close(timeout=10)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("expected") / "out.zarr.blocks"
    job = start_job(folder, PLAN, resume=False)
    for stage in dummies.STAGES:
        for index in range(stage.count(job)):
            run_task(job, dummies.STAGES, stage.name, index)
    return contents(folder)


@pytest.fixture
def folder(tmp_path):
    return work_folder_of(tmp_path / "out.zarr")


def once_begun(folder, act):
    """Act, in a thread, when the first tasks of a run are done: how long its start takes depends on the machine."""

    def wait():
        while not (folder / "numbers" / "5.npz").exists():
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def do_all(folder, client, plan=PLAN, *, resume=False):
    with holding_job(folder, plan, resume=resume) as job:
        run_stages(job, stages_of, client=client)
    return contents(folder)


@pytest.mark.parametrize("n_workers", [1, 2, 4])
def test_any_number_of_workers(n_workers, cluster, folder, expected):
    client = cluster(n_workers)
    assert do_all(folder, client) == expected
    assert set(counts(folder).values()) == {1}
    assert do_all(folder, client, resume=True) == expected
    assert set(counts(folder).values()) == {1}


def test_more_tasks_than_are_submitted_at_a_time(cluster, folder, expected, monkeypatch):
    monkeypatch.setattr(dask_client, "LEAST_AHEAD", 3)
    monkeypatch.setattr(dask_client, "AHEAD", 1)
    assert do_all(folder, cluster(1)) == expected


def test_names_in_the_dashboard(cluster, folder):
    client = cluster(1)
    seen = []
    submit = client.submit

    def log(*arguments, **options):
        seen.append(options["key"])
        return submit(*arguments, **options)

    client.submit = log
    do_all(folder, client)
    assert {dask.utils.key_split(key) for key in seen} == {"flowseg-numbers", "flowseg-total", "flowseg-pairs"}
    assert len(set(seen)) == len(seen) == 95


@pytest.mark.skipif(os.name == "nt", reason="signals of this kind are POSIX")
def test_workers_that_are_killed(cluster, folder, expected):
    """One at random moments by its number, and one by a task."""
    client = cluster(2, processes=True)
    plan = with_settings(kills_once="numbers 30", seconds=0.02)

    thread = once_begun(folder, lambda: os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL))
    made = do_all(folder, client, plan)
    thread.join()
    assert made.keys() == expected.keys()
    assert set(counts(folder).values()) <= {0, 1}
    whole = folder.with_name("whole")
    whole.mkdir()
    (whole / "killed").touch()  # no more
    job = start_job(whole / "x.blocks", plan, resume=False)
    for stage in dummies.STAGES:
        for index in range(stage.count(job)):
            run_task(job, dummies.STAGES, stage.name, index)
    assert made == contents(whole / "x.blocks")


@pytest.mark.skipif(os.name == "nt", reason="signals of this kind are POSIX")
def test_a_task_whose_workers_are_all_killed(cluster, folder, monkeypatch):
    monkeypatch.setattr(dask_client, "MOST_ATTEMPTS", 1)
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        client = cluster(1, processes=True)
        with pytest.raises(
            ChildProcessError, match="block . of stage numbers must be done by a worker of the client; all"
        ):
            do_all(folder, client, with_settings(kills_always="numbers 5"))


def test_an_error_of_a_task(cluster, folder):
    client = cluster(2)
    with pytest.raises(ValueError, match="cellprob must be finite; got NaN") as caught:
        do_all(folder, client, with_settings(fails="pairs 3"))
    assert caught.value.__notes__ == ["stage pairs, block 3"]
    deadline = time.monotonic() + 10
    while client.processing() and any(client.processing().values()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(client.processing().values())  # nothing goes on in the cluster


def test_a_client_without_workers(cluster, folder):
    client = cluster(0)
    with pytest.raises(
        TimeoutError, match=r"client must have workers; it had none for 0\.5 seconds\. .*wait_for_workers"
    ):
        do_all(folder, client)


def test_workers_that_leave(cluster, folder, monkeypatch):
    monkeypatch.setattr(dask_client, "NO_WORKER", 0.5)
    client = cluster(1)
    once_begun(folder, lambda: client.cluster.scale(0))
    with pytest.raises(TimeoutError, match="client must have workers; all were lost, and none came for 0.5 seconds"):
        do_all(folder, client, with_settings(seconds=0.1))


def test_a_worker_that_comes_late(cluster, folder, expected, monkeypatch):
    monkeypatch.setattr(dask_client, "FIRST_WORKER", 20.0)
    client = cluster(0)
    threading.Thread(target=lambda: (time.sleep(0.5), client.cluster.scale(1))).start()
    assert do_all(folder, client) == expected


def test_no_client(folder, cluster):
    with pytest.raises(TypeError, match=r"client must be a dask\.distributed\.Client; got str"):
        do_all(folder, "tcp://localhost:8786")
    client = cluster(1)
    client.close()
    with pytest.raises(ValueError, match="client must be connected to a scheduler; it is closed"):
        do_all(folder, client, resume=True)


def test_a_scheduler_that_is_restarted(cluster, folder):
    client = cluster(1)
    once_begun(folder, lambda: client.restart(wait_for_workers=False))
    with pytest.raises(ConnectionError, match="client must keep its tasks while a run lasts"):
        do_all(folder, client, with_settings(seconds=0.1))


GOOD = WorkerState("0.1.0", (), True, ())


@pytest.mark.parametrize(
    ("state", "kind", "sentence"),
    [
        (GOOD._replace(version="0.0.9"), ValueError, r"workers must have flowseg 0\.1\.0, .*; w2 has 0\.0\.9\."),
        (
            GOOD._replace(missing=("zarr", "dask")),
            ImportError,
            r"the extra 'large', flowseg\[large\]; w2 lacks zarr, dask: install it with: pip install zarr dask",
        ),
        (GOOD._replace(sees_folder=False), FileNotFoundError, "workers must see the work folder .*; w2 does not"),
        (ModuleNotFoundError("No module named 'flowseg'"), ValueError, "w2 has another: No module named 'flowseg'"),
        (OSError("a reason"), OSError, "a reason"),
    ],
)
def test_workers_that_cannot_do_the_tasks(state, kind, sentence, tmp_path):
    class Client:
        def nthreads(self):
            return {"w1": 1, "w2": 1}

        def run(self, function, folder, on_error):
            return {"w1": GOOD, "w2": state}

    with pytest.raises(kind, match=sentence) as caught:
        check_workers(Client(), tmp_path)
    assert "\n" not in str(caught.value)


def test_a_worker_of_another_version_that_joins_later(folder, tmp_path):
    start_job(folder, PLAN, resume=False)
    with pytest.raises(ValueError, match=r"workers must have flowseg 9\.9, as the client has; one has 0"):
        dask_client.run_on_worker(str(folder), "9.9", stages_of, "numbers", 0)


def test_tasks_of_the_network_go_to_gpus(folder, expected):
    """Where workers declare resources: the network's tasks to those with a GPU, all others to those with a CPU."""

    with (
        distributed.LocalCluster(n_workers=0, threads_per_worker=1, processes=True, **QUIET) as cluster,
        distributed.Client(cluster) as client,
    ):
        spec = cluster.new_worker_spec()
        (base,) = spec.values()
        for name, resources in (("gpu", {"GPU": 1}), ("cpu", {"CPU": 1})):
            cluster.worker_spec[name] = {"cls": base["cls"], "options": base["options"] | {"resources": resources}}
        cluster.sync(cluster._correct_state)
        client.wait_for_workers(2, timeout=30)
        numbers = {
            worker["name"]: pid
            for address, pid in client.run(os.getpid).items()
            for worker in [client.scheduler_info()["workers"][address]]
        }
        assert do_all(folder, client) == expected
    logs = {file.name: int(file.read_text().split()[1]) for file in (folder.parent / "log").iterdir()}
    assert {pid for name, pid in logs.items() if name.startswith("numbers")} == {numbers["gpu"]}
    assert {pid for name, pid in logs.items() if not name.startswith("numbers")} == {numbers["cpu"]}


def test_without_the_extra(folder, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(
        ImportError, match="needs the package distributed; install it with: pip install zarr dask distri"
    ):
        do_all(folder, object())


def test_another_plan(folder, cluster):
    start_job(folder, PLAN, resume=False)
    with pytest.raises(ValueError, match="block_size was 10, is 20"):
        do_all(folder, None, replace(PLAN, block_size=20), resume=True)
