"""What the bridge adds to Airflow's UI: the page "Models".

Every component of Airflow loads its plugins, and so does each task; the web application is built where it is asked
for, in the API server and by ``airflow plugins``.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

from airflow.plugins_manager import AirflowPlugin

PREFIX: Final = "/zenml-models"
"""Path of the application below the API server's root. Reserved by Airflow: /api, /ui, /auth, /execution."""

ROUTE: Final = "zenml-models"
"""Path of the page within Airflow's UI: ``/plugin/zenml-models``."""

_ICON: Final = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' "
    "stroke='{colour}' stroke-width='1.8' stroke-linejoin='round'%3E"
    # Filled, to stand out from the background of the entry that is open too.
    "%3Cpath fill='%23fff' d='M12 3l9 5-9 5-9-5z'/%3E"
    "%3Cpath d='M3 12l9 5 9-5'/%3E%3Cpath d='M3 16l9 5 9-5'/%3E%3C/svg%3E"
)


class ModelsPlugin(AirflowPlugin):
    """The page, its place in the navigation, and the application that serves it."""

    name = "zenml_models"
    external_views = [
        {
            "name": "Models",
            # Relative, so that it stands behind a proxy's path too.
            "href": f"{PREFIX.removeprefix('/')}/",
            "destination": "nav",
            "nav_top_level": True,
            "url_route": ROUTE,
            "icon": _ICON.format(colour="%2352525b"),
            "icon_dark_mode": _ICON.format(colour="%23d4d4d8"),
        }
    ]

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The application, built on first use."""
        from zenml_airflow.models_page.page import create_app

        return [{"app": create_app(), "url_prefix": PREFIX, "name": "ZenML models"}]
