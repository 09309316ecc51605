"""The command line, `kallos-run`: commands are imported when they are called, so that help is quick."""

import sys

import cyclopts
from cyclopts import CycloptsError

from flows.wording import in_flags
from kallos import __version__
from kallos.errors import KallosError
from kallos.words import scrubbed

app = cyclopts.App(
    name="kallos-run",
    version=__version__,
    help="Tune forecasting models on financial feature tables, honestly.",
    print_error=False,
    exit_on_error=False,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
app.command("flows.commands.ingest:ingest", name="ingest", help="Store features, or indicators of OHLCV bars.")
app.command("flows.commands.tune:tune", name="tune", help="Tune a model on the features of an asset, or of several.")
app.command("flows.commands.nightly:nightly", name="nightly", help="Tune, train and judge: ship it, or keep the old.")
app.command("flows.commands.train:train", name="train", help="Train a study's best parameters, and keep the model.")
app.command("flows.commands.evaluate:evaluate", name="evaluate", help="Judge a model on rows that no study saw.")
app.command("flows.commands.predict:predict", name="predict", help="Forecast the next values with a trained model.")
app.command("flows.commands.repro:repro", name="repro", help="Run a best trial again, and compare to the bit.")
app.command("flows.commands.report:report", name="report", help="Draw a study's report again, from its files.")
app.command("flows.commands.tune_all:tune_all", name="tune-all", help="Tune several models on several assets.")
app.command("flows.commands.audit:audit", name="audit", help="Look for leaks by experiment.")
app.command("flows.commands.space:space", name="space", help="Show the search space of a study.")
app.command("flows.commands.check:check", name="check", help="Find all that is wrong with a study's rows.")
cache = cyclopts.App(name="cache", help="Look at what is kept of fold scores and rows, and bound it.")
cache.command("flows.commands.cache:info", name="info", help="Say how much is kept.")
cache.command("flows.commands.cache:prune", name="prune", help="Remove old scores and snapshots.")
app.command(cache)
models = cyclopts.App(name="models", help="Keep trained models: challenger, champion, retired.")
models.command("flows.commands.models:list_models", name="list", help="List the models by what they forecast.")
models.command("flows.commands.models:show", name="show", help="Show a model, its evaluations and its history.")
models.command("flows.commands.models:add", name="add", help="Copy a trained model in, as a challenger.")
models.command("flows.commands.models:promote", name="promote", help="Make a model the champion.")
models.command(
    "flows.commands.models:roll_back", name="roll-back", help="Make the champion before this one the champion again."
)
models.command("flows.commands.models:retire", name="retire", help="Take a model out of use.")
app.command(models)
studies = cyclopts.App(name="studies", help="Look at the studies of the storage, compare and delete them.")
studies.command("flows.commands.studies:list_all", name="list", help="List all studies.")
studies.command("flows.commands.studies:show", name="show", help="Show all that is recorded of one study.")
studies.command("flows.commands.studies:compare", name="compare", help="Compare studies side by side.")
studies.command("flows.commands.studies:delete", name="delete", help="Delete studies from the storage.")
app.command(studies)
app.command("flows.commands.dashboard:dashboard", name="dashboard", help="Show all studies in Optuna's dashboard.")
app.command("flows.commands.serve:serve", name="serve", help="Run a study on a schedule, without a work pool.")
app.command("flows.commands.doctor:doctor", name="doctor", help="Check all that a night needs.")


def main() -> None:
    """Run a command. Exit code 0: done, 1: failed, 2: wrong use, 130 or 143: interrupted."""
    # A custom architecture, `module:NAME`, may lie where the command is called; it hides no installed module.
    sys.path.append("")
    try:
        app()
    except CycloptsError as error:
        _leave(" ".join(str(error).split()), 2)
    except KallosError as error:
        _leave(str(error), error.exit_code)
    except (OSError, MemoryError) as error:
        _leave(f"the machine must serve a study, and did not: {type(error).__name__}: {error}", 1)
    except KeyboardInterrupt:
        _leave("interrupted", 130)


def _leave(message: str, code: int) -> None:
    sys.stderr.write(f"kallos-run: {in_flags(scrubbed(message))}\n")
    sys.exit(code)
