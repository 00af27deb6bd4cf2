"""Serves app.py as the Rust servers serve: their arguments, one ready line, a drain on SIGTERM.

One process is uvicorn alone. Several are gunicorn's workers, each with a uvicorn of its own.
"""

import argparse
import ctypes
import ipaddress
import json
import os
import platform
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from importlib.metadata import version
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from anyio.to_thread import current_default_thread_limiter

# These two are the contract's: runtimes/contract/src/stop.rs and listen.rs.
DRAIN_LIMIT = 0.9  # seconds
BACKLOG = 4096

PR_SET_PDEATHSIG = 1


def address(text: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = str(ipaddress.ip_address(parts.hostname or "")), parts.port
    except ValueError:
        port = None
    if port is None:
        raise argparse.ArgumentTypeError("an IP address and a port, as in 127.0.0.1:8000")
    return host, port


def count(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= 10_000:
        return int(text)
    raise argparse.ArgumentTypeError("a whole number from 1 to 10000")


def seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if 0.01 <= value <= 86_400.0:
        return value
    raise argparse.ArgumentTypeError("a number of seconds from 0.01 to 86400")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="The article's server. Prints one JSON line when it is ready.", allow_abbrev=False
    )
    add = parser.add_argument
    add("--addr", type=address, default="127.0.0.1:0", help="where to listen; port 0 takes a free one")
    add("--workers", type=count, help="no effect: an asyncio process has one thread that runs tasks")
    add("--blocking-threads", type=count, help="threads that may block, per process [default: AnyIO's, 40]")
    add("--reuse-port", action="store_true", help="share the port with other processes (SO_REUSEPORT)")
    add(
        "--header-timeout",
        type=seconds,
        default=60.0,
        help="seconds an idle connection is kept; no effect on a request's head, which has no limit",
    )
    add("--panic-route", action="store_true", help="add the route /panic, whose handler raises")
    add("--processes", type=count, default=1, help="1: uvicorn; more: gunicorn with so many uvicorn workers")
    return parser.parse_args()


def listen(addr: tuple[str, int], reuse_port: bool) -> socket.socket:
    host, port = addr
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, reuse_port)
    try:
        listener.bind(addr)
        listener.listen(BACKLOG)
    except OSError as error:
        sys.exit(f"error: cannot listen on {host} port {port}: {error.strerror}")
    listener.setblocking(False)
    return listener


def raise_file_limit() -> None:
    """Lets the process open as many files as it may: a connection is a file."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def load_app(panic_route: bool) -> Any:
    from app import app

    if panic_route:

        @app.get("/panic")
        def panic() -> None:
            raise RuntimeError("the panic route was asked for")

    return app


def uvicorn_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """What every uvicorn is told, alone or in a gunicorn worker."""
    return {
        # What "auto" chooses where both are installed. Named, so that the ready line cannot be wrong.
        "loop": "uvloop",
        "http": "httptools",
        "access_log": False,
        "log_level": "warning",
        "backlog": BACKLOG,
        "timeout_keep_alive": arguments.header_timeout,
    }


class Server(uvicorn.Server):
    """A uvicorn that sizes its thread pool, says when it accepts connections, and ends in time."""

    def __init__(
        self, config: uvicorn.Config, blocking_threads: int | None, accepting: Callable[[int], None]
    ) -> None:
        super().__init__(config)
        self.blocking_threads = blocking_threads
        self.accepting = accepting

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        pool = current_default_thread_limiter()
        if self.blocking_threads is not None:
            pool.total_tokens = self.blocking_threads
        await super().startup(sockets=sockets)
        self.accepting(int(pool.total_tokens))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        # uvicorn's own limit cancels tasks, but not the pool's threads: their end would be waited for.
        limit = threading.Timer(DRAIN_LIMIT, os._exit, [0])
        limit.daemon = True
        limit.start()


def print_ready_line(
    flavor: str, listening: tuple[Any, ...], pid: int, processes: int, blocking_threads: int
) -> None:
    host, port = listening[:2]
    line = {
        "addr": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        "runtime": "asyncio",
        "runtime_version": platform.python_version(),
        "flavor": flavor,
        "http_stack": " + ".join(f"{p} {version(p)}" for p in ("uvicorn", "fastapi", "httptools", "uvloop")),
        # One event loop a process.
        "worker_threads": processes,
        # Every process has a pool of its own: this is the sum, what may block behind the address.
        "blocking_threads": blocking_threads * processes,
        "pid": pid,
        "contract": None,
    }
    print(json.dumps(line, separators=(",", ":")), flush=True)


def run_uvicorn(arguments: argparse.Namespace, listener: socket.socket) -> None:
    listening, pid = listener.getsockname(), os.getpid()

    def accepting(blocking_threads: int) -> None:
        print_ready_line("uvicorn", listening, pid, 1, blocking_threads)

    config = uvicorn.Config(load_app(arguments.panic_route), **uvicorn_options(arguments))
    Server(config, arguments.blocking_threads, accepting).run(sockets=[listener])


def run_gunicorn(arguments: argparse.Namespace, listener: socket.socket) -> None:
    # Imported and defined here, so that one uvicorn alone does not carry gunicorn's memory.
    from gunicorn.app.base import BaseApplication
    from gunicorn.arbiter import Arbiter
    from uvicorn_worker import UvicornWorker

    listening, pid = listener.getsockname(), os.getpid()

    # gunicorn's when_ready hook runs before there is a worker. So the last worker to accept
    # connections prints the line: each draws a ticket when it does, and the last ticket is marked.
    tickets, stub = os.pipe()
    os.write(stub, b"." * (arguments.processes - 1) + b"!")
    os.close(stub)

    def accepting(blocking_threads: int) -> None:
        if os.read(tickets, 1) == b"!":
            print_ready_line("gunicorn", listening, pid, arguments.processes, blocking_threads)

    class Worker(UvicornWorker):
        CONFIG_KWARGS = uvicorn_options(arguments)

        def init_process(self) -> None:
            # gunicorn's own workers leave when their master is gone; uvicorn's never look.
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != pid:
                os._exit(1)
            super().init_process()

        def run(self) -> None:
            self.config.app = self.wsgi
            Server(self.config, arguments.blocking_threads, accepting).run(sockets=self.sockets)

    class Application(BaseApplication):
        def load_config(self) -> None:
            for name, value in {
                "bind": f"fd://{listener.detach()}",
                "workers": arguments.processes,
                "worker_class": Worker,
                "backlog": BACKLOG,
                "loglevel": "warning",
                # A worker whose loop is busy with /asyncfib is not dead.
                "timeout": 0,
                # Above DRAIN_LIMIT: the workers end by themselves.
                "graceful_timeout": 1,
                # A file under $HOME that all gunicorns of a user would share.
                "control_socket_disable": True,
            }.items():
                self.cfg.set(name, value)

        def load(self) -> Any:
            return load_app(arguments.panic_route)

    class Master(Arbiter):
        # SIGINT would end the requests in flight.
        handle_int = Arbiter.handle_term

    Master(Application()).run()


def main() -> None:
    arguments = parse_arguments()
    # Before and after a server's own handlers are in force. uvicorn raises the signal again when it
    # has drained: there is nothing left to do, and no thread of the pool to wait for.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    raise_file_limit()
    listener = listen(arguments.addr, arguments.reuse_port)
    if arguments.processes == 1:
        run_uvicorn(arguments, listener)
    else:
        run_gunicorn(arguments, listener)


if __name__ == "__main__":
    main()
