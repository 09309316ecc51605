"""`kallos-run studies`: what the studies' storage holds, side by side, and an end to what is no longer wanted."""

import sys
from typing import Annotated

from cyclopts import Parameter

from flows.wording import Console, print_json
from kallos.errors import UsageError
from kallos.settings import Settings

Names = Annotated[str, Parameter(help="Names of studies, as 'studies list' shows them.")]
Storage = Annotated[
    str | None, Parameter(name="--storage-url", help="Database of the studies' records.", show_default=False)
]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON, and nothing else.")]


def list_all(*, storage_url: Storage = None, as_json: AsJson = False) -> None:
    """List all studies: trials by how they ended, best value, naive value, skill, last activity, and who runs now."""
    from kallos.features.databases import shown
    from kallos.study.catalogue import list_studies
    from kallos.study.record import parse_storage_url

    address = studies_address(storage_url)
    studies = list_studies(address)
    if as_json:
        print_json([study.model_dump(mode="json") for study in studies])
    elif not studies:
        Console().print(f"no studies in {shown(parse_storage_url(address))}", soft_wrap=True)
    else:
        from flows.terminal.studies import show_list

        show_list(Console(), studies)


def show(name: Annotated[str, Parameter(help="Name of a study.")], /, *, storage_url: Storage = None,
         as_json: AsJson = False) -> None:  # fmt: skip
    """Show a study: its specification, data, best parameters, best trials, and folds."""
    from kallos.study.catalogue import read_study

    study = read_study(studies_address(storage_url), name)
    if as_json:
        print_json(study.model_dump(mode="json"))
    else:
        from flows.terminal.studies import show_study

        show_study(Console(), study)


def compare(*names: Names, storage_url: Storage = None, as_json: AsJson = False) -> None:
    """Compare two studies or more, and say whether their values can be compared at all."""
    from kallos.study import comparison as study_comparison
    from kallos.study.catalogue import read_study

    if len(set(names)) < 2:
        raise UsageError("studies compare needs two names or more: 'kallos-run studies list' shows them")
    address = studies_address(storage_url)
    comparison = study_comparison.compare([read_study(address, name) for name in dict.fromkeys(names)])
    if as_json:
        print_json(comparison.model_dump(mode="json"))
    else:
        from flows.terminal.studies import show_comparison

        show_comparison(Console(), comparison)


def delete(
    *names: Names,
    storage_url: Storage = None,
    yes: Annotated[bool, Parameter(negative="", help="Delete without asking.")] = False,
) -> None:
    """Delete studies from the storage; fold scores stay in the cache, and results, which tune-all goes by, in folders.

    A study anew fits little again; tune-all runs it only once its files are gone, or with --refresh-cache.
    """
    from kallos.study.catalogue import delete_studies, read_study
    from kallos.words import counted

    if not names:
        raise UsageError("studies delete needs a name or more: 'kallos-run studies list' shows them")
    address = studies_address(storage_url)
    if not yes:
        # A name that is mistyped is said before anything is asked.
        found = [read_study(address, name).summary for name in dict.fromkeys(names)]
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise UsageError("studies delete asks first, and there is no terminal to ask on: give --yes")
        for study in found:
            Console().print(f"{study.name}: {counted(study.trials.ended, 'trial')}", soft_wrap=True)
        if input("delete? [y/N] ").strip().lower() not in ("y", "yes"):
            Console().print("nothing was deleted")
            return
    delete_studies(address, names)
    number = counted(len(set(names)), "study").replace("studys", "studies")
    Console().print(f"{number} deleted from the storage; results stay in their folders", soft_wrap=True)


def studies_address(storage_url: str | None) -> str:
    """Return the URL of the storage to look into: the one given, which must be there, or else that of the settings."""
    if not storage_url:
        return Settings.read().studies_url
    from kallos.study.record import refuse_missing_file

    refuse_missing_file(storage_url)
    return storage_url
