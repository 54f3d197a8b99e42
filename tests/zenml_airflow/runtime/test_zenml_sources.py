"""What ZenML records of the platform's classes: the module that is installed, whatever the source root is."""

from importlib.metadata import version

import pytest
from labs import ROOT
from zenml.config.source import SourceType
from zenml.utils import source_utils

from zenml_airflow.contracts.provenance import platform_modules, platform_versions
from zenml_mlops import materializers
from zenml_pipelines.model import RiskModelMaterializer


@pytest.fixture(autouse=True)
def root():
    source_utils.set_custom_source_root(str(ROOT))
    yield
    source_utils.set_custom_source_root(None)


def test_a_class_of_the_platform_is_that_of_an_installed_package():
    source = source_utils.resolve(materializers.SkopsMaterializer)
    assert source.import_path == "zenml_mlops.materializers.SkopsMaterializer"
    assert source.type == SourceType.DISTRIBUTION_PACKAGE
    assert source.package_name == platform_modules()["zenml_mlops"]
    assert source.version == version(source.package_name)
    assert platform_versions()[source.package_name].startswith(f"{source.version}+")
    assert source_utils.load(source) is materializers.SkopsMaterializer


def test_a_class_of_the_project_is_its_own():
    source = source_utils.resolve(RiskModelMaterializer)
    assert source.import_path == "zenml_pipelines.model.RiskModelMaterializer"
    assert source.type == SourceType.USER
