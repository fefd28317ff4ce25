"""Instability: how far estimates would have been others, had other patients come."""

from markupsafe import Markup

from training.findings.findings import Findings, InstabilityFacts
from training.report.html.figure import Figure
from training.report.html.numbers import show_count, show_points, show_share
from training.report.html.svg import Scale, draw, draw_across, draw_key, draw_line, draw_up, frame
from training.report.html.table import Table, make_table

HEADING = "How far would estimates be others, had other patients come?"
X = Scale(0, 1, 44, 378)
Y = Scale(0, 1, 400, 56)
HEIGHT = 440
END = 4


def draw_instability(findings: Findings) -> Figure:
    """Draw each band's estimate against the limits of its versions."""
    facts = findings.instability
    if facts is None or not facts.versions:
        caption = Markup("Not measured: the model was not developed again on resampled patients.")
        return Figure("instability", HEADING, caption)
    if not facts.bands:
        return Figure("instability", HEADING, caption_instability(facts))
    return Figure(
        "instability", HEADING, caption_instability(facts), (draw_bands(facts),), (tabulate(facts),)
    )


def draw_bands(facts: InstabilityFacts) -> Markup:
    """Draw a bar for each band, and its estimate on the diagonal."""
    drawn = []
    for band in facts.bands:
        x, low, high = X.place(band.estimate), Y.place(band.low), Y.place(band.high)
        drawn += [
            draw("line", x1=x, x2=x, y1=low, y2=high, class_="whisker"),
            *(draw("line", x1=x - END, x2=x + END, y1=y, y2=y, class_="whisker")
              for y in (low, high)),
            draw("circle", cx=x, cy=Y.place(band.estimate), r=3.5, class_="mark"),
        ]  # fmt: skip
    return frame(
        "instability-drawing",
        "Instability of estimates",
        "For courses with estimates near each other, the limits between which versions of the "
        "model lie.",
        HEIGHT,
        draw_key([("whisker", "limits of the versions"), ("ideal", "the estimate itself")]),
        draw_across(X, Y.start, Y.end, "estimate"),
        draw_up(Y, X.start, X.end, "what versions of the model say"),
        draw_line([(X.start, Y.start), (X.end, Y.end)], "ideal"),
        *drawn,
    )


def caption_instability(facts: InstabilityFacts) -> Markup:
    """Say how to read it."""
    told = [
        Markup(
            "{} versions of the model ({}) were asked about the patients at hand. Each bar holds "
            "the middle {} of what they say of patients with about the same estimate; short bars "
            "are good."
        ).format(show_count(facts.versions), facts.method, show_share(facts.level))
    ]
    if facts.error is not None:
        told.append(Markup("On average a version differs by {}.").format(show_points(facts.error)))
    if facts.threshold is not None and facts.flips is not None:
        told.append(
            Markup("At a threshold of {}, {} of the decisions would be the other way.").format(
                show_share(facts.threshold), show_share(facts.flips)
            )
        )
    return Markup(" ").join(told)


def tabulate(facts: InstabilityFacts) -> Table:
    """List the bands."""
    return make_table(
        "Courses by their estimate",
        ["Mean estimate", "Courses", "Versions from", "to", "Mean difference"],
        (
            [
                show_share(band.estimate, 1),
                show_count(band.courses),
                show_share(band.low, 1),
                show_share(band.high, 1),
                show_points(band.error),
            ]
            for band in facts.bands
        ),
    )
