"""A trained model in sentences, for the terminal, and in markdown, for an artifact."""

from collections.abc import Mapping

from kallos.architectures.study_space import model_of
from kallos.models.manifest import Manifest
from kallos.specs.metrics import metric_of
from kallos.specs.study import Choose, metric_with_unit, study_title
from kallos.study.choice import Choice, Member
from kallos.words import compared_to, counted, day, short

_CHOSEN: Mapping[Choose, str] = {
    "best": "the best one",
    "simplest": "the cheapest of those that cannot be told from the best",
    "ensemble": "which an ensemble consists of alone",
}


def choice_line(choice: Choice, model_name: str) -> str:
    """Return which trials of a study are trained, with their weights, and why."""
    if len(choice.members) == 1:
        trial = choice.trials[0]
        line = f"trial {trial}, {_CHOSEN[choice.choose]}"
    else:
        parts = (
            f"{model_of(model_name, each.params)[0]} (trial {each.trial}) {each.weight:.0%}" for each in choice.members
        )
        line = f"an ensemble of {', '.join(parts)}"
    return line if choice.note is None else f"{line}: {choice.note}"


def seed_replication_line(manifest: Manifest) -> str:
    """Return the score of the choice over several seeds, compared with the baseline."""
    replicated = manifest.seed_replication
    if replicated is None:
        return "not replicated with more seeds"
    spread = "" if replicated.sd is None else f" ± {replicated.sd:.2g}"
    label, metric = metric_with_unit(manifest.spec), metric_of(manifest.spec.metric)
    skill = metric.skill(replicated.mean, replicated.baseline_value)
    return (
        f"{label} {replicated.mean:.6g}{spread} on the study's folds with {counted(len(replicated.seeds), 'seed')}: "
        f"{compared_to(skill, 'baseline', metric.skill_is)} ({replicated.baseline}, "
        f"{replicated.baseline_value:.6g})"
    )


def training_line(manifest: Manifest) -> str:
    """Return what the model was trained on, and how."""
    networks = [member for member in manifest.members if member.epochs]
    n_others = len(manifest.members) - len(networks)
    epochs = ", ".join(str(member.best_epoch) for member in networks)
    how = "with early stopping" if manifest.refit == "inner-validation" else "for the folds' median number of epochs"
    parts = [
        *(
            [f"{counted(len(networks), 'network')} {how} ({epochs} {'epoch' if epochs == '1' else 'epochs'})"]
            if networks
            else []
        ),
        *([f"{counted(n_others, 'model')} fitted once"] if n_others else []),
    ]
    return f"trained on the rows from {day(manifest.train_start)} to {day(manifest.data.end)}: {' and '.join(parts)}"


def model_lines(manifest: Manifest) -> list[str]:
    """Return the choice, the seed replication and the training of a model, one line each."""
    return [
        f"{study_title(manifest.spec)}, {choice_line(manifest.choice, manifest.spec.model_name)}",
        seed_replication_line(manifest),
        training_line(manifest),
    ]


def model_markdown(manifest: Manifest, address: str) -> str:
    """Return a trained model as markdown: id, address, choice, seed replication and parameters."""
    tables = "\n".join(_member_table(manifest, member) for member in manifest.choice.members)
    lines = "\n\n".join(model_lines(manifest))
    return f"""# Model `{manifest.model_id}`

In `{address}`.

{lines}

{tables}
Target `{manifest.target_label}`, {manifest.horizon} ahead; data `{manifest.data.sha256[:12]}`, study
`{manifest.study}`.
"""


def _member_table(manifest: Manifest, member: Member) -> str:
    architecture, params = model_of(manifest.spec.model_name, member.params)
    rows = "\n".join(f"| {name} | {short(value)} |" for name, value in params.items())
    return f"""| {architecture}, trial {member.trial}, weight {member.weight:.3g} | value |
| --- | --- |
{rows}
"""


def _architectures(manifest: Manifest) -> dict[int, str]:
    return {member.trial: member.architecture for member in manifest.members}
