"""Settings of this machine, from `KALLOS_*` variables or a `.env` file."""

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, PositiveFloat, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from kallos.errors import UsageError, explain
from kallos.words import scrubbed

_ADDRESS = re.compile(r"(tcp|tls|ws|wss)://(\[[0-9a-fA-F:.%]+\]|[^\s/@:\[\]]+):\d+")


def check_dask_address(address: str | None) -> str | None:
    """Return the address of a Dask scheduler, or raise `ValueError` if it is invalid."""
    if address is not None and not _ADDRESS.fullmatch(address):
        raise ValueError(f"must be a Dask scheduler's address, such as tcp://host:8786, not {scrubbed(address)!r}")
    return address


DB_TIMEOUT = 300.0


class Settings(BaseSettings):
    """Settings of the machine, none of which may change a result.

    Only `flows` and tests construct it; functions in `kallos` take values.
    """

    model_config = SettingsConfigDict(env_prefix="KALLOS_", env_file=".env", extra="ignore", frozen=True)

    home: Path = Field(Path("~/.kallos"), description="Folder in which Kallos keeps everything.")
    db_url: SecretStr | None = Field(
        None, description="Features database as an SQLAlchemy URL (SQLite or PostgreSQL); default: in the home."
    )
    db_timeout: PositiveFloat = Field(DB_TIMEOUT, description="Seconds to wait for an answer of the features database.")
    storage_url: SecretStr | None = Field(
        None, description="Database of the studies' records (SQLite or PostgreSQL); default: in the home."
    )
    results: str | None = Field(
        None, description="Folder of the results, or an fsspec URL (s3://bucket/folder); default: in the home."
    )
    registry: str | None = Field(
        None, description="Folder of the model registry, or an fsspec URL; default: in the home."
    )
    store: SecretStr | None = Field(
        None,
        description="Folder, or fsspec URL, in which machines share snapshots, the fold cache, the results of "
        "deployments and the model registry; default: the home.",
    )
    dask_address: Annotated[str | None, AfterValidator(check_dask_address)] = Field(
        None, description="Address of the Dask scheduler (tcp://host:8786) for studies with executor 'dask'."
    )

    @classmethod
    def read(cls) -> Self:
        """Return the settings of this process, or raise `UsageError` if one is invalid."""
        try:
            return cls()
        except ValidationError as error:
            raise UsageError(f"a KALLOS_* setting is invalid: {explain(error)}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"a .env file must be readable text: {error}") from None

    @property
    def home_dir(self) -> Path:
        """The home with `~` resolved."""
        return self.home.expanduser().absolute()

    @property
    def features_url(self) -> str:
        """The features database's URL with its password: never show it."""
        return self.db_url.get_secret_value() if self.db_url else f"sqlite:///{self.home_dir / 'features.db'}"

    @property
    def studies_url(self) -> str:
        """The URL of the studies' records with its password: never show it."""
        return self.storage_url.get_secret_value() if self.storage_url else f"sqlite:///{self.home_dir / 'studies.db'}"

    @property
    def results_folder(self) -> str:
        """Folder or fsspec URL of the results."""
        return self.results or self._stored("results")

    @property
    def registry_folder(self) -> str:
        """Folder or fsspec URL of the model registry."""
        return self.registry or self._stored("models")

    @property
    def snapshots(self) -> str:
        """Folder of the snapshots, or its fsspec URL with its password."""
        return self._stored("snapshots")

    @property
    def fold_cache(self) -> str:
        """Folder of the fold cache, or its fsspec URL with its password."""
        return self._stored("fold-cache")

    def _stored(self, name: str) -> str:
        if self.store is None:
            return str(self.home_dir / name)
        store = self.store.get_secret_value()
        if "://" in store:
            return f"{store.rstrip('/')}/{name}"
        # The workers of a cluster start in other folders.
        return str(Path(store).expanduser().absolute() / name)
