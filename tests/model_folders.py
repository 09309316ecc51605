"""Folders that look like a model's to a registry, without a model in them."""

import hashlib
import json
from pathlib import Path
from typing import Any

MANIFEST: dict[str, Any] = {
    "model_id": "gru-ABC-1",
    "asset_id": "ABC",
    "model_label": "gru",
    "target": "log_return_close",
    "horizon": 1,
    "data": {"sha256": "5e" * 32, "rows": 400, "start": "2020-01-01T00:00:00", "end": "2021-02-03T00:00:00"},
    "holdout_start": "2021-02-04T00:00:00",
}


def make_model(folder: Path, model_id: str = "gru-ABC-1", **over: Any) -> str:
    """Write a model's folder under its id, with weights that are its own, and return its path."""
    model = folder / model_id
    files = {"weights.pt": b"\x80\x00weights of " + model_id.encode(), "scalers/target.json": b"{}"}
    (model / "scalers").mkdir(parents=True)
    for name, content in files.items():
        (model / name).write_bytes(content)
    checksums = {name: {"sha256": hashlib.sha256(content).hexdigest()} for name, content in files.items()}
    manifest = {**MANIFEST, "model_id": model_id, "files": checksums, **over}
    (model / "manifest.json").write_text(json.dumps(manifest))
    return str(model)
