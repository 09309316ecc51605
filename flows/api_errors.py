"""What Prefect says when its API does not answer, as our own error."""

from collections.abc import Iterator
from contextlib import contextmanager

from kallos.errors import KallosError


@contextmanager
def api_must_answer(remedy: str) -> Iterator[None]:
    """Turn Prefect's errors of an API that cannot be reached into a `KallosError` with this remedy."""
    import httpx
    from prefect.settings import PREFECT_API_URL

    refused = f"Prefect's API must answer, and {PREFECT_API_URL.value()} did not: {remedy}"
    try:
        yield
    except httpx.TransportError:
        raise KallosError(refused) from None
    except RuntimeError as error:
        if not str(error).startswith(("Failed to reach API", "Timed out while attempting to connect")):
            raise
        raise KallosError(refused) from None
