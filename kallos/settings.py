"""Where this machine keeps things: `KALLOS_*` variables or a `.env` file, read once at the edge."""

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, PositiveFloat, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from kallos.errors import UsageError, explain
from kallos.words import scrubbed

_ADDRESS = re.compile(r"(tcp|tls|ws|wss)://(\[[0-9a-fA-F:.%]+\]|[^\s/@:\[\]]+):\d+")


def check_dask_address(address: str | None) -> str | None:
    """Return the address of a Dask scheduler, or raise `ValueError` if it is none."""
    if address is not None and not _ADDRESS.fullmatch(address):
        raise ValueError(f"must be a Dask scheduler's address, such as tcp://host:8786, not {scrubbed(address)!r}")
    return address


# Seconds that the features database may take to answer.
DB_TIMEOUT = 300.0


class Settings(BaseSettings):
    """Settings of the machine, not of a study: nothing here may change a result.

    Only `flows` and tests construct it; everything in `kallos` is handed values.
    """

    model_config = SettingsConfigDict(env_prefix="KALLOS_", env_file=".env", extra="ignore", frozen=True)

    home: Path = Field(Path("~/.kallos"), description="Folder of everything that Kallos keeps.")
    db_url: SecretStr | None = Field(
        None,
        description="Features database as an SQLAlchemy URL (SQLite or PostgreSQL); default: in the home.",
    )

    db_timeout: PositiveFloat = Field(DB_TIMEOUT, description="Seconds that the features database may take to answer.")

    storage_url: SecretStr | None = Field(
        None,
        description="Database of the studies' records (SQLite or PostgreSQL); default: in the home.",
    )

    results: str | None = Field(
        None, description="Folder of the results, or an fsspec URL of one (s3://bucket/folder); default: in the home."
    )

    registry: str | None = Field(
        None, description="Folder of the model registry, or an fsspec URL of one; default: in the home."
    )

    store: SecretStr | None = Field(
        None,
        description="Folder, or fsspec URL of one, where machines share snapshots, fold cache, the results of "
        "deployments and the model registry; default: the home.",
    )

    dask_address: Annotated[str | None, AfterValidator(check_dask_address)] = Field(
        None, description="Address of the Dask scheduler (tcp://host:8786), for studies with executor 'dask'."
    )

    @classmethod
    def read(cls) -> Self:
        """Return the settings of this process, or raise `UsageError` with a line that names what is wrong."""
        try:
            return cls()
        except ValidationError as error:
            raise UsageError(f"a KALLOS_* setting is wrong: {explain(error)}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"a .env file must be readable text: {error}") from None

    @property
    def home_dir(self) -> Path:
        """The home with `~` resolved."""
        return self.home.expanduser().absolute()

    @property
    def features_url(self) -> str:
        """The features database's URL, password and all: for connecting, never for showing."""
        return self.db_url.get_secret_value() if self.db_url else f"sqlite:///{self.home_dir / 'features.db'}"

    @property
    def studies_url(self) -> str:
        """The URL of the studies' records, password and all: for connecting, never for showing."""
        return self.storage_url.get_secret_value() if self.storage_url else f"sqlite:///{self.home_dir / 'studies.db'}"

    @property
    def results_folder(self) -> str:
        """Folder of the results, or an fsspec URL of one."""
        return self.results or self._stored("results")

    @property
    def registry_folder(self) -> str:
        """Folder of the model registry, or an fsspec URL of one."""
        return self.registry or self._stored("models")

    @property
    def snapshots(self) -> str:
        """Folder of the snapshots, named by their content, or its fsspec URL, password and all."""
        return self._stored("snapshots")

    @property
    def fold_cache(self) -> str:
        """Folder of the fold scores, named by their fingerprints, or its fsspec URL, password and all."""
        return self._stored("fold-cache")

    def _stored(self, name: str) -> str:
        if self.store is None:
            return str(self.home_dir / name)
        store = self.store.get_secret_value()
        if "://" in store:
            return f"{store.rstrip('/')}/{name}"
        # The workers of a cluster begin in other folders.
        return str(Path(store).expanduser().absolute() / name)
