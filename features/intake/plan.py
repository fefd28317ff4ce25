"""The plan of a mapping: which tables there are, and how they become one row per course.

docs/reference/mappings.md has the whole language.
"""

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from features.base.errors import Problem, join_broken
from features.dictionary.dictionary import Dictionary
from features.dictionary.horizon import HORIZONS
from features.intake.account import SINGLE
from features.sources.source_form import SourceForm

BASELINE = "baseline"
IGNORED = "ignore"
# Days that readings are usually planned for; a choice, stated in docs/explanation/windows.md.
TARGETS = {"day1": 1.0, "week1": 7.0, "week2": 14.0, "acute": 28.0, "week12": 84.0, "month6": 182.0}
BASELINE_DAYS = 14.0

Words = Mapping[str, str]
Texts = tuple[str, ...]
Row = Literal["patient", "course", "visit", "dose", "entry", "alone"]
Choice = Literal["nearest", "first", "last"]


class Section(BaseModel):
    """Base of the plan's sections: frozen, nothing extra."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class TableSection(SourceForm):
    """One table: where it lies, what a row of it is, and what its columns say."""

    file: str | None = None
    row: Row | None = None
    patient: str | None = None
    course: str | None = None
    visit: str | None = None
    at: str | None = None
    day: str | None = None
    week: str | None = None
    date: str | None = None
    first_day: Literal[0, 1] = 0
    instrument: str | None = None
    score: str | None = None
    item: str | None = None
    value: str | None = None
    where: Mapping[str, Texts] = Field(default_factory=dict)
    columns: Texts | None = None
    rename: Words = Field(default_factory=dict)
    ignore: Texts = ()
    lacking: Literal["refuse", "aside", "keep"] | None = None
    duplicates: Literal["refuse", "first", "last"] = "refuse"

    @model_validator(mode="after")
    def _check_table(self) -> Self:
        rules = {
            "score needs instrument": self.score is None or self.instrument is not None,
            "item and value come together": (self.item is None) == (self.value is None),
            "score or item and value, not both": self.score is None or self.item is None,
            "instrument needs score, or item and value": self.instrument is None or self.is_long,
            "a table of doses needs date": self.row != "dose" or self.date is not None,
            "one of visit and at": self.visit is None or self.at is None,
            "one of day, week and date": sum(
                key is not None for key in (self.day, self.week, self.date)
            )
            <= 1,
            "visit, at, day or week belong to a table of visits": self.kind in ("visit", "entry")
            or not any((self.visit, self.at, self.day, self.week)),
            "a table of visits needs visit, at, day, week or date": self.kind != "visit"
            or bool(self.times),
        }
        if broken := join_broken(rules):
            raise ValueError(broken)
        return self

    @property
    def is_long(self) -> bool:
        """Whether a row is one score or one item, named by its columns."""
        return self.score is not None or self.item is not None

    @property
    def times(self) -> list[str]:
        """What says when a row was recorded."""
        return [key for key in (self.visit, self.at, self.day, self.week, self.date) if key]

    @property
    def kind(self) -> Row:
        """What a row is, also if the mapping leaves it to the other keys."""
        if self.row is not None:
            return self.row
        if self.is_long or self.times:
            return "visit"
        return "course" if self.course is not None else "patient"

    @property
    def for_lacking(self) -> str:
        """What happens to patients of other tables who are not in this one."""
        return self.lacking or ("keep" if self.kind in ("visit", "entry", "alone") else "refuse")

    @property
    def keys(self) -> list[str]:
        """The columns that the section names, in the file's words; not those of values."""
        names = (self.patient, self.course, self.visit, self.day, self.week, self.date)
        long = (self.instrument, self.score, self.item, self.value)
        return [name for name in (*names, *long, *self.where) if name is not None]


class FirstDose(Section):
    """Where the date of a course's first dose is."""

    column: str
    table: str | None = None
    lacking: Literal["refuse", "aside"] = "refuse"


class Window(Section):
    """Which readings of a horizon count, in days after the first dose, and which of them is read.

    `within_days` is for the baseline, the other bounds are for horizons.
    """

    within_days: Annotated[float, Field(ge=0, le=3650)] | None = None
    earliest: Annotated[float | None, Field(alias="from")] = None
    latest: Annotated[float | None, Field(alias="to")] = None
    target: float | None = None
    choose: Choice | None = None


class Courses(Section):
    """How doses are split into courses."""

    gap_days: Annotated[float, Field(gt=0, le=3650)]


class Length(Section):
    """A column, or two, with a length or weight."""

    unit: Literal["cm", "m", "in", "ft+in", "kg", "lb", "g"]
    column: str | None = None
    columns: Texts = ()

    @property
    def sources(self) -> Texts:
        """The columns read."""
        return (self.column,) if self.column is not None else self.columns

    @model_validator(mode="after")
    def _check_sources(self) -> Self:
        wanted = 2 if self.columns else 1
        if len(self.sources) != wanted or (self.columns and self.unit != "ft+in"):
            raise ValueError("column, or for ft+in columns = [feet, inches]")
        return self


_RULES = (
    *("years_since", "months_since", "weeks_since", "days_since", "date_of", "height", "count"),
    *("any", "checked", "sum", "first"),
)


class Derivation(Section):
    """How one field is derived: exactly one rule, with what refines it."""

    years_since: str | None = None
    months_since: str | None = None
    weeks_since: str | None = None
    days_since: str | None = None
    until: str | None = None
    date_of: Literal["baseline", "first_dose"] | None = None
    height: Length | None = None
    weight: Length | None = None
    count: str | None = None
    where: Mapping[str, Texts] = Field(default_factory=dict)
    distinct: str | None = None
    any: Texts = ()
    checked: Texts = ()
    sum: Texts = ()
    blank: Literal[0] | None = None
    first: Texts = ()

    @model_validator(mode="after")
    def _check_rule(self) -> Self:
        rules = [name for name in _RULES if getattr(self, name)]
        since = rules[:1] != [] and rules[0].endswith("_since")
        kept = {
            f"exactly one of {', '.join(_RULES)}": len(rules) == 1,
            "height and weight come together": (self.height is None) == (self.weight is None),
            "until goes with …_since and count": self.until is None or since or bool(self.count),
            "where and distinct go with count": bool(self.count)
            or not (self.where or self.distinct),
            "blank goes with sum": self.blank is None or bool(self.sum),
        }
        kept["height is in cm, m, in or ft+in, weight in kg, lb or g"] = self.height is None or (
            self.height.unit in ("cm", "m", "in", "ft+in")
            and (self.weight is None or self.weight.unit in ("kg", "lb", "g"))
        )
        if broken := join_broken(kept):
            raise ValueError(broken)
        return self

    @property
    def rule(self) -> str:
        """The name of its rule."""
        return next(name for name in _RULES if getattr(self, name))

    @property
    def since(self) -> str | None:
        """The column from whose date time is counted."""
        return self.years_since or self.months_since or self.weeks_since or self.days_since

    @property
    def patterns(self) -> Texts:
        """The columns whose cells it is made of; stars allowed in those of boxes and sums."""
        lengths = [part.sources for part in (self.height, self.weight) if part is not None]
        single = tuple(name for sources in lengths for name in sources)
        return (
            *self.dates,
            *self._dated_until,
            *single,
            *self.any,
            *self.checked,
            *self.sum,
            *self.first,
        )

    @property
    def dates(self) -> Texts:
        """The column from whose date time is counted, which may be a birth date."""
        return () if self.since is None else (self.since,)

    @property
    def counted(self) -> Texts:
        """The column of which different texts are counted."""
        return () if self.distinct is None else (self.distinct,)

    @property
    def _dated_until(self) -> Texts:
        known = (None, "assessed_on", BASELINE, "first_dose")
        return () if self.until is None or self.until in known else (self.until,)


class Plan(SourceForm):
    """What a mapping says of tables, visits, courses and derived fields."""

    rename: Words = Field(default_factory=dict)
    ignore: Texts = ()
    missing: Texts = ()
    tables: Mapping[str, TableSection] = Field(default_factory=dict)
    visits: Words = Field(default_factory=dict)
    instruments: Words = Field(default_factory=dict)
    items: Words = Field(default_factory=dict)
    horizons: Texts | None = None
    overlaps: Literal["one", "both"] = "one"
    first_dose: FirstDose | None = None
    windows: Mapping[str, Window] = Field(default_factory=dict)
    courses: Courses | None = None
    derive: Mapping[str, Derivation] = Field(default_factory=dict)

    @property
    def is_plain(self) -> bool:
        """Whether a file is one row per course already, with nothing to derive or expand."""
        stars = any("*" in name for name in (*self.rename, *self.ignore))
        return not (self.tables or self.derive or stars)

    def list_tables(self) -> Mapping[str, TableSection]:
        """List the tables; one whose rows stand alone if none is declared."""
        return self.tables or {SINGLE: TableSection(row="alone")}

    def get_form(self, table: str) -> SourceForm:
        """Return how a table's file is written: the table's own keys, else the mapping's."""
        # Only keys that are set: a form refuses those that do not apply to the file.
        keys: dict[str, Any] = {}
        for part in (self, self.list_tables()[table]):
            own = part.model_fields_set & SourceForm.model_fields.keys()
            keys |= {key: getattr(part, key) for key in own}
        return SourceForm(**keys)

    def list_horizons(self) -> list[str]:
        """List the horizons that are read, in their order."""
        return [key for key in HORIZONS if self.horizons is None or key in self.horizons]

    def get_window(self, horizon: str) -> tuple[float, float, float, Choice]:
        """Return a horizon's first and last day, its target day and which reading is read."""
        window, own = HORIZONS[horizon], self.windows.get(horizon, Window())
        low = window.earliest_days if own.earliest is None else own.earliest
        high = window.latest_days if own.latest is None else own.latest
        target = TARGETS[horizon] if own.target is None else own.target
        return low, high, min(max(target, low), high), own.choose or "nearest"

    def get_baseline(self) -> tuple[float, Choice]:
        """Return how many days before the first dose are baseline, and which reading is read."""
        own = self.windows.get(BASELINE, Window())
        days = BASELINE_DAYS if own.within_days is None else own.within_days
        return days, own.choose or "last"


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Return whether a name is one of some names, in which a star stands for any letters."""
    return any(name == pattern or ("*" in pattern and _fits(name, pattern)) for pattern in patterns)


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern.replace("[", "[[]").replace("?", "[?]"))


def translate_name(name: str, words: Words) -> str:
    """Translate a name by words, in which one star stands for the same letters on both sides.

    Examples
    --------
    >>> translate_name("phq9_w6_3", {"phq9_w6_*": "phq9_*_acute"})
    'phq9_3_acute'
    """
    if name in words:
        return words[name]
    for theirs, ours in words.items():
        start, star, end = theirs.partition("*")
        fits = star and name.startswith(start) and name.endswith(end)
        if fits and len(name) >= len(start) + len(end):
            return ours.replace("*", name[len(start) : len(name) - len(end)])
    return name


def check_plan(plan: Plan, dictionary: Dictionary) -> Iterator[Problem]:
    """Find sections that contradict, or that name what does not exist."""
    slots = (BASELINE, *HORIZONS)
    allowed = f"must be one of: {', '.join((*slots, IGNORED))}"
    words = {f"visits.{word}": slot for word, slot in plan.visits.items()}
    words |= {f"tables.{name}.at": table.at for name, table in plan.tables.items() if table.at}
    for label, slot in words.items():
        if slot not in (*slots, IGNORED):
            yield Problem(label, "category", allowed)
    for word, key in plan.instruments.items():
        if key not in dictionary.instruments and key != IGNORED:
            known = ", ".join((*dictionary.instruments, IGNORED))
            yield Problem(f"instruments.{word}", "category", f"must be one of: {known}")
    for name in plan.horizons or ():
        if name not in HORIZONS:
            yield Problem(f"horizons: {name}", "category", f"must be among: {', '.join(HORIZONS)}")
    yield from _check_sections(plan, dictionary)
    for name, window in plan.windows.items():
        yield from _check_window(name, window, slots)


def _check_sections(plan: Plan, dictionary: Dictionary) -> Iterator[Problem]:
    names: dict[str, Any] = {
        "visits": plan.visits,
        "instruments": plan.instruments,
        "items": plan.items,
        "windows": plan.windows,
        "first_dose": plan.first_dose,
        "courses": plan.courses,
    }
    for name in (name for name, section in names.items() if section and not plan.tables):
        yield Problem(name, "tables", "needs [tables.…] that say which columns it is about")
    for name, rule in plan.derive.items():
        if name not in dictionary.fields:
            yield Problem(f"derive.{name}", "unknown", "not a field of an assessment")
        if rule.count is not None and rule.count not in plan.tables:
            yield Problem(f"derive.{name}.count", "unknown", "must be one of the tables")
    if plan.first_dose and plan.first_dose.table not in (None, *plan.tables):
        yield Problem("first_dose.table", "unknown", "must be one of the tables")
    numbered = [name for name, table in plan.tables.items() if table.course is not None]
    dosed = [name for name, table in plan.tables.items() if table.kind == "dose"]
    if plan.courses and numbered:
        message = f"the courses come from gap_days, or from the column of {', '.join(numbered)}"
        yield Problem("courses.gap_days", "duplicate", message)
    if plan.courses and not dosed:
        yield Problem("courses.gap_days", "tables", 'needs a table with `row = "dose"`')


def _check_window(name: str, window: Window, slots: tuple[str, ...]) -> Iterator[Problem]:
    label = f"windows.{name}"
    if name not in slots:
        yield Problem(label, "category", f"must be one of: {', '.join(slots)}")
        return
    bounds = (window.earliest, window.latest, window.target)
    if name == BASELINE:
        if any(bound is not None for bound in bounds):
            yield Problem(label, "form", "takes within_days and choose alone")
        return
    horizon = HORIZONS[name]
    low, high = horizon.earliest_days, horizon.latest_days
    if window.within_days is not None:
        yield Problem(label, "form", "within_days belongs to the baseline; here: from, to, target")
    inside = all(bound is None or low <= bound <= high for bound in bounds)
    if not inside or (window.earliest or low) > (window.latest or high):
        message = f"must lie within the horizon's own {low:g} to {high:g} days, from before to"
        yield Problem(label, "range", message)
