"""The article's server: two ways to wait and two ways to compute, timed by a middleware."""

import asyncio
import time
from typing import Annotated

from fastapi import FastAPI, Path, Query, Request, Response
from starlette.middleware.base import RequestResponseEndpoint

# The limits are those of the Rust servers' routes.
Milliseconds = Annotated[int, Query(ge=0, le=60_000)]
N = Annotated[int, Path(ge=0, le=45)]
AsyncN = Annotated[int, Path(ge=0, le=36)]

app = FastAPI()


@app.middleware("http")
async def add_process_time(request: Request, call_next: RequestResponseEndpoint) -> Response:
    start = time.perf_counter()
    response = await call_next(request)
    # Not str(): that prints 5e-05.
    response.headers["x-process-time"] = f"{time.perf_counter() - start:.9f}"
    return response


def fibonacci(n: int) -> int:
    return 1 if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


async def async_fibonacci(n: int) -> int:
    return 1 if n < 2 else await async_fibonacci(n - 1) + await async_fibonacci(n - 2)


# The routes say no return type: FastAPI would make a response model of it, which the article has not.


@app.get("/wait")
def wait(ms: Milliseconds = 50):
    duration = ms / 1000
    time.sleep(duration)
    return {"duration": duration}


@app.get("/asyncwait")
async def asyncwait(ms: Milliseconds = 50):
    duration = ms / 1000
    await asyncio.sleep(duration)
    return {"duration": duration}


@app.get("/fib/{n}")
def fib(n: N):
    return {"fib": fibonacci(n)}


@app.get("/asyncfib/{n}")
async def asyncfib(n: AsyncN):
    return {"fib": await async_fibonacci(n)}
