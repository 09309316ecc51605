"""Faults of several assets together: their folds are cut by date."""

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from kallos.checks.findings import Examination, Finding, in_order
from kallos.checks.study import examine_folds, seen
from kallos.errors import DataError
from kallos.folds.cut import Fold
from kallos.folds.panel import Panel
from kallos.folds.study import CutPanel, cut_panel, inner_cuts_of
from kallos.specs.study import TuneSpec

# More timestamps lost before a window are reported; a holiday is not.
_MANY = 10


def examine_together(features: pd.DataFrame, spec: TuneSpec) -> Examination:
    """Return what is wrong in the folds of several assets that are each sound on their own.

    `features` are indexed by asset and timestamp, as `FeatureStore.load` returns those of several assets.
    """
    try:
        cut = cut_panel(features, spec)
    except DataError as error:
        findings = [Finding.of(error, fault="too-few-rows", parameter="n_folds")]
        return Examination(findings=tuple(findings), rows=len(features))
    panel, folds = cut.panel, cut.grid.folds
    findings = [*_standing_still(panel, folds, spec), *_halted(cut, spec)]
    return Examination(
        findings=in_order(findings),
        rows=len(panel.frame),
        first=str(panel.calendar[0]),
        last=str(panel.calendar[-1]),
        folds=seen(folds, panel.calendar),
        longest_input=cut.longest_input,
    )


def _standing_still(panel: Panel, folds: tuple[Fold, ...], spec: TuneSpec) -> Iterator[Finding]:
    """Yield each asset's columns that do not vary in a fold."""
    of_assets = [panel.folds_of(fold) for fold in folds]
    cuts = [inner_cuts_of(panel, fold, spec) for fold in of_assets]
    for position, asset in enumerate(spec.data.assets):
        own = tuple(fold[position] for fold in of_assets)
        fits = [
            slice(fold.train_start, fold.train_start + cut[position].fit_stop)
            for fold, cut in zip(own, cuts, strict=True)
        ]
        for finding in examine_folds(panel.frame, own, spec, fits):
            yield replace(finding, asset=asset)


def _halted(cut: CutPanel, spec: TuneSpec) -> Iterator[Finding]:
    """Yield assets whose gap before a window shortens the training of all assets."""
    panel = cut.panel
    usual = spec.features.lead - 1 + spec.folds.gap
    for fold in cut.grid.folds:
        lost = fold.validation_start - fold.train_stop - usual
        if lost <= _MANY:
            continue
        firsts = [each.validation_start for each in panel.folds_of(fold)]
        origins = {
            asset: panel.frame.index[first - spec.features.lead]
            for asset, first in zip(spec.data.assets, firsts, strict=True)
        }
        asset = min(origins, key=origins.__getitem__)
        yield Finding(
            "halted-asset",
            f"assets train only on what was known at the earliest first forecast, which {asset} makes at "
            f"{origins[asset]}: no asset trains on the last {lost} timestamps before fold {fold.number}",
            "remove it from `asset_id`, or load its missing rows",
            timestamps=(str(origins[asset]),),
            fold=fold.number,
            asset=asset,
        )
