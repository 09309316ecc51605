"""A trained model in sentences, for the terminal, and in markdown, for an artifact."""

from kallos.models.manifest import Choice, Manifest
from kallos.specs.metrics import metric_of
from kallos.specs.study import metric_with_unit, study_title
from kallos.words import compared_to, counted, day, short


def choice_line(choice: Choice) -> str:
    """Return which trial is trained, and why."""
    if choice.note is not None:
        return f"trial {choice.trial}: {choice.note}"
    if choice.one_se is None:
        return f"trial {choice.trial}, the best one"
    chosen = choice.one_se
    if chosen.operations == chosen.best_operations:
        return f"trial {choice.trial}: no trial within one standard error of the best is cheaper"
    return (
        f"trial {choice.trial}, the cheapest within one standard error of the best: {chosen.operations:,} "
        f"multiply-adds per forecast instead of {chosen.best_operations:,}"
    )


def seed_replication_line(manifest: Manifest) -> str:
    """Return the score of the chosen parameters over several seeds, compared with the baseline."""
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
    """Return what the model was trained on."""
    epochs = ", ".join(str(member.best_epoch) for member in manifest.members)
    if not any(member.epochs for member in manifest.members):
        return (
            f"{counted(len(manifest.members), 'model')} fitted once on the rows from {day(manifest.train_start)} to "
            f"{day(manifest.data.end)}"
        )
    how = "with early stopping" if manifest.refit == "inner-validation" else "for the folds' median number of epochs"
    return (
        f"{counted(len(manifest.members), 'network')} trained on the rows from {day(manifest.train_start)} to "
        f"{day(manifest.data.end)}, {how} ({epochs} {'epoch' if epochs == '1' else 'epochs'})"
    )


def model_lines(manifest: Manifest) -> list[str]:
    """Return the choice, the seed replication and the training of a model, one line each."""
    return [
        f"{study_title(manifest.spec)}, {choice_line(manifest.choice)}",
        seed_replication_line(manifest),
        training_line(manifest),
    ]


def model_markdown(manifest: Manifest, address: str) -> str:
    """Return a trained model as markdown: id, address, choice, seed replication and parameters."""
    params = "\n".join(f"| {name} | {short(value)} |" for name, value in manifest.choice.params.items())
    lines = "\n\n".join(model_lines(manifest))
    return f"""# Model `{manifest.model_id}`

In `{address}`.

{lines}

| parameter | value |
| --- | --- |
{params}

Target `{manifest.target_label}`, {manifest.horizon} ahead; data `{manifest.data.sha256[:12]}`, study
`{manifest.study}`.
"""
