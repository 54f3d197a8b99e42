"""``mlops serve``: the model in production behind an HTTP service."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zenml_mlops.cli.json_output import print_json
from zenml_mlops.cli.options import Environment
from zenml_mlops.cli.sentences import console, sentences
from zenml_mlops.interrupts import terminable

if TYPE_CHECKING:
    from zenml_mlops.serving.config import ServingConfig
    from zenml_mlops.serving.limits import ApiKeys
    from zenml_mlops.serving.loaded_version import LoadedVersion
    from zenml_mlops.serving.server import Tls

KEY_ENV = "MLOPS_SERVING_API_KEY"


def serve(
    host: Annotated[
        str | None, typer.Option("--host", help="Address to listen on; other than loopback only with a key.")
    ] = None,
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535, help="Port; 0 for a free one.")] = None,
    api_key_file: Annotated[
        Path | None,
        typer.Option(
            "--api-key-file", help=f"File with API keys, one per line; {KEY_ENV} holds one where no file is named."
        ),
    ] = None,
    certificate: Annotated[Path | None, typer.Option("--certificate", help="Certificate for TLS, PEM.")] = None,
    private_key: Annotated[Path | None, typer.Option("--private-key", help="Its private key, PEM.")] = None,
    client_ca: Annotated[
        Path | None,
        typer.Option("--client-ca", help="Authorities whose certificate each client must have (mTLS), PEM."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Load the model, print what would be served, and exit.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --check: print JSON.")] = False,
    environment: Environment = "local",
) -> None:
    """Score single requests over HTTP with the version that is in production.

    A promotion takes effect while it runs, without a lost request. It logs one line of JSON for each request, and
    no value of a request. SIGTERM or Ctrl-C ends it once the requests that it has begun are answered.

    For example: `mlops serve --check`, or `mlops serve --host 0.0.0.0 --api-key-file keys.txt`
    """
    from zenml_mlops.environment.process import enter

    with sentences():
        if as_json and not check:
            raise ValueError("--json has an effect with --check only: the service itself logs JSON anyway.")
        settings = enter(environment)
        from zenml_mlops.serving.config import build_serving_config
        from zenml_mlops.serving.limits import check_reachable

        config = build_serving_config(settings.model_dump(), host=host, port=port)
        keys = _keys(api_key_file)
        check_reachable(config.host, keys)
        tls = _tls(certificate, private_key, client_ca)
        if check:
            _check(config, keys, tls, as_json=as_json)
        else:
            _serve(config, keys, tls)


def _serve(config: ServingConfig, keys: ApiKeys, tls: Tls | None) -> None:
    from zenml_mlops.serving.deployment import deployment
    from zenml_mlops.serving.limits import is_loopback
    from zenml_mlops.serving.records import EventLog, log_to_stdout
    from zenml_mlops.serving.server import build_server, listen, run

    # Before a model is loaded for an address that somebody else has.
    with listen(config) as listener:
        log_to_stdout()
        app, _ = deployment(config, keys)
        server = build_server(app, config, tls)
        if tls is None and not is_loopback(config.host):
            EventLog().warning(
                "no_tls", "Keys and rows are readable on the network, if nothing in front encrypts."
            )
        EventLog().listening(_url(config.host, listener.getsockname()[1], tls))
        try:
            with terminable():
                run(server, listener)
        except KeyboardInterrupt:
            # To end on SIGTERM is what a service is asked to do; Ctrl-C is an interruption as everywhere.
            if server.stopped_by is not signal.SIGTERM:
                raise


def _check(config: ServingConfig, keys: ApiKeys, tls: Tls | None, *, as_json: bool) -> None:
    from zenml_mlops.serving.deployment import deployment

    if tls is not None:
        tls.check()
    _, champion = deployment(config, keys)
    found = _described(config, champion, keys, tls)
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        console.print(f"{name.replace('_', ' '):20} {value}", highlight=False, markup=False)


def _described(config: ServingConfig, champion: LoadedVersion, keys: ApiKeys, tls: Tls | None) -> dict[str, Any]:
    return {
        "model": champion.version.name,
        "version": champion.version.version,
        "version_id": str(champion.version.version_id),
        "stage": config.stage.value,
        "decision_threshold": config.decision_threshold,
        "columns": len(champion.contract.columns),
        "url": _url(config.host, config.port, tls),
        "api_key": "needed" if keys else "none",
        "client_certificate": "needed" if tls is not None and tls.client_ca is not None else "none",
        "most_rows": config.most_rows,
        "most_body_bytes": config.most_body_bytes,
        "requests_per_second": config.rate.per_second,
    }


def _keys(file: Path | None) -> ApiKeys:
    from zenml_mlops.serving.limits import ApiKeys

    if file is not None:
        return ApiKeys.parse(file.read_text(encoding="utf-8"))
    # An empty variable is more likely a mistake than the wish for no key.
    named = os.environ.get(KEY_ENV)
    return ApiKeys([]) if named is None else ApiKeys.parse(named)


def _tls(certificate: Path | None, private_key: Path | None, client_ca: Path | None) -> Tls | None:
    from zenml_mlops.serving.server import Tls

    if certificate is not None and private_key is not None:
        return Tls(certificate, private_key, client_ca)
    if certificate is None and private_key is None and client_ca is None:
        return None
    raise ValueError("TLS needs --certificate and --private-key; --client-ca is added to them, for mTLS.")


def _url(host: str, port: int, tls: Tls | None) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"{'http' if tls is None else 'https'}://{shown}:{port}"
