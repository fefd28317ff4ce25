"""The instrument registry: one entry a rating scale, and all that follows from it.

Adding an instrument is adding an entry here: its total, items and follow-ups become fields, its
response and remission become outcomes, its codes reach FHIR. Figures marked *recalled* were not
seen in a source; ``docs/reference/instruments.md`` prints the marks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from features.base.arrays import Flags, Numbers


@dataclass(frozen=True, slots=True)
class Band:
    """A named range of totals, both ends included."""

    label: str
    low: int
    high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """A rating scale: items, range, bands, recall window, response and remission.

    Parameters
    ----------
    measures
        What it measures, in words.
    condition
        The category of the field `condition` whose severity it measures, which is the key of
        published base rates; None for any other scale.
    item_highs
        Highest score of each item, in order; every item starts at 0.
    domains
        Items (counted from 1) of which only the highest counts; items named nowhere count alone.
    recall_days
        Days that the scale asks about.
    shortest_recall_days
        The same for its shortest validated form, e.g. the 24-hour MADRS.
    response_percent
        Fall from baseline, in per cent, that counts as response.
    remission_at_most
        Highest total in remission; None where no total defines it.
    missing_items_allowed
        Items that may be missing when a total is pro-rated from the rest.
    """

    key: str
    name: str
    measures: str
    condition: str | None = None
    item_highs: tuple[int, ...]
    recall_days: int
    source: str
    domains: tuple[tuple[int, ...], ...] = ()
    bands: tuple[Band, ...] = ()
    shortest_recall_days: int | None = None
    response_percent: int = 50
    remission_at_most: int | None = None
    missing_items_allowed: int = 0
    clinician_rated: bool = False
    loinc_total: str | None = None
    loinc_panel: str | None = None
    loinc_items: tuple[str, ...] = ()

    @property
    def item_fields(self) -> tuple[str, ...]:
        """Field names of the items, in order."""
        return tuple(f"{self.key}_{number}" for number in range(1, len(self.item_highs) + 1))

    @property
    def scoring(self) -> tuple[tuple[int, ...], ...]:
        """Item positions (from 0) of each scored unit; a unit scores its highest item.

        Examples
        --------
        >>> len(INSTRUMENTS["qids"].scoring), len(INSTRUMENTS["phq9"].scoring)
        (9, 9)
        """
        units = [tuple(item - 1 for item in domain) for domain in self.domains]
        shared = {item for unit in units for item in unit}
        units += [(item,) for item in range(len(self.item_highs)) if item not in shared]
        return tuple(sorted(units))

    @property
    def high(self) -> int:
        """Highest total.

        Examples
        --------
        >>> {key: INSTRUMENTS[key].high for key in ("phq9", "hamd17", "qids")}
        {'phq9': 27, 'hamd17': 52, 'qids': 27}
        """
        return sum(max(self.item_highs[item] for item in unit) for unit in self.scoring)

    @property
    def shortest_recall(self) -> int:
        """Days that its shortest validated form asks about."""
        return self.shortest_recall_days or self.recall_days

    def find_band(self, total: float) -> str | None:
        """Name the band of a total.

        Examples
        --------
        >>> INSTRUMENTS["phq9"].find_band(17)
        'moderately severe'
        """
        return next((band.label for band in self.bands if band.low <= total <= band.high), None)

    def find_response(self, baseline: Numbers, followup: Numbers) -> Flags:
        """Tell response, on integers so that no rounding decides.

        Examples
        --------
        >>> import numpy as np
        >>> INSTRUMENTS["phq9"].find_response(np.array([17.0, 17.0]), np.array([8.0, 9.0]))
        array([ True, False])
        >>> INSTRUMENTS["caps5"].find_response(np.array([40.0, 40.0]), np.array([28.0, 29.0]))
        array([ True, False])
        """
        return 100 * followup <= (100 - self.response_percent) * baseline

    def find_remission(self, followup: Numbers) -> Flags:
        """Tell remission.

        Raises
        ------
        ValueError
            If no total of this instrument defines remission.
        """
        if self.remission_at_most is None:
            raise ValueError(f"{self.name} has no remission cut-off")
        return followup <= self.remission_at_most


def make_bands(labels: str, *lows: int, high: int) -> tuple[Band, ...]:
    """Build bands from their lowest totals.

    Examples
    --------
    >>> make_bands("none, some", 0, 5, high=9)
    (Band(label='none', low=0, high=4), Band(label='some', low=5, high=9))
    """
    tops = [*(low - 1 for low in lows[1:]), high]
    names = labels.split(", ")
    return tuple(Band(*band) for band in zip(names, lows, tops, strict=True))


PHQ9 = Instrument(
    key="phq9",
    name="PHQ-9",
    measures="depression",
    condition="depression",
    item_highs=(3,) * 9,
    bands=make_bands(
        "minimal, mild, moderate, moderately severe, severe", 0, 5, 10, 15, 20, high=27
    ),
    recall_days=14,
    remission_at_most=4,
    missing_items_allowed=2,
    loinc_total="44261-6",
    loinc_panel="44249-1",
    loinc_items=(
        *("44250-9", "44255-8", "44259-0", "44254-1", "44251-7"),
        *("44258-2", "44252-5", "44253-3", "44260-8"),
    ),
    source="LOINC 44249-1; remission McInnes 2022; missing-item rule recalled",
)
GAD7 = Instrument(
    key="gad7",
    name="GAD-7",
    measures="anxiety",
    condition="anxiety",
    item_highs=(3,) * 7,
    bands=make_bands("minimal, mild, moderate, severe", 0, 5, 10, 15, high=21),
    recall_days=14,
    remission_at_most=4,
    missing_items_allowed=1,
    loinc_total="70274-6",
    loinc_panel="69737-5",
    loinc_items=(
        *("69725-0", "68509-9", "69733-4", "69734-2"),
        *("69735-9", "69689-8", "69736-7"),
    ),
    source="LOINC 69737-5; remission Hull 2022; missing-item rule recalled",
)
PCL5 = Instrument(
    key="pcl5",
    name="PCL-5",
    measures="PTSD",
    condition="ptsd",
    item_highs=(4,) * 20,
    bands=make_bands("below the cut-off, at or above the cut-off", 0, 31, high=80),
    recall_days=30,
    response_percent=30,
    remission_at_most=28,
    missing_items_allowed=4,
    loinc_total="101698-9",
    loinc_panel="101697-1",
    source="cut-off 31 to 33 NCPTSD; response of 30 % as Feder 2021 for PTSD (a choice); "
    "remission and missing-item rule recalled; item codes not verified",
)
MADRS = Instrument(
    key="madrs",
    name="MADRS",
    measures="depression",
    condition="depression",
    item_highs=(6,) * 10,
    bands=make_bands("none, mild, moderate, severe", 0, 7, 20, 35, high=60),
    recall_days=7,
    shortest_recall_days=1,
    remission_at_most=12,
    missing_items_allowed=1,
    clinician_rated=True,
    source="remission TRANSFORM (ESCAPE-TRD used 10); 24-hour form validated in "
    "treatment-resistant depression; bands, recall and missing-item rule recalled",
)
HAMD17 = Instrument(
    key="hamd17",
    name="HAM-D17",
    measures="depression",
    condition="depression",
    item_highs=(4, 4, 4, 2, 2, 2, 4, 4, 4, 4, 4, 2, 2, 2, 4, 2, 2),
    bands=make_bands("none, mild, moderate, severe", 0, 8, 17, 24, high=52),
    recall_days=7,
    shortest_recall_days=1,
    remission_at_most=7,
    missing_items_allowed=1,
    clinician_rated=True,
    source="cut-offs ids-qids.org, Zimmerman 2013; read at day 2 by NIMH (ds005917); "
    "recall and missing-item rule recalled",
)
QIDS = Instrument(
    key="qids",
    name="QIDS-SR16",
    measures="depression",
    condition="depression",
    item_highs=(3,) * 16,
    domains=((1, 2, 3, 4), (6, 7, 8, 9), (15, 16)),
    bands=make_bands("none, mild, moderate, severe, very severe", 0, 6, 11, 16, 21, high=27),
    recall_days=7,
    remission_at_most=5,
    source="ids-qids.org; remission CRTCE; recall recalled",
)
BDI2 = Instrument(
    key="bdi2",
    name="BDI-II",
    measures="depression",
    condition="depression",
    item_highs=(3,) * 21,
    bands=make_bands("minimal, mild, moderate, severe", 0, 14, 20, 29, high=63),
    recall_days=14,
    remission_at_most=13,
    missing_items_allowed=1,
    loinc_total="89209-1",
    source="cut-offs, remission (9 to 13), recall and missing-item rule recalled; "
    "item wording belongs to Pearson and is not shipped",
)
HAMA = Instrument(
    key="hama",
    name="HAM-A",
    measures="anxiety",
    condition="anxiety",
    item_highs=(4,) * 14,
    bands=make_bands(
        "mild, mild to moderate, moderate to severe, very severe", 0, 18, 25, 31, high=56
    ),
    recall_days=7,
    shortest_recall_days=1,
    remission_at_most=7,
    missing_items_allowed=1,
    clinician_rated=True,
    source="Glue 2018 read it within a day; cut-offs, remission and recall recalled",
)
CAPS5 = Instrument(
    key="caps5",
    name="CAPS-5",
    measures="PTSD",
    condition="ptsd",
    item_highs=(4,) * 20,
    recall_days=30,
    shortest_recall_days=7,
    response_percent=30,
    clinician_rated=True,
    source="response Feder 2021; past-week form recalled; remission is loss of the diagnosis, "
    "which no total gives",
)
CESD = Instrument(
    key="cesd",
    name="CES-D",
    measures="depression",
    condition="depression",
    item_highs=(3,) * 20,
    bands=make_bands("below the cut-off, at or above the cut-off", 0, 16, high=60),
    recall_days=7,
    remission_at_most=15,
    missing_items_allowed=4,
    source="recalled; items already reverse-scored",
)
PAS = Instrument(
    key="pas",
    name="PAS",
    measures="anxiety",
    condition="anxiety",
    item_highs=(4,) * 13,
    bands=make_bands("none, mild, moderate, severe, very severe", 0, 9, 19, 29, 40, high=52),
    recall_days=7,
    remission_at_most=8,
    source="Panic and Agoraphobia Scale, Bandelow 1999; cut-offs and recall recalled",
)
BDI = Instrument(
    key="bdi",
    name="BDI",
    measures="depression",
    condition="depression",
    item_highs=(3,) * 21,
    bands=make_bands("minimal, mild, moderate, severe", 0, 10, 19, 30, high=63),
    recall_days=7,
    remission_at_most=9,
    missing_items_allowed=1,
    source="the first edition, which is not BDI-II; bands, remission, recall and missing-item rule "
    "recalled; item wording belongs to Pearson and is not shipped",
)
PTSDRI = Instrument(
    key="ptsdri",
    name="UCLA PTSD-RI",
    measures="PTSD",
    condition="ptsd",
    item_highs=(4,) * 17,
    recall_days=30,
    response_percent=30,
    source="children's PTSD Reaction Index for DSM-IV, criteria B, C and D; response of 30 % as "
    "for the other PTSD scales (a choice); items and recall recalled",
)

INSTRUMENTS: Mapping[str, Instrument] = MappingProxyType(
    {
        instrument.key: instrument
        for instrument in (
            *(PHQ9, GAD7, PCL5, MADRS, HAMD17, QIDS),
            *(BDI2, HAMA, CAPS5, CESD, PAS),
            *(BDI, PTSDRI),
        )
    }
)
