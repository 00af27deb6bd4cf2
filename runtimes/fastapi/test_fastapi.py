"""Starts serve.py as the harness does and checks what it says. Run it with any python3, after setup.sh."""

import http.client
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import time
import unittest
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PYTHON = HERE / ".venv/bin/python"


def setUpModule() -> None:
    if not PYTHON.exists():
        raise unittest.SkipTest("no .venv: run setup.sh first")


def serve(*arguments: str) -> subprocess.Popen[str]:
    command = [str(PYTHON), str(HERE / "serve.py"), *arguments]
    return subprocess.Popen(command, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


class Reply:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.body = response.read()
        self.content_type = response.headers["content-type"]
        self.process_time = response.headers["x-process-time"]


class Running:
    """A server that has printed its ready line."""

    def __init__(self, add_cleanup: Callable[..., None], *arguments: str) -> None:
        self.process = serve(*arguments)
        add_cleanup(self.kill)
        assert self.process.stdout
        self.line = self.process.stdout.readline()
        self.ready: dict[str, Any] = json.loads(self.line)
        self.host, port = self.ready["addr"].rsplit(":", 1)
        self.host, self.port = self.host.strip("[]"), int(port)

    def get(self, path: str, method: str = "GET") -> Reply:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        try:
            connection.request(method, path)
            return Reply(connection.getresponse())
        finally:
            connection.close()

    def workers(self) -> list[int]:
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str, str, float]:
        """The exit code, the rest of stdout and stderr, and how long it took."""
        start = time.monotonic()
        self.process.send_signal(number)
        stdout, stderr = self.process.communicate(timeout=5)
        return self.process.returncode, stdout, stderr, time.monotonic() - start

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has reaped yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


class Routes(unittest.TestCase):
    server: Running

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = Running(cls.addClassCleanup)

    def test_replies_are_byte_for_byte_the_article_s(self) -> None:
        for path, body in {
            "/wait": b'{"duration":0.05}',
            "/asyncwait": b'{"duration":0.05}',
            "/wait?ms=3": b'{"duration":0.003}',
            "/asyncwait?ms=0": b'{"duration":0.0}',
            "/asyncwait?ms=1000": b'{"duration":1.0}',
            "/wait?other=1": b'{"duration":0.05}',
            "/fib/30": b'{"fib":1346269}',
            "/asyncfib/20": b'{"fib":10946}',
            "/fib/0": b'{"fib":1}',
            "/asyncfib/1": b'{"fib":1}',
        }.items():
            with self.subTest(path):
                reply = self.server.get(path)
                self.assertEqual((reply.status, reply.body), (200, body))
                self.assertEqual(reply.content_type, "application/json")

    def test_process_time_is_a_decimal_number_of_the_handler_s_seconds(self) -> None:
        for path, least in {"/wait": 0.05, "/asyncwait?ms=20": 0.02, "/asyncfib/0": 0.0}.items():
            with self.subTest(path):
                took = self.server.get(path).process_time
                self.assertRegex(took, re.compile(r"\A\d+\.\d{9}\Z"))
                self.assertGreaterEqual(float(took), least)
                self.assertLess(float(took), least + 0.5)

    def test_parameters_out_of_range_are_the_framework_s_422(self) -> None:
        for path in (
            "/fib/x",
            "/fib/3.5",
            "/fib/-1",
            "/fib/46",
            "/asyncfib/x",
            "/asyncfib/37",
            "/wait?ms=",
            "/wait?ms=x",
            "/wait?ms=-1",
            "/asyncwait?ms=60001",
            "/asyncwait?ms=0.5",
        ):
            with self.subTest(path):
                reply = self.server.get(path)
                self.assertEqual(reply.status, 422)
                self.assertIn(json.loads(reply.body)["detail"][0]["loc"][1], ("n", "ms"))

    def test_there_is_nothing_else(self) -> None:
        for path in ("/", "/plaintext", "/parfib/3", "/panic", "/fib", "/fib/3/4"):
            with self.subTest(path):
                self.assertEqual(self.server.get(path).status, 404)
        self.assertEqual(self.server.get("/wait", method="POST").status, 405)

    def test_waits_overlap(self) -> None:
        for path in ("/wait?ms=300", "/asyncwait?ms=300"):
            with self.subTest(path), ThreadPoolExecutor(10) as pool:
                start = time.monotonic()
                replies = list(pool.map(self.server.get, [path] * 10))
                self.assertEqual({reply.status for reply in replies}, {200})
                self.assertLess(time.monotonic() - start, 1.5)


class ReadyLine(unittest.TestCase):
    def test_one_process(self) -> None:
        server = Running(self.addCleanup)
        self.assertEqual(server.host, "127.0.0.1")
        self.assertRegex(server.ready.pop("addr"), r":[1-9]\d*\Z")
        self.assertRegex(server.ready.pop("runtime_version"), r"\A3\.\d+\.\d+")
        self.assertRegex(server.ready.pop("http_stack"), r"\Auvicorn [\d.]+ \+ fastapi [\d.]+")
        self.assertEqual(
            server.ready,
            {
                "runtime": "asyncio",
                "flavor": "uvicorn",
                "worker_threads": 1,
                "blocking_threads": 40,
                "pid": server.process.pid,
                "contract": None,
            },
        )
        self.assertEqual(server.stop()[:3], (0, "", ""))

    def test_two_processes(self) -> None:
        server = Running(self.addCleanup, "--processes", "2")
        self.assertEqual(server.ready["flavor"], "gunicorn")
        self.assertEqual(server.ready["pid"], server.process.pid)
        self.assertEqual(server.ready["blocking_threads"], 80)
        workers = server.workers()
        self.assertEqual(len(workers), 2)
        # Both were listening when the line came: each has its loop's epoll.
        for worker in workers:
            files = [os.readlink(file) for file in Path(f"/proc/{worker}/fd").iterdir() if file.is_symlink()]
            self.assertIn("anon_inode:[eventpoll]", files)
        self.assertEqual(server.get("/wait").body, b'{"duration":0.05}')
        self.assertEqual(server.stop()[:3], (0, "", ""))
        self.assertTrue(all(map(gone, workers)))

    def test_blocking_threads_are_in_force_and_a_sum(self) -> None:
        server = Running(self.addCleanup, "--blocking-threads", "1", "--workers", "4")
        self.assertEqual((server.ready["blocking_threads"], server.ready["worker_threads"]), (1, 1))
        with ThreadPoolExecutor(4) as pool:
            start = time.monotonic()
            list(pool.map(server.get, ["/wait?ms=100"] * 4))
            self.assertGreaterEqual(time.monotonic() - start, 0.4)
        many = Running(self.addCleanup, "--blocking-threads", "3", "--processes", "3")
        self.assertEqual(many.ready["blocking_threads"], 9)

    def test_other_addresses(self) -> None:
        server = Running(self.addCleanup, "--addr", "[::1]:0")
        self.assertTrue(server.ready["addr"].startswith("[::1]:"))
        self.assertEqual(server.get("/fib/1").status, 200)

    def test_a_port_is_shared_only_when_both_say_so(self) -> None:
        for processes in ("1", "2"):
            with self.subTest(processes=processes):
                first = Running(self.addCleanup, "--reuse-port", "--processes", processes)
                second = Running(
                    self.addCleanup, "--reuse-port", "--processes", processes, "--addr", first.ready["addr"]
                )
                self.assertEqual(second.ready["addr"], first.ready["addr"])
                third = serve("--addr", first.ready["addr"], "--processes", processes)
                stdout, stderr = third.communicate(timeout=10)
                self.assertEqual((third.returncode, stdout), (1, ""))
                self.assertRegex(stderr, r"\Aerror: cannot listen on [^\n]*: Address already in use\n\Z")


class Arguments(unittest.TestCase):
    def test_nonsense_is_refused(self) -> None:
        for arguments in (
            ("--addr", "localhost:80"),
            ("--addr", "127.0.0.1"),
            ("--addr", "127.0.0.1:99999"),
            ("--workers", "0"),
            ("--blocking-threads", "x"),
            ("--header-timeout", "0"),
            ("--processes", "10001"),
            ("--nosuch",),
        ):
            with self.subTest(arguments):
                process = serve(*arguments)
                stdout, stderr = process.communicate(timeout=10)
                self.assertEqual((process.returncode, stdout), (2, ""))
                self.assertIn("error: ", stderr.splitlines()[-1])

    def test_the_panic_route_is_a_500_and_the_server_lives(self) -> None:
        for processes in ("1", "2"):
            with self.subTest(processes=processes):
                server = Running(self.addCleanup, "--panic-route", "--processes", processes)
                self.assertEqual(server.get("/panic").status, 500)
                self.assertEqual(server.get("/fib/1").status, 200)

    def test_header_timeout_is_how_long_an_idle_connection_is_kept(self) -> None:
        for processes in ("1", "2"):
            with self.subTest(processes=processes):
                server = Running(self.addCleanup, "--header-timeout", "0.3", "--processes", processes)
                with socket.create_connection((server.host, server.port), timeout=3) as connection:
                    connection.sendall(b"GET /fib/1 HTTP/1.1\r\nhost: x\r\n\r\n")
                    start = time.monotonic()
                    while connection.recv(4096):
                        pass
                    self.assertGreater(time.monotonic() - start, 0.25)


class Ending(unittest.TestCase):
    """What SIGTERM and SIGINT do, to one process and to two."""

    ways = tuple(itertools.product(("1", "2"), (signal.SIGTERM, signal.SIGINT)))

    def test_idle(self) -> None:
        for processes, number in self.ways:
            with self.subTest(processes=processes, signal=number.name):
                server = Running(self.addCleanup, "--processes", processes)
                with socket.create_connection((server.host, server.port)) as kept:
                    kept.sendall(b"GET /fib/1 HTTP/1.1\r\nhost: x\r\n\r\n")
                    self.assertTrue(kept.recv(4096).startswith(b"HTTP/1.1 200"))
                    code, stdout, stderr, took = server.stop(number)
                self.assertEqual((code, stdout, stderr), (0, "", ""))
                self.assertLess(took, 1.0)

    def test_what_is_in_flight_is_finished_and_nothing_more_is_taken(self) -> None:
        for processes, number in self.ways:
            with self.subTest(processes=processes, signal=number.name), ThreadPoolExecutor(2) as pool:
                server = Running(self.addCleanup, "--processes", processes)
                replies = [pool.submit(server.get, path) for path in ("/wait?ms=700", "/asyncwait?ms=700")]
                time.sleep(0.25)
                server.process.send_signal(number)
                time.sleep(0.3)
                with self.assertRaises(ConnectionRefusedError):
                    socket.create_connection((server.host, server.port))
                self.assertEqual([reply.result().body for reply in replies], [b'{"duration":0.7}'] * 2)
                stdout, stderr = server.process.communicate(timeout=5)
                self.assertEqual((server.process.returncode, stdout, stderr), (0, "", ""))

    def test_what_takes_too_long_is_cut(self) -> None:
        # One computes on a thread of the pool, one sleeps on another, one sleeps on the loop, one holds it.
        paths = ("/fib/40", "/wait?ms=9000", "/asyncwait?ms=9000", "/asyncfib/36")
        for path, processes in itertools.product(paths, ("1", "2")):
            with self.subTest(path, processes=processes), ThreadPoolExecutor(1) as pool:
                server = Running(self.addCleanup, "--processes", processes)
                cut = pool.submit(server.get, path)
                time.sleep(0.3)
                workers = server.workers()
                code, stdout, _, took = server.stop()
                self.assertEqual((code, stdout), (0, ""))
                self.assertLess(took, 1.5)
                self.assertTrue(all(map(gone, workers)))
                self.assertIsInstance(cut.exception(), (http.client.HTTPException, OSError))

    def test_a_signal_before_it_is_ready(self) -> None:
        for processes in ("1", "2"):
            for after in (0.2, 0.4, 0.6, 0.8):
                with self.subTest(processes=processes, after=after):
                    process = serve("--processes", processes)
                    time.sleep(after)
                    process.terminate()
                    process.communicate(timeout=5)
                    # Negative: Python was still reading its own modules.
                    self.assertIn(process.returncode, (0, -signal.SIGTERM))

    def test_workers_do_not_outlive_a_killed_master(self) -> None:
        server = Running(self.addCleanup, "--processes", "2")
        workers = server.workers()
        self.assertEqual(len(workers), 2)
        server.process.kill()
        server.process.wait()
        deadline = time.monotonic() + 2
        while not all(map(gone, workers)) and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertTrue(all(map(gone, workers)))
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection((server.host, server.port))


if __name__ == "__main__":
    unittest.main()
