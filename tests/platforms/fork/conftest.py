from labs.zenml_server import zenml_server  # noqa: F401 - a fixture
