"""Fields: name, kind, unit, range or categories."""

import math
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Type of a field's value."""

    NUMBER = "number"
    INTEGER = "integer"
    FLAG = "flag"
    CATEGORY = "category"
    TEXT = "text"
    DATE = "date"


class Group(StrEnum):
    """What part of an assessment a field belongs to."""

    IDENTITY = "identity"
    BACKGROUND = "background"
    SCORE = "score"
    ITEM = "item"
    HISTORY = "history"
    REGIMEN = "regimen"
    SCREENING = "screening"
    FOLLOWUP = "follow-up"


OFFERED_GROUPS = (Group.BACKGROUND, Group.SCORE, Group.HISTORY, Group.REGIMEN)

# Opaque identifiers: no spaces, no @, nothing that a name or an address needs.
TEXT_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$"
DATES_ALLOWED = "a date as YYYY-MM-DD, from 1990 to 2100"
DATE_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field, declared once and used everywhere."""

    name: str
    kind: Kind
    group: Group
    label: str
    # Lowest and highest number accepted, both included.
    low: float = 0
    high: float = 0
    unit: str = ""
    categories: tuple[str, ...] = ()
    # A studied range is rounded outward to it on a card, which should not show one patient's
    # exact value.
    step: float = 1
    # An assessment without it is refused.
    required: bool = False
    help: str = ""
    loinc: str | None = None
    source: str = ""
    # Key of the instrument whose total, item or follow-up it is.
    instrument: str | None = None

    @property
    def numeric(self) -> bool:
        """Whether values are numbers with a range."""
        return self.kind in (Kind.NUMBER, Kind.INTEGER)

    @property
    def allowed(self) -> str:
        """What is accepted, in words."""
        match self.kind:
            case Kind.NUMBER | Kind.INTEGER:
                word = "a whole number" if self.kind is Kind.INTEGER else "a number"
                unit = f" {self.unit}" if self.unit else ""
                return f"{word} from {self.low:g} to {self.high:g}{unit}"
            case Kind.FLAG:
                return "true or false"
            case Kind.CATEGORY:
                return f"one of: {', '.join(self.categories)}"
            case Kind.DATE:
                return DATES_ALLOWED
            case Kind.TEXT:
                return "an opaque code of up to 64 letters, digits, dots, colons or dashes"

    def round_outward(self, low: float, high: float) -> tuple[float, float]:
        """Round a range outward to the field's step: exact ends would be single patients' values.

        Examples
        --------
        >>> age = Field(name="age", kind=Kind.NUMBER, group=Group.BACKGROUND, label="Age",
        ...     high=120, step=10)
        >>> age.round_outward(21.0, 66.0)
        (20.0, 70.0)
        """
        down, up = math.floor(low / self.step), math.ceil(high / self.step)
        return float(max(down * self.step, self.low)), float(min(up * self.step, self.high))
