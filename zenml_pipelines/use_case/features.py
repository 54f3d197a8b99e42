"""From an encounter to the model's features, inside the scikit-learn Pipeline.

Everything is stateless here, so batch and real-time scoring cannot differ: what is learned from data
(categories, scales) is learned by the stock transformers that follow.
"""

from __future__ import annotations

from typing import Any, Final, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

from zenml_mlops.data.use_case import Grouping
from zenml_pipelines.use_case.contract import AGE_BANDS, DIAGNOSES, DOSAGE_CHANGES
from zenml_pipelines.use_case.schema import COUNT_COLUMNS, DRUG_COLUMNS

# Blocks of three-digit ICD-9-CM codes, first code of each block: Strack et al. 2014, table 2, with the blocks
# that the table lumps together as "other" kept apart (they are the chapters of ICD-9-CM).
_ICD9_STARTS: Final = np.array(
    [
        1, 140, 240, 250, 251, 280, 290, 320, 390, 460, 520, 580, 630, 680, 710, 740, 760, 780, 785, 786, 787, 788,
        789, 800,
    ]
)  # fmt: skip
_ICD9_NAMES: Final = np.array(
    [
        "infectious", "neoplasms", "endocrine", "diabetes", "endocrine", "blood", "mental", "nervous",
        "circulatory", "respiratory", "digestive", "genitourinary", "pregnancy", "skin", "musculoskeletal",
        "congenital", "perinatal", "symptoms", "circulatory", "respiratory", "digestive", "genitourinary",
        "symptoms", "injury",
    ],
    dtype=object,
)  # fmt: skip

CODES: Final = ("admission_type_id", "discharge_disposition_id", "admission_source_id")
TEXTS: Final = ("race", "gender", "payer_code", "medical_specialty", "max_glu_serum", "A1Cresult")

NUMERIC_FEATURES: Final = (
    *COUNT_COLUMNS, "visits", "age", "drugs_taken", "drugs_changed", "change", "diabetesMed", *DRUG_COLUMNS,
)  # fmt: skip
CATEGORICAL_FEATURES: Final = (*CODES, *TEXTS, *(f"{name}_group" for name in DIAGNOSES))


def grouped(codes: pd.Series) -> pd.Series:
    """Group ICD-9-CM codes by block.

    Args:
        codes: Codes as text, such as ``250.83``, ``38`` (which is 038), ``V45``, ``E888``; missing allowed.

    Returns:
        Text: the group; ``missing`` for no code, ``other`` for one that is no ICD-9-CM code.
    """
    text = codes.astype("object")
    whole = pd.to_numeric(text, errors="coerce").to_numpy(dtype=float)
    known = np.isfinite(whole) & (whole >= 1) & (whole < 1000)
    block = np.searchsorted(_ICD9_STARTS, np.floor(np.where(known, whole, 1.0)), side="right") - 1
    group = np.where(known, _ICD9_NAMES[block], "other")
    first = text.where(text.notna(), "").astype(str).str.slice(0, 1)
    group = np.where(first.eq("V").to_numpy(), "supplementary", group)
    group = np.where(first.eq("E").to_numpy(), "external", group)
    group = np.where(text.isna().to_numpy(), "missing", group)
    return pd.Series(group, index=codes.index, dtype="object")


GROUPING: Final = Grouping(columns=DIAGNOSES, group=grouped)


class RowFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Turn raw encounter columns into ``NUMERIC_FEATURES`` and ``CATEGORICAL_FEATURES``.

    Input: a frame of n rows with at least the columns that the contract marks as features. Output: a frame of
    n rows; numeric features are ``float64``, categorical ones text with ``missing`` for a missing value. A
    patient or encounter number is never a feature.
    """

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:  # noqa: ARG002 - scikit-learn's signature
        """Learn nothing; record the columns for scikit-learn's own checks."""
        self.n_features_in_ = X.shape[1]
        self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Compute the features of every row."""
        ordinal_age = {band: index for index, band in enumerate(AGE_BANDS)}
        dosage = {name: index for index, name in enumerate(DOSAGE_CHANGES)}
        drugs = pd.DataFrame({name: X[name].map(dosage).astype("float64") for name in DRUG_COLUMNS}, index=X.index)
        columns: dict[str, Any] = {name: X[name].astype("float64") for name in COUNT_COLUMNS}
        columns["visits"] = sum(columns[n] for n in ("number_outpatient", "number_emergency", "number_inpatient"))
        columns["age"] = X["age"].map(ordinal_age).astype("float64")
        columns["drugs_taken"] = (drugs > 0).sum(axis=1).astype("float64")
        columns["drugs_changed"] = drugs.isin([dosage["Down"], dosage["Up"]]).sum(axis=1).astype("float64")
        columns["change"] = (X["change"] == "Ch").astype("float64")
        columns["diabetesMed"] = (X["diabetesMed"] == "Yes").astype("float64")
        columns.update({name: drugs[name] for name in DRUG_COLUMNS})
        for name in CODES:
            columns[name] = X[name].astype("Int64").astype("string").fillna("missing").astype("object")
        for name in TEXTS:
            columns[name] = X[name].astype("object").where(X[name].notna(), "missing")
        for name in DIAGNOSES:
            columns[f"{name}_group"] = grouped(X[name])
        return pd.DataFrame(columns, index=X.index)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray[Any, np.dtype[Any]]:  # noqa: ARG002
        """Names of the features, in order."""
        return np.asarray([*NUMERIC_FEATURES, *CATEGORICAL_FEATURES], dtype=object)
