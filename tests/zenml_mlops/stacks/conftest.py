import pytest
from labs import stores
from stack_files import GOOD

from zenml_mlops.stacks.load import check_stack_file


@pytest.fixture
def client(tmp_path, monkeypatch):
    """A ZenML client of a store that nobody used before."""
    from zenml.client import Client
    from zenml.config.global_config import GlobalConfiguration
    from zenml.config.store_config import StoreConfiguration

    # Opened, it has today's tables, and so have the copies: nobody needs to look again.
    before = GlobalConfiguration().zen_store.config
    store = stores.give_zenml(tmp_path)
    monkeypatch.setenv("DISABLE_DATABASE_MIGRATION", "true")
    GlobalConfiguration().set_store(
        StoreConfiguration(type="sql", url=f"sqlite:///{store}"),
        skip_default_registrations=False,
    )
    yield Client()
    GlobalConfiguration().set_store(before)


@pytest.fixture
def lab(tmp_path):
    """Reads the good file with some texts replaced."""

    def read(*changes):
        text = GOOD
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "lab.yaml").write_text(text)
        return check_stack_file(tmp_path / "lab.yaml", {"state_dir": str(tmp_path)})

    return read
