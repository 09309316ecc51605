"""Makes bars of a day, a session or some hours of shorter bars, with the realised measures of each."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from kallos.errors import DataError, UsageError, require
from kallos.features.files.rows import Inputs
from kallos.features.frequency import Frequency, usual_step
from kallos.specs.time_zones import check_zone
from kallos.words import day, shorten

_DAY = pd.Timedelta(days=1)
_CLOCK = r"([01]?\d|2[0-3]):([0-5]\d)"
_SESSION = re.compile(rf"{_CLOCK}-(?:{_CLOCK}|24:00)")
_TOGETHER = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
# A last row is unfinished if its bars end earlier than those of this share of the rows before. Half days are fewer.
_EARLY = 0.1


@dataclass(frozen=True)
class Resampling:
    """What bars are made into: one row for each day of a zone (`rule` 1D), or for each part of one (such as 4h).

    A `session` such as 09:30-16:00 takes only the bars that begin within it, in the local time of the zone. It may
    cross midnight (18:00-17:00): then its day is the one on which it ends. Without one, it is the whole day. Raises
    `UsageError` for an unknown zone, and a rule or a session that is not like these.
    """

    rule: str
    zone: str = "UTC"
    session: str | None = None

    def __post_init__(self) -> None:
        """Check each field."""
        require(str, rule=self.rule, zone=self.zone)
        require((str, type(None)), session=self.session)
        try:
            check_zone(self.zone)
        except ValueError as error:
            raise UsageError(f"`days_in` {error}") from None
        if not pd.Timedelta(0) < self.length <= _DAY or _DAY % self.length:
            raise _no_rule(self.rule)
        if self.session is not None and _SESSION.fullmatch(self.session) is None:
            raise UsageError(
                f"`session` must be two local times such as 09:30-16:00, or 18:00-17:00 over midnight, not "
                f"{self.session!r}"
            )

    @cached_property
    def length(self) -> pd.Timedelta:
        """How long a row lasts at most."""
        try:
            offset = to_offset(self.rule)
        except ValueError:
            raise _no_rule(self.rule) from None
        if isinstance(offset, pd.offsets.Day):
            return offset.n * _DAY
        if not isinstance(offset, pd.offsets.Tick):
            raise _no_rule(self.rule)
        return pd.Timedelta(offset)

    @cached_property
    def hours(self) -> tuple[pd.Timedelta, pd.Timedelta]:
        """When a day's session opens and closes, since that day's midnight; it may open on the day before."""
        if self.session is None:
            return pd.Timedelta(0), _DAY
        opening, closing = (pd.Timedelta(f"{clock}:00") for clock in self.session.split("-"))
        closing = closing or _DAY
        return (opening, closing) if opening < closing else (opening - _DAY, closing)

    def __str__(self) -> str:
        """The rule, the session and the zone in words."""
        return f"{self.rule} of {f'the session {self.session}' if self.session else 'the whole day'} in {self.zone}"


def _no_rule(rule: str) -> UsageError:
    return UsageError(f"`resample` must be 1D or a part of a day such as 4h or 30min, not {rule!r}")


def resample_inputs(inputs: Inputs, resampling: Resampling) -> Inputs:
    """Return the bars of all assets resampled, without a last row that is not finished yet, which a note names.

    Bars that were left out are counted as rows that they belong to and that now do not exist.
    """
    require(Inputs, inputs=inputs)
    require(Resampling, resampling=resampling)
    frames: dict[str, pd.DataFrame] = {}
    unfinished: list[str] = []
    for asset_id, bars in inputs.frames.items():
        frames[asset_id], why = _finished_rows(asset_id, bars, resampling)
        unfinished += [f"{asset_id} {why}"] if why else []
    # Far fewer bars than a session has show that its timestamps are of another zone.
    usual = float(pd.concat([frame["n_bars"] for frame in frames.values()]).median())
    notes = [f"rows are {resampling}, usually of {usual:g} bars (`resample`, `session`, `days_in`)"]
    if unfinished:
        notes.append(f"last rows left out until later bars show that they are finished: {shorten(unfinished)}")
    left_out = _left_out_rows(inputs.left_out, frames, resampling)
    return replace(inputs, frames=frames, left_out=left_out, notes=(*inputs.notes, *notes))


def resample_bars(bars: pd.DataFrame, resampling: Resampling) -> pd.DataFrame:
    """Return a row for each day or part of one that has bars: its OHLCV bar, its realised measures and `n_bars`.

    `bars` has float columns open, high, low, close and volume over unique, sorted timestamps in UTC. A bar belongs to
    the row in which it begins. The timestamp of a day is its local date, that of a part of a day its beginning in UTC,
    counted from the opening of the session.

    With r the log returns of a row's bars, the first from its own open to its close, so that no move from the row
    before is among them: `realised_variance` sum(r_i^2) (T. G. Andersen and T. Bollerslev, International Economic
    Review 39(4), 1998, 885-905); `realised_volatility` its root; `bipower_variation` pi/2 sum(|r_i| |r_{i-1}|) (O. E.
    Barndorff-Nielsen and N. Shephard, Journal of Financial Econometrics 2(1), 2004, 1-37); `realised_semivariance`
    sum(r_i^2 where r_i < 0) (O. E. Barndorff-Nielsen, S. Kinnebrock and N. Shephard, in Volatility and Time Series
    Econometrics, Oxford 2010, 117-136).
    """
    require(pd.DataFrame, bars=bars)
    require(Resampling, resampling=resampling)
    rows, _, is_inside = _rows_of(bars.index, resampling)
    return _together(bars[is_inside], rows[is_inside])


def _together(bars: pd.DataFrame, rows: pd.DatetimeIndex) -> pd.DataFrame:
    """Return one row for the bars of each of these timestamps."""
    of_row = bars.groupby(rows)
    returns = np.log(bars["close"] / of_row["close"].shift().fillna(bars["open"]))
    before = returns.groupby(rows).shift().fillna(0.0)
    sums = pd.DataFrame(
        {
            "realised_variance": returns**2,
            "bipower_variation": np.pi / 2 * returns.abs() * before.abs(),
            "realised_semivariance": returns.clip(upper=0.0) ** 2,
        }
    )
    found = pd.concat([of_row.agg(_TOGETHER), sums.groupby(rows).sum()], axis=1)
    behind = found.columns.get_loc("realised_variance") + 1
    found.insert(behind, "realised_volatility", np.sqrt(found["realised_variance"]))
    found["n_bars"] = of_row.size().astype(np.float64)
    return found.rename_axis("timestamp")


def _rows_of(moments: pd.DatetimeIndex, resampling: Resampling) -> tuple[pd.DatetimeIndex, pd.DataFrame, np.ndarray]:
    """Return for each moment the timestamp of its row, its place, and whether it lies in a session.

    The place has the number of the row in its session, and the local time since the opening.
    """
    opening, closing = resampling.hours
    since_opening = moments.tz_localize("UTC").tz_convert(resampling.zone).tz_localize(None) - opening
    days = since_opening.normalize()
    since = since_opening - days
    numbers, rows = np.zeros(len(moments), np.int64), days
    if resampling.length < _DAY:
        # Counted in elapsed time: a local time may not exist, or come twice.
        openings = _in_utc(days + opening, resampling.zone)
        numbers = ((moments - openings) // resampling.length).to_numpy()
        rows = openings + numbers * resampling.length
    place = pd.DataFrame({"number": numbers, "since": since})
    return rows, place, np.asarray(since < closing - opening)


def _in_utc(local: pd.DatetimeIndex, zone: str) -> pd.DatetimeIndex:
    """Return local times in UTC: the first moment of one that comes twice, the next of one that the clocks skip."""
    codes, each = pd.factorize(local)
    zoned = each.tz_localize(zone, ambiguous=np.ones(len(each), bool), nonexistent="shift_forward")
    found: pd.DatetimeIndex = zoned.tz_convert(None)[codes]
    return found


def _finished_rows(asset_id: str, bars: pd.DataFrame, resampling: Resampling) -> tuple[pd.DataFrame, str | None]:
    """Return the rows of an asset up to the last finished one, and the last of all with why it is not, or None."""
    step = usual_step(bars.index)
    if len(bars) > 1 and Frequency(step).length >= resampling.length:
        raise DataError(
            f"bars must be shorter than `resample` {resampling.rule}: the {len(bars)} of asset {asset_id!r} usually "
            f"are {step!r} apart",
            "give bars of minutes or hours, or ingest these as they are",
        )
    rows, place, is_inside = _rows_of(bars.index, resampling)
    if not is_inside.any():
        raise DataError(
            f"bars must begin in the `session` {resampling.session} of {resampling.zone}: none of the "
            f"{len(bars)} of asset {asset_id!r} does, such as that of {bars.index[0]} UTC",
            "correct `session` or `days_in`",
        )
    found = _together(bars[is_inside], rows[is_inside])
    lasts = place[is_inside].groupby(rows[is_inside]).last()
    last = lasts.iloc[-1]
    others = lasts["since"].iloc[:-1][(lasts["number"] == last["number"]).to_numpy()[:-1]]
    usual = others.quantile(_EARLY, interpolation="lower")
    if len(others) == 0 or last["since"] >= usual:
        return found, None
    opening, _ = resampling.hours
    ends, usually = ((pd.Timestamp(0) + opening + each).time() for each in (last["since"], usual))
    return found.iloc[:-1], f"{day(found.index[-1])} (last bar {ends}, usually not before {usually})"


def _left_out_rows(
    left_out: Mapping[str, pd.Series], frames: Mapping[str, pd.DataFrame], resampling: Resampling
) -> dict[str, pd.Series]:
    """Return the rules by asset and row that bars broke, for rows that have no other bars."""
    found: dict[str, pd.Series] = {}
    for asset_id, reasons in left_out.items():
        rows, _, is_inside = _rows_of(reasons.index, resampling)
        of_row = reasons[is_inside].groupby(rows[is_inside]).first().rename_axis("timestamp")
        there = frames[asset_id].index if asset_id in frames else of_row.index[:0]
        missing = of_row[~of_row.index.isin(there)]
        if len(missing):
            found[asset_id] = missing
    return found
