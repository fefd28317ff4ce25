"""Direct identifiers, told by the name of a column; see the dictionary's module."""

from features.dictionary.column_names import names_person, split_words

__all__ = ["names_person", "split_words"]
