from labs.pipeline_fixtures import (  # noqa: F401 - fixtures
    bench,
    day_frame,
    generated,
    in_production,
    lander,
    real_root,
    small_workspace,
    workspace,
)
