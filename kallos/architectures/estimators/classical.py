"""Exponential smoothing, the theta method and ARIMA, as statsforecast fits them and rolls them forward.

Seasons are left out: an exponential smoothing begins each window with the seasons of the first training row, and a
theta model decomposes each window by factors, which a standardised series does not have.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from statsforecast.models import ARIMA, AutoETS, AutoTheta

from kallos.architectures.estimators.local import Family


@dataclass(frozen=True)
class Smoothing(Family):
    """Exponential smoothing with additive errors."""

    has_trend: bool
    is_damped: bool

    def create(self) -> Any:
        """Return an unfitted model."""
        return AutoETS(model="AAN" if self.has_trend else "ANN", damped=self.is_damped)

    def document(self, learnt: Mapping[str, Any]) -> dict[str, Any]:
        """Return kind, parameters and first states."""
        return {
            "components": str(learnt["components"]),
            "par": [float(each) for each in learnt["par"]],
            "n_params": int(learnt["n_params"]),
        }

    def learnt(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return what `forward` reads."""
        components, par = str(document["components"]), np.array(document["par"], np.float64)
        # A constant series has no trend.
        if components not in ("ANNN", "AANN", "AAND") or par.shape != (5 if components == "ANNN" else 6,):
            raise ValueError(f"{len(par)} numbers of {components}")
        return {"components": components, "par": par, "n_params": int(document["n_params"]), "m": 1, "fit": None}

    @property
    def n_numbers(self) -> int:
        """Those of level, trend and damping."""
        return 1 + self.has_trend + self.is_damped


@dataclass(frozen=True)
class Theta(Family):
    """The theta method in one of its variants: standard or optimised, its drift fixed or dynamic."""

    variant: str

    def create(self) -> Any:
        """Return an unfitted model."""
        return AutoTheta(season_length=1, model=self.variant)

    def document(self, learnt: Mapping[str, Any]) -> dict[str, Any]:
        """Return variant and parameters."""
        par = {name: float(learnt["par"][name]) for name in ("initial_smoothed", "alpha", "theta")}
        return {"modeltype": str(learnt["modeltype"]), "par": par}

    def learnt(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return what `forward` reads."""
        if document["modeltype"] != self.variant:
            raise ValueError(f"the variant {document['modeltype']}")
        par = {name: float(document["par"][name]) for name in ("initial_smoothed", "alpha", "theta")}
        return {"modeltype": self.variant, "par": par, "m": 1}

    @property
    def n_numbers(self) -> int:
        """Smoothing and theta."""
        return 2


@dataclass(frozen=True)
class Arima(Family):
    """ARIMA without seasons, with a mean where nothing is differenced."""

    p: int
    d: int
    q: int

    def create(self) -> Any:
        """Return an unfitted model."""
        return ARIMA(order=(self.p, self.d, self.q))

    def document(self, learnt: Mapping[str, Any]) -> dict[str, Any]:
        """Return coefficients and variance."""
        coefficients = {str(name): float(value) for name, value in learnt["coef"].items()}
        return {"coef": coefficients, "sigma2": float(learnt["sigma2"])}

    def learnt(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return what `forward` reads."""
        names = [f"ar{i + 1}" for i in range(self.p)] + [f"ma{i + 1}" for i in range(self.q)]
        names += [] if self.d else ["intercept"]
        coefficients = {name: float(value) for name, value in document["coef"].items()}
        if list(coefficients) != names:
            raise ValueError(f"the coefficients {', '.join(coefficients)}")
        # Orders of p, q, their seasons, the season's length, and of differences.
        arma = (self.p, self.q, 0, 0, 1, self.d, 0)
        return {"coef": coefficients, "sigma2": float(document["sigma2"]), "arma": arma, "xreg": None, "lambda": None}

    @property
    def n_numbers(self) -> int:
        """Those of the two polynomials, and the mean."""
        return self.p + self.q + (self.d == 0)
