"""Where models that were registered before the rooms look for their loader."""

from features.model.pyfunc import _load_pyfunc

__all__ = ["_load_pyfunc"]
