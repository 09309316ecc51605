"""`kallos-run predict`: forecast the next values with a trained model."""

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from flows.flags import FeaturesUrl, TrustCode
from flows.wording import Console, say
from kallos.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

    from kallos.models.forecasting import Forecasts


def predict(
    *,
    model: Annotated[str, Parameter(help="Model directory, or its fsspec URL.")],
    as_of: Annotated[str | None, Parameter(help="Last row that the forecast may know. [default: the latest]")] = None,
    from_unfinished: Annotated[
        bool,
        Parameter(help="Forecast from the last row even if its period is not over or its volume is only partial."),
    ] = False,
    output: Annotated[str | None, Parameter(help="File to write: JSON if it ends in .json, otherwise CSV.")] = None,
    to_table: Annotated[bool, Parameter(help="Write to a table in the features database.")] = False,
    forecasts_table: Annotated[str, Parameter(help="Table for --to-table.")] = "forecasts",
    trust_code: TrustCode = None,
    db_url: FeaturesUrl = None,
) -> None:
    """Forecast the next values with a trained model.

    Starts from the latest finished row. Prints one table for each target, in the target's own units: the mean of the
    model's members with the least and the greatest, or for a quantile model the forecast and the quantiles.
    """
    from flows.terminal.forecasts import show_forecasts
    from kallos.architectures.references import trust
    from kallos.errors import UsageError
    from kallos.features.moments import timestamp
    from kallos.features.rows import indexed, off_clock_row, tidy
    from kallos.features.store import FeatureStore
    from kallos.features.unfinished import finished_rows
    from kallos.folds.columns import fitting_columns, observed_rows
    from kallos.folds.study import rows_of_asset
    from kallos.models.files import load_model
    from kallos.models.forecasting import forecast_next
    from kallos.words import counted, day

    if trust_code is not None:
        trust(trust_code)
    console = Console()
    settings = Settings.read()
    features_url = db_url or settings.features_url
    with console.status("loading the model") as status:
        trained = load_model(model)
        spec = trained.manifest.spec
        status.update("reading the features")
        data = spec.data.model_copy(update={"end_date": as_of})
        # Columns that are known ahead are read in later rows, too.
        last = None if spec.features.known_future else as_of
        try:
            with FeatureStore(features_url, timeout=settings.db_timeout) as store:
                loaded = store.read(data.model_copy(update={"end_date": last}))
            read = observed_rows(loaded, spec.features, data.timestamp_column)
            frame = tidy(read, data)
            finished = frame
            why_before: str | None = None
            if not from_unfinished:
                volumes = fitting_columns(frame.columns, spec.features.volume)
                finished, why_before = finished_rows(frame, volumes, datetime.now(UTC), data.days_in)
            rows = rows_of_asset(finished, spec)
        except UsageError as error:
            # Here, another flag sets the end of the rows.
            raise UsageError(str(error).replace("`end_date`", "`as_of`")) from None
        ends_before = as_of is not None and _ends_before(frame.index, as_of)
        forecasts = forecast_next(trained, rows, later=indexed(loaded, data))
    off_clock = off_clock_row(read, data)
    if off_clock is not None:
        say(f"the last row, {day(timestamp(off_clock))}, is off the clock of all others, and is left out")
    if why_before is not None:
        say(
            f"the last row, {day(timestamp(frame.index[-1]))}, {why_before}: the forecast is from "
            f"{day(forecasts.as_of)} (--from-unfinished forecasts from the last row)"
        )
    if ends_before and why_before is None:
        say(f"the last row up to {as_of} is {day(forecasts.as_of)}: the forecast is from there")
    if forecasts.in_sample:
        say(
            f"warning: the model was trained on rows up to {day(trained.manifest.data.end)}, so a forecast as of "
            f"{day(forecasts.as_of)} does not test it",
            style="yellow",
        )
    show_forecasts(console, forecasts)
    if output is not None:
        say(f"written to {_write_rows(forecasts, output)}")
    if to_table:
        from kallos.models.forecast_table import write_forecasts

        n_rows = write_forecasts(forecasts, features_url, forecasts_table)
        console.print(f"{counted(n_rows, 'row')} written to table {forecasts_table}")


def _ends_before(index: "pd.Index", as_of: str) -> bool:
    """Return whether the last row is before a moment or day; raises `UsageError` if it is in the future."""
    import pandas as pd

    from kallos.errors import UsageError
    from kallos.features.dates import date_bounds
    from kallos.features.moments import timestamp
    from kallos.words import day

    has_dates = isinstance(index, pd.DatetimeIndex)
    moment, _ = date_bounds(as_of, None, has_dates=has_dates)
    if not index[-1] < moment:
        return False
    # In some time zones it is already tomorrow.
    if has_dates and moment > datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1):
        raise UsageError(
            f"--as-of must not be in the future, and {as_of} is: leave it out to forecast from the last row, "
            f"{day(timestamp(index[-1]))}"
        )
    return True


def _write_rows(forecasts: "Forecasts", output: str) -> str:
    import pandas as pd

    from kallos.models.forecast_table import forecast_rows
    from kallos.storage import write_at

    rows = forecast_rows(forecasts)
    if output.endswith(".json"):
        text = json.dumps(rows, indent=2, default=lambda moment: moment.isoformat(), allow_nan=False) + "\n"
    else:
        text = pd.DataFrame(rows).to_csv(index=False)
    return write_at(output, text)
