"""The loop that trains a network: Darts' module, its loss and its optimizer, by epochs, without Lightning's Trainer.

Importing this module imports torch and Lightning, on which Darts' modules are built.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from inspect import getattr_static
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from darts.models.forecasting.pl_forecasting_module import PLForecastingModule
from darts.utils.data.torch_datasets._data_module import TorchDataModule
from darts.utils.data.torch_datasets.utils import ModuleStage, TorchInferenceBatch, TorchTrainingBatch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from kallos.errors import UsageError
from kallos.scoring.samples import Samples, samples_of
from kallos.words import shorten

if TYPE_CHECKING:
    from darts.models.forecasting.torch_forecasting_model import TorchForecastingModel

# The most samples that inner validation forecasts at once, to bound the memory.
_AT_ONCE = 1024
# What a module may override, because it is called in the same places as by Lightning.
_CALLED = {"predict_step", "on_predict_start", "on_predict_end", "on_save_checkpoint", "on_load_checkpoint"}
_OF_LIGHTNING = {name for name in dir(pl.LightningModule) if not (name in dir(torch.nn.Module) or name[0] == "_")}
# With what Darts calls in its own hooks.
_HOOKS = sorted({*_OF_LIGHTNING, "_train_val_step"} - _CALLED)
# Arguments for Lightning that this loop reads, those that only say what Lightning shows and writes, and the values of
# others that ask for nothing else than what it does.
_READ = {"gradient_clip_val"}
_SHOWN = {"enable_checkpointing", "enable_model_summary", "enable_progress_bar", "logger", "num_sanity_val_steps"}
_SAME: dict[str, tuple[Any, ...]] = {"accelerator": ("cpu", "auto"), "devices": (1, "auto")}


@dataclass(frozen=True)
class Steps:
    """How a network is trained: at most `max_epochs`, and `patience` of them without a lower watched loss.

    `gradient_clip_val` is the largest norm of a step's gradient, 0 for any.
    """

    max_epochs: int
    batch_size: int
    patience: int
    gradient_clip_val: float


@dataclass(frozen=True)
class Trained:
    """How a network was trained: the loss on watched samples after each epoch, and the epoch whose weights it has.

    Without watched samples there are no losses, and the weights are those of the last epoch, as if no loss is finite.
    """

    epochs: int
    best_epoch: int = 0
    losses: tuple[float, ...] = ()


def train_network(module: PLForecastingModule, samples: Samples, watched: Samples | None, steps: Steps) -> Trained:
    """Train a network in place, and give it the weights of the epoch with the lowest loss on `watched` samples.

    Each epoch takes the samples in another order, which depends on torch's seed. Without a lower loss on watched
    samples, training ends early.
    """
    optimizer, end_of_step, end_of_epoch = _optimizer_of(module)
    losses, best_epoch, best_weights = [math.inf], 0, None
    epoch = 0
    for epoch in range(1, steps.max_epochs + 1):
        module.train()
        for places in torch.split(torch.randperm(len(samples)), steps.batch_size):
            optimizer.zero_grad()
            loss = _loss(module, samples.batch(places), ModuleStage.TRAIN, module.train_criterion)
            loss.backward()  # type: ignore[no-untyped-call]
            if steps.gradient_clip_val:
                torch.nn.utils.clip_grad_norm_(module.parameters(), steps.gradient_clip_val)
            optimizer.step()
            end_of_step()
        end_of_epoch()
        if watched is None:
            continue
        losses.append(_mean_loss(module, watched))
        if losses[-1] < losses[best_epoch]:
            best_epoch, best_weights = epoch, {name: value.clone() for name, value in module.state_dict().items()}
        if not math.isfinite(losses[-1]) or epoch - best_epoch >= steps.patience:
            break
    if best_weights is not None:
        module.load_state_dict(best_weights)
    return Trained(epoch, best_epoch, tuple(losses[1:]))


def _loss(
    module: PLForecastingModule, batch: TorchTrainingBatch, stage: ModuleStage, criterion: torch.nn.Module
) -> torch.Tensor:
    output = module(batch.to_module_input(stage=stage))
    loss: torch.Tensor = module._compute_loss(output, batch.future_target, criterion, batch.sample_weight)
    return loss


@torch.no_grad()
def _mean_loss(module: PLForecastingModule, watched: Samples) -> float:
    """Return the mean loss of samples."""
    module.eval()
    losses = [
        _loss(module, watched.batch(places), ModuleStage.VALIDATE, module.val_criterion) * len(places)
        for places in torch.split(torch.arange(len(watched)), _AT_ONCE)
    ]
    return float(sum(losses)) / len(watched)


def _optimizer_of(
    module: PLForecastingModule,
) -> tuple[torch.optim.Optimizer, Callable[[], None], Callable[[], None]]:
    """Return a module's optimizer, and what its schedule of the learning rate does after a step and after an epoch."""
    configured = module.configure_optimizers()
    optimizers, schedule = ([configured], None) if isinstance(configured, torch.optim.Optimizer) else configured
    (optimizer,) = optimizers
    if isinstance(optimizer, torch.optim.LBFGS):
        raise UsageError(f"an optimizer must take a step by one gradient, and {_name(optimizer)} does not: use AdamW")
    if schedule is None:
        return optimizer, _nothing, _nothing
    if isinstance(schedule["scheduler"], ReduceLROnPlateau) or schedule["frequency"] != 1:
        raise UsageError(
            f"a schedule must change the learning rate after each step or epoch, and {_name(schedule['scheduler'])} "
            f"does not (frequency {schedule['frequency']}): use another lr_scheduler_cls, such as ExponentialLR"
        )
    step = schedule["scheduler"].step
    return (optimizer, step, _nothing) if schedule["interval"] == "step" else (optimizer, _nothing, step)


def _name(part: object) -> str:
    return type(part).__name__


def _nothing() -> None:
    pass


def predictions(module: PLForecastingModule, batches: Iterable[TorchInferenceBatch]) -> list[Any]:
    """Return what a network forecasts of each batch."""
    module.eval()
    module.on_predict_start()
    with torch.inference_mode():
        forecasts = [module.predict_step(batch, position) for position, batch in enumerate(batches)]
    module.on_predict_end()
    return forecasts


class NetworkTrainer:
    """What Darts asks of a Lightning trainer: to train a model's module, to forecast with it, and to save it.

    Darts takes it as the `trainer` of `fit` and `predict`. `trained` says how the last fit went.
    """

    # With none, Darts takes that of the series.
    precision = None

    def __init__(self, model: "TorchForecastingModel", patience: int = 0) -> None:
        """Read how a model is trained; raises `UsageError` if it asks for what only Lightning does."""
        given = model.model_params.get("pl_trainer_kwargs") or {}
        unread = [
            f"{name}={given[name]!r}"
            for name in given.keys() - _READ - _SHOWN
            if given[name] not in (None, [], *_SAME.get(name, ()))
        ]
        if unread:
            raise UsageError(
                f"Lightning trains no network, so pl_trainer_kwargs may hold {shorten(sorted(_READ))} alone, and "
                f"{_name(model)} has {shorten(sorted(unread), 3)}: remove it"
            )
        self.steps = Steps(model.n_epochs, model.batch_size, patience, given.get("gradient_clip_val") or 0.0)
        self.trained = Trained(epochs=0)

    @property
    def current_epoch(self) -> int:
        """The number of epochs that were trained, as Lightning calls it."""
        return self.trained.epochs

    def fit(self, model: PLForecastingModule, datamodule: TorchDataModule, ckpt_path: str | None = None) -> None:
        """Train a module on the samples of a data module; raises `UsageError` if the module has Lightning hooks."""
        hooks = [name for name in _HOOKS if overrides(type(model), PLForecastingModule, name)]
        if hooks:
            raise UsageError(
                f"a network must be trained without Lightning's hooks, and {_name(model)} overrides "
                f"{shorten(hooks, 3)}: use the model's loss_fn, optimizer_cls and lr_scheduler_cls, or its forward"
            )
        samples = samples_of(datamodule.train_dataset)
        watched = None if datamodule.val_dataset is None else samples_of(datamodule.val_dataset)
        self._module = model
        model.trainer = self
        model.to(samples.batch(torch.tensor([0])).past_target.dtype)
        try:
            self.trained = train_network(model, samples, watched, self.steps)
        finally:
            model.on_fit_end()

    def predict(self, model: PLForecastingModule, datamodule: TorchDataModule) -> list[Any]:
        """Return what a module forecasts of each batch of a data module."""
        self._module = model
        return predictions(model, datamodule.predict_dataloader())

    def save_checkpoint(self, path: str, weights_only: bool = False) -> None:
        """Write the module's weights as Lightning does, because Darts reads them so."""
        trainer = pl.Trainer(accelerator="cpu", enable_model_summary=False, enable_progress_bar=False, logger=False)
        trainer.strategy.connect(self._module)
        trainer.save_checkpoint(path, weights_only)


def overrides(own: type, base: type, name: str) -> bool:
    """Return whether a class has another attribute of this name than the class that it is based on."""
    return getattr_static(own, name) is not getattr_static(base, name)
