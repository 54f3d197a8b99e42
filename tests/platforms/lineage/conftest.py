from labs.pipeline_fixtures import generated, in_production, small_workspace  # noqa: F401 - fixtures
