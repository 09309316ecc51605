"""The result of a fold: its forecasts, with the actual values. Scores are views of them."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from kallos.scoring.forecast import Forecast
from kallos.scoring.targets import windows_of

Array = npt.NDArray[np.float64]

_HEADER = "kallos"


class FoldFit(BaseModel):
    """How a fold was fitted: epochs, the best of them, and seconds of fitting and forecasting."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int
    best_epoch: int
    seconds: float


@dataclass(frozen=True, eq=False)
class AssetForecasts:
    """The forecasts of one asset's validation window, in the targets' own units, and what scores them.

    `quantiles` has the shape (origins, steps, targets, levels) and `observed`, the window's rows, (rows, targets).
    `reference`, of shape (origins, targets), is that of `reference_at`. `unit`, of shape (targets,), is the unit of
    errors, and `change` that of `mean_change`. `rows_per_year` is one number, `nan` without dates.
    """

    quantiles: Array
    observed: Array
    reference: Array
    unit: Array
    change: Array
    rows_per_year: Array

    @property
    def horizon(self) -> int:
        """The number of steps that are forecast from each origin."""
        return int(self.quantiles.shape[1])

    @cached_property
    def actual(self) -> Array:
        """The actual values, of shape (origins, steps, targets), in the targets' own units."""
        return windows_of(self.observed, self.horizon)


_NAMES = tuple(field.name for field in fields(AssetForecasts))


@dataclass(frozen=True, eq=False)
class FoldResult:
    """The forecasts of a fold, those of each asset; `to_median` is that of `Forecast.of_quantiles`."""

    fit: FoldFit
    levels: tuple[float, ...]
    to_median: Array
    assets: tuple[AssetForecasts, ...]

    def forecasts(self) -> Iterator[Forecast]:
        """Yield the forecast of each asset."""
        for asset in self.assets:
            yield Forecast.of_quantiles(asset.quantiles, self.levels, self.to_median)

    def content(self, fingerprint: str) -> bytes:
        """Return the result as a file in the safetensors format, with a checksum that holds for this fingerprint."""
        from safetensors.numpy import save

        arrays = self._arrays()
        header: dict[str, object] = {"fit": self.fit.model_dump(), "levels": self.levels}
        checksum = _checksum(fingerprint, header, arrays)
        return save(arrays, {_HEADER: json.dumps({**header, "sha256": checksum}, allow_nan=False)})

    @classmethod
    def of_content(cls, content: bytes, fingerprint: str) -> Self:
        """Return the result in a file; raises `ValueError` that says what is wrong with another or a damaged one."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            arrays = load(content)
            size = int.from_bytes(content[:8], "little")
            header = json.loads(json.loads(content[8 : 8 + size])["__metadata__"][_HEADER])
            checksum = header.pop("sha256")
            fit, levels = FoldFit.model_validate(header["fit"]), tuple(header["levels"])
            parts = range(sum(name.endswith(".quantiles") for name in arrays))
            assets = tuple(AssetForecasts(*(arrays[f"{part}.{name}"] for name in _NAMES)) for part in parts)
            found = cls(fit, levels, arrays["to_median"], assets)
        except (SafetensorError, ValueError, KeyError, TypeError, AttributeError):
            raise ValueError("is not the result of a fold") from None
        if checksum != _checksum(fingerprint, header, arrays):
            raise ValueError("has a wrong checksum")
        return found

    def _arrays(self) -> dict[str, Array]:
        arrays = {"to_median": self.to_median}
        for part, asset in enumerate(self.assets):
            arrays |= {f"{part}.{name}": getattr(asset, name) for name in _NAMES}
        # Safetensors writes memory as it lies.
        return {name: np.ascontiguousarray(value) for name, value in arrays.items()}


def _checksum(fingerprint: str, header: dict[str, object], arrays: dict[str, Array]) -> str:
    """Hash the content with its fingerprint, so that an entry copied to another name is invalid."""
    digest = hashlib.sha256(json.dumps([fingerprint, header], sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(f"{name}{arrays[name].shape}{arrays[name].dtype}".encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()
