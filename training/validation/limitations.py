"""Limitations: what a reader must bear in mind, told from the findings themselves."""

from collections.abc import Iterator

from training.findings.findings import Findings

# Chosen: with fewer, calibration curves and subgroups say little (Van Calster et al., J Clin
# Epidemiol 2016, recalled, ask for two hundred of either class).
ENOUGH_EVENTS = 200
MUCH_MISSING = 0.2


def list_limitations(found: Findings) -> Iterator[str]:
    """List what limits the findings, in plain sentences."""
    yield (
        "An estimate is a prognosis if treated. Nobody untreated was studied: it says nothing of "
        "what treatment adds, and is no ground to refuse it."
    )
    if found.simulated:
        yield "The patients are simulated: nothing here holds for anybody."
    yield from describe_size(found)
    yield from describe_absence(found)
    yield from describe_ways(found)
    if found.profile == "quick":
        yield (
            "This is the quick profile: re-developments held what the chosen candidate had chosen, "
            "so the optimism of choosing is not in the corrected figures."
        )
    small = [row for row in found.subgroups if row.ratio is None]
    if small:
        yield (
            f"{len(small)} of {len(found.subgroups)} subgroups have too few courses to say "
            "anything of them."
        )


def describe_size(found: Findings) -> Iterator[str]:
    """Say what few courses mean."""
    rarer = min(found.events, found.courses - found.events)
    if found.courses and rarer < ENOUGH_EVENTS:
        yield (
            f"The rarer of the two outcomes has {rarer} courses: curves, subgroups and single "
            f"sites are read with their intervals, or not at all below {ENOUGH_EVENTS}."
        )
    size = found.sample_size
    if size is not None and size.binding is not None and "too few" in size.verdict:
        yield f"For a model without shrinkage, {size.verdict}"


def describe_absence(found: Findings) -> Iterator[str]:
    """Say what missing outcomes mean."""
    gaps = found.attrition
    if gaps is None or not gaps.missing:
        return
    share = gaps.missing / gaps.courses
    much = " Base rate and calibration hang on it: see the table." if share > MUCH_MISSING else ""
    yield (
        f"{gaps.missing} of {gaps.courses} courses lack the outcome. The figures assume: "
        f"{gaps.assumption}.{much}"
    )


def describe_ways(found: Findings) -> Iterator[str]:
    """Say which ways of testing are missing."""
    if found.purpose == "external":
        yield from describe_external(found)
        return
    if found.find_performance("sites") is None:
        yield "No site was held out: how it does at a clinic never seen is not known."
    if found.find_performance("temporal") is None:
        yield "The latest courses were not held out: whether it keeps is not known."
    yield "Nobody outside the study has validated it: performance elsewhere is likely to be lower."


def describe_external(found: Findings) -> Iterator[str]:
    """Say what validation on one cohort leaves open."""
    yield (
        "That the model did not learn from these courses is known from the digests of whole "
        "cohorts alone: patients who are in both would not be noticed."
    )
    yield "Estimates that the service would withhold for too little evidence were tested, too."
    if found.instability is not None and found.instability.versions:
        yield (
            f"Instability and thin lines are those of the {found.instability.versions} versions "
            f"stored with the model ({found.card.interval.method}): nothing was developed again "
            "here."
        )
