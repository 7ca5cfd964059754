"""The page of a forecast: what more patients would be worth."""

from __future__ import annotations

from mriseg.core.forecast import Forecast
from mriseg.core.wording import counted
from mriseg.report import methods
from mriseg.report.chart_style import Vector
from mriseg.report.forecast_chart import forecast_chart
from mriseg.report.page import About, Chart, Column, Page, Section, Table, Words, number

# Rows of the table beyond those that were measured.
_ROWS = 6


def forecast_page(forecast: Forecast, about: About, *, source: str, store: str, folds: int) -> Page:
    """The page of a finished forecast.

    Args:
        forecast: the curve, and what more patients would be worth.
        about: how the page came about.
        source: the run that each training transferred from, or "scratch".
        store: the data.
        folds: that the patients were split into.
    """
    trainings = sum(point.trainings for point in forecast.points)
    gain = forecast.gain
    worth = f"{gain.dice:+.3f}" if gain else "-"
    tiles = (
        ("Patients", str(forecast.now), f"in {folds} folds"),
        ("Trainings", str(trainings), f"{counted(len(forecast.points), 'size')}"),
        (
            f"{gain.patients} more cases" if gain else "More cases",
            worth,
            f"Dice [{gain.low:.3f}, {gain.high:.3f}]" if gain else "too few points",
        ),
    )
    blocks = (Words((f"{forecast.sentence[0].upper()}{forecast.sentence[1:]}.",)), _chart(forecast))
    sections = [Section("Forecast", blocks), Section("Measured", (_points(forecast),))]
    if forecast.curve is not None:
        curve = forecast.curve
        formula = (
            f"Dice = {curve.limit:.3f} - {curve.drop:.3f} x n ^ -{curve.rate:.2f}, with n training "
            f"patients, fitted to the means above. The intervals hold other patients to measure, "
            f"other trainings and other curves through the same points; they do not hold patients "
            f"of another kind, nor a curve of another form."
        )
        sections.append(Section("Curve", (Words((formula,)), _predicted(forecast))))
    return Page(
        kind="Forecast",
        title=f"{store}, from {source}",
        lead="Dice against the number of training patients, and what more of them would be worth.",
        about=about,
        tiles=tiles,
        sections=tuple(sections),
        methods=methods.of_forecast(
            version=about.versions.get("mriseg", "?"),
            patients=forecast.now,
            folds=folds,
            source=source,
        ),
    )


def _chart(forecast: Forecast) -> Chart:
    chart = Vector()
    forecast_chart(chart, forecast, "")
    last = forecast.points[-1]
    alt = (
        f"Dice against the number of training patients. With {last.patients:.0f}: "
        f"{last.dice.mean:.3f}."
    )
    if forecast.predicted:
        end = forecast.predicted[-1]
        alt += f" Forecast for {end.patients}: {end.dice:.3f} [{end.low:.3f}, {end.high:.3f}]."
    caption = "Points: means over the patients held out, with 95 % intervals. Line and band: the "
    return Chart(
        chart.svg, alt, f"{caption}curve and its 95 % interval, dashed where no training is."
    )


def _points(forecast: Forecast) -> Table:
    columns = (
        Column("training patients", numeric=True),
        Column("Dice, mean", numeric=True),
        Column("low", numeric=True),
        Column("high", numeric=True),
        Column("patients held out", numeric=True),
        Column("trainings", numeric=True),
    )
    rows = (
        (
            number(point.patients, 0),
            number(point.dice.mean),
            number(point.dice.low),
            number(point.dice.high),
            number(point.dice.patients, 0),
            number(point.trainings, 0),
        )
        for point in forecast.points
    )
    return Table("Dice of patients held out, with 95 % intervals", columns, tuple(rows))


def _predicted(forecast: Forecast) -> Table:
    columns = (
        Column("training patients", numeric=True),
        Column("Dice, expected", numeric=True),
        Column("low", numeric=True),
        Column("high", numeric=True),
    )
    step = max(1, len(forecast.predicted) // _ROWS)
    rows = (
        (number(item.patients, 0), number(item.dice), number(item.low), number(item.high))
        # From the end, which is the answer, so that it is always among them.
        for item in forecast.predicted[::-1][::step][::-1]
    )
    return Table("The curve, with 95 % intervals", columns, tuple(rows))
