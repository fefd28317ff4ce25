"""The language: what a patient is, how that becomes numbers, what a model promises."""

__version__ = "0.1.0"
