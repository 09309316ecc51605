"""`kallos-run studies`: list, show, compare and delete recorded studies."""

import sys
from typing import Annotated

from cyclopts import Parameter

from flows.flags import StorageUrl
from flows.wording import AsJson, Console, print_json, say
from kallos.errors import UsageError
from kallos.settings import Settings

Names = Annotated[str, Parameter(help="Names of studies, as 'studies list' prints them.")]


def list_all(*, storage_url: StorageUrl = None, as_json: AsJson = False) -> None:
    """List all studies.

    Shows how many trials ended and how, the best value, the baseline's, the skill, and the last activity.
    """
    from kallos.features.databases import shown
    from kallos.study.catalogue import list_studies
    from kallos.study.record import parse_storage_url

    address = studies_address(storage_url)
    studies = list_studies(address)
    if as_json:
        print_json([study.model_dump(mode="json") for study in studies])
    elif not studies:
        say(f"no studies in {shown(parse_storage_url(address))}")
    else:
        from flows.terminal.studies import show_list

        show_list(Console(), studies)


def show(
    name: Annotated[str, Parameter(help="Name of a study.")],
    /,
    *,
    storage_url: StorageUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show a study: its specification, data, best parameters, best trials, and folds."""
    from kallos.study.catalogue import read_study

    study = read_study(studies_address(storage_url), name)
    if as_json:
        print_json(study.model_dump(mode="json"))
    else:
        from flows.terminal.studies import show_study

        show_study(Console(), study)


def compare(*names: Names, storage_url: StorageUrl = None, as_json: AsJson = False) -> None:
    """Compare studies side by side.

    Also says whether their values can be compared at all.
    """
    from kallos.study import comparison as study_comparison
    from kallos.study.catalogue import read_study

    if len(set(names)) < 2:
        raise UsageError("studies compare needs two or more names: 'kallos-run studies list' prints them")
    address = studies_address(storage_url)
    comparison = study_comparison.compare([read_study(address, name) for name in dict.fromkeys(names)])
    if as_json:
        print_json(comparison.model_dump(mode="json"))
    else:
        from flows.terminal.studies import show_comparison

        show_comparison(Console(), comparison)


def rescore(
    name: Annotated[str, Parameter(help="Name of a study.")],
    /,
    *,
    metric: Annotated[str, Parameter(help="Metric to score the trials by, such as mae or direction.")],
    storage_url: StorageUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show a study's complete trials by another metric.

    Needs no fit: the forecasts of all folds are in the fold cache. Pruned trials have too few of them.
    """
    from kallos.cache import FoldCache
    from kallos.study import rescoring
    from kallos.study.again import kept_rows
    from kallos.study.catalogue import read_study

    settings = Settings.read()
    study = read_study(studies_address(storage_url), name, n_best=None)
    rows = kept_rows(study.data, settings.snapshots)
    rescored = rescoring.rescore(study, metric, FoldCache(settings.fold_cache), rows)
    if as_json:
        print_json(rescored.model_dump(mode="json"))
    else:
        from flows.terminal.studies import show_rescored

        show_rescored(Console(), rescored)


def delete(
    *names: Names,
    storage_url: StorageUrl = None,
    yes: Annotated[bool, Parameter(help="Delete without asking.")] = False,
) -> None:
    """Delete studies from the storage.

    Keeps their folds in the cache and their results in the results folder. If you run a deleted study again, few
    folds are fitted. tune-all skips it while its results are there, unless you give --refresh-cache.
    """
    from kallos.study.catalogue import delete_studies, read_study
    from kallos.words import counted

    if not names:
        raise UsageError("studies delete needs at least one name: 'kallos-run studies list' prints them")
    address = studies_address(storage_url)
    if not yes:
        # Read all studies first, so that an unknown name fails before the question.
        found = [read_study(address, name).summary for name in dict.fromkeys(names)]
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise UsageError("studies delete asks for confirmation, which needs a terminal: give --yes")
        for study in found:
            say(f"{study.name}: {counted(study.trials.ended, 'trial')}")
        if input("delete? [y/N] ").strip().lower() not in ("y", "yes"):
            say("nothing deleted")
            return
    delete_studies(address, names)
    number = counted(len(set(names)), "study").replace("studys", "studies")
    say(f"{number} deleted from the storage; results stay in their folders")


def studies_address(storage_url: str | None) -> str:
    """Return the URL of the given storage, which must exist, or else that of the settings."""
    if not storage_url:
        return Settings.read().studies_url
    from kallos.study.record import refuse_missing_file

    refuse_missing_file(storage_url)
    return storage_url
