"""Types of arrays, declared once. Shapes are stated where they are used, as ``[rows, fields]``."""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.intp]
Texts = NDArray[np.object_]
