"""Exponential smoothing, the theta method and ARIMA, as statsforecast fits them and rolls them forward.

Seasons are left out: an exponential smoothing would begin each window with one row's seasons, whatever its place in the
season, and a theta model decomposes each window by factors, which a standardised series does not have.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from statsforecast.models import ARIMA, AutoETS, AutoTheta

from kallos.architectures.estimators.direct import Array
from kallos.architectures.estimators.local import Family

# Where statsforecast's parameters of a smoothing have the first level, behind alpha, beta, gamma and phi.
_LEVEL = 4
_LEAST = 1e-12


@dataclass(frozen=True)
class Smoothing(Family):
    """Exponential smoothing with additive errors."""

    has_trend: bool
    is_damped: bool

    def create(self) -> Any:
        """Return an unfitted model."""
        return AutoETS(model="AAN" if self.has_trend else "ANN", damped=self.is_damped)

    def document(self, learnt: Mapping[str, Any]) -> dict[str, Any]:
        """Return kind, smoothing parameters, and the slope behind the last row, if there is one."""
        return {
            "components": str(learnt["components"]),
            "par": [float(each) for each in learnt["par"][:4]],
            "slope": [float(each) for each in learnt["states"][-1][1:]],
            "n_params": int(learnt["n_params"]),
        }

    def learnt(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return what `forward` reads, with a level of zero."""
        components, par, slope = str(document["components"]), document["par"], document["slope"]
        # A constant series has no trend.
        if components not in ("ANNN", "AANN", "AAND") or (len(par), len(slope)) != (4, components[1] == "A"):
            raise ValueError(f"{len(par)} parameters and {len(slope)} slopes of {components}")
        states = np.array([*par, 0.0, *slope], np.float64)
        return {"components": components, "par": states, "n_params": int(document["n_params"]), "m": 1, "fit": None}

    def forecast(self, model: Any, window: Array, n_steps: int) -> Array:
        """Return forecasts from a window that begins with the training rows' last slope, and the level that fits best.

        `forward` would begin with slope and level of the first training row, which may be far off, and a smoothing
        that hardly adapts would stay there. What it fits is linear in the level: least squares give the best one.
        """
        learnt = model.model_

        def rolled(level: float) -> Any:
            par = learnt["par"].copy()
            par[_LEVEL] = level
            model.model_ = {**learnt, "par": par}
            return model.forward(y=window, h=n_steps, fitted=True)

        at_zero = rolled(0.0)["fitted"]
        by_level = rolled(1.0)["fitted"] - at_zero
        # Nothing depends on the level where a window is constant.
        best = by_level @ (window - at_zero) / max(by_level @ by_level, _LEAST)
        forecast: Array = rolled(float(best))["mean"]
        model.model_ = learnt
        return forecast

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
