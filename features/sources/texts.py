"""What the text of a cell may mean, whatever file it is from: nothing, or a number."""

import re

MISSING_TOKENS = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None")
# Narrower than float(), which also takes `1_000`, `nan` and the digits of other scripts.
NUMBER_PATTERN = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
DECIMAL_COMMA = re.compile(r"(\s*[+-]?[0-9]*),([0-9]+(?:[eE][+-]?[0-9]{1,3})?\s*)")
