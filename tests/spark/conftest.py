"""Spark for the tests: a session on this machine, and a real cluster of one master and two workers on loopback."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from processes import free_port


@pytest.fixture(scope="session")
def spark(spark_can_run):
    """Return the session of this process, on two threads; a task that fails is tried again, as on a cluster."""
    from cofactor.spark.session import session

    return session()


class Cluster:
    """A standalone master and workers, each a process group of its own, executors with their worker."""

    def __init__(self, folder):
        import pyspark

        self.folder, self.port = Path(folder), free_port()
        self.starter = Path(pyspark.__file__).parent / "bin" / "spark-class"
        self.master_process, self.workers = None, []

    @property
    def master(self):
        return f"spark://127.0.0.1:{self.port}"

    def start_master(self):
        self.master_process = self._start("master.Master", "--host", "127.0.0.1", "--port", self.port)
        self._wait_for("the master", lambda: self._answers())

    def start_worker(self):
        name = f"worker-{len(self.workers)}"
        options = ("--host", "127.0.0.1", "--cores", "1", "--memory", "1g", "--work-dir", self.folder / name)
        worker = self._start("worker.Worker", *options, self.master)
        log = self.folder / f"{worker.pid}.log"
        self._wait_for(name, lambda: "Successfully registered with master" in log.read_text())
        self.workers.append(worker)

    def kill_worker(self):
        """Kill a worker and its executors as the kernel would: nobody is told."""
        self._kill(self.workers.pop())

    def kill_master(self):
        self._kill(self.master_process)

    def stop(self):
        for process in [*self.workers, self.master_process]:
            if process is not None:
                self._kill(process)

    def _start(self, role, *options):
        command = [self.starter, f"org.apache.spark.deploy.{role}", *map(str, options), "--webui-port", "0"]
        environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_DAEMON_MEMORY": "256m"}
        beside = self.folder / f"starting-{role}.log"
        with beside.open("w") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, cwd=self.folder, start_new_session=True
            )
        beside.rename(self.folder / f"{process.pid}.log")
        return process

    def _kill(self, process):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def _wait_for(self, what, ready, seconds=90):
        give_up = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > give_up:
                raise TimeoutError(f"{what} did not start within {seconds} seconds: see {self.folder}")
            time.sleep(0.2)


@pytest.fixture(scope="session")
def cluster(spark_can_run, tmp_path_factory):
    """Return a cluster with two workers of one core; whoever kills one starts another."""
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        made.start_master()
        made.start_worker()
        made.start_worker()
        yield made
    finally:
        made.stop()
