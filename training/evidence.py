"""What the literature says of a field's direction, where it says the same thing twice.

Boosted trees are held to these signs, so that a few dozen patients cannot teach them the opposite.
Sources: the notes in ``features/fields.toml``; fields with mixed findings are left free.
"""

from collections.abc import Mapping
from types import MappingProxyType

SIGNS: Mapping[str, int] = MappingProxyType(
    {
        "age_from_65": -1,
        "failed_antidepressants": -1,
        "failed_antidepressants_beyond_2": -1,
        "failed_ect": -1,
        "log_episode_months": -1,
        "family_alcohol_use_disorder": 1,
    }
)
