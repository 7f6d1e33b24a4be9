"""Cards of models that earlier versions wrote, brought to the form of today. Nothing else knows the old names."""

from collections.abc import Mapping
from typing import Any

__all__ = ["upgraded"]

_SETTINGS = {"unseen_weight": "unobserved_weight", "kept": "n_samples"}
"""Settings of solvers that have other names today."""

_WITHOUT_VALUES = ("pairwise", "logistic")
"""Objectives that took no notice of values in version 1, and take them as weights today."""


def upgraded(card: Mapping[str, Any], version: int) -> dict[str, Any]:
    """Return the card of a model file or folder of some format version in today's form.

    Raises
    ------
    KeyError, TypeError, ValueError
        If it is no sound card of that version.
    """
    new = dict(card)
    if version == 1:
        new["objective"] = _objective_of_1(card["objective"])
        new["preparation"] = {"kind": "alike" if new["objective"]["kind"] in _WITHOUT_VALUES else "as given"}
        new["origin"] = _origin_of_1(card["origin"])
    return new


def _origin_of_1(stored: Mapping[str, Any]) -> dict[str, Any]:
    settings = {_SETTINGS.get(name, name): value for name, value in stored.get("settings", {}).items()}
    solver = stored.get("solver", "")
    if solver == "NMF" and "feedback" in settings:
        settings["goal"] = "ranking" if settings.pop("feedback") == "implicit" else "rating"
    if solver == "BayesianMF" and "implicit" in settings:
        settings["svdpp"] = settings.pop("implicit")
    if solver == "SparkALS" and "implicit" in settings:
        settings["goal"] = "ranking" if settings.pop("implicit") else "rating"
    if solver in ("ImplicitALS", "NMF", "PureSVD"):
        settings["values"] = "as given"  # what a model of version 1 had seen is what its solver was given
    return {**stored, "settings": settings}


def _objective_of_1(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the nine losses of version 1, whose one record had the fields of them all."""
    loss = stored.get("loss", "squared")
    common = {"goal": stored.get("goal", "rating"), "scale": stored.get("scale")}
    penalty = {name: stored.get(name, 0.0) for name in ("regularization", "bias_regularization")}
    least_squares = {
        **common,
        **penalty,
        "nu": stored.get("nu", 1.0),
        "non_negative": stored.get("non_negative", False),
    }
    unobserved = stored.get("unseen_weight", 0.0)
    forms: dict[str, dict[str, Any]] = {
        "squared": {"kind": "squared", **least_squares},
        "residual": {"kind": "squared", **least_squares, "bias_first": True},
        "weighted": {
            "kind": "confidence", **least_squares, "unobserved_weight": unobserved, "count_share": unobserved,
        },
        "confident": {
            "kind": "confidence", **least_squares, "unobserved_weight": unobserved, "adds_unobserved": True,
        },
        "matched": {
            "kind": "confidence", **least_squares, "unobserved_weight": unobserved, "count_share": unobserved,
            "alike": True,
        },
        "complete": {"kind": "complete", **common},
        "posterior": {"kind": "posterior", **common, "n_samples": stored.get("draws", 1)},
        "pairwise": {
            "kind": "pairwise", **common, "learning_rate": stored.get("learning_rate", 0.0),
            "regularization": penalty["regularization"], "negatives": stored.get("negatives", 1),
        },
        "logistic": {
            "kind": "logistic", **common, "regularization": penalty["regularization"],
            "negatives": stored.get("negatives", 1),
        },
    }  # fmt: skip
    if loss not in forms:
        raise ValueError(f"unknown loss {str(loss)[:40]!r}")
    return forms[loss]
