"""Versions of the installed libraries."""

from importlib.metadata import PackageNotFoundError, version


def name_xgboost() -> str:
    """Name the installed build of XGBoost: the one without GPU code has a name of its own."""
    try:
        version("xgboost-cpu")
    except PackageNotFoundError:
        return "xgboost"
    return "xgboost-cpu"
