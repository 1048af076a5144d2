"""Key figures in words: name, formula, unit, and the standard that has the same figure under that name."""

from collections.abc import Mapping
from dataclasses import dataclass

from rotation.language.labels import N_


@dataclass(frozen=True, slots=True)
class FigureWords:
    """A figure's name, unit and formula; `times` turns amount over base into the unit shown with so many `digits`.

    `good` is the direction that is better: 1 up, -1 down, 0 neither. `iso` is its name in ISO 11620, where it stands there.
    """

    name: str
    unit: str
    formula: str
    times: float = 1.0
    digits: int = 1
    good: int = 0
    iso: str = ""


FIGURES: Mapping[str, FigureWords] = {
    "turnover": FigureWords(
        N_("Collection turnover"),
        N_("loans a copy and year"),
        N_("Loans in 365 days ÷ copies held. Where fewer days were seen, they are scaled to a year."),
        digits=2,
        good=1,
        iso="Collection Turnover",
    ),
    "share_on_loan": FigureWords(
        N_("Share on loan"),
        N_("%%"),
        N_("Copies on loan ÷ copies held, lent copies counted where they were lent."),
        100,
        1,
        1,
    ),
    "loans_per_move": FigureWords(
        N_("Loans per move"),
        N_("loans"),
        N_(
            "Mean loans of moved copies − mean loans of copies held back at random,"
            " over the plan's horizon. ± is the interval of 95 in 100."
        ),
        digits=2,
        good=1,
    ),
    "in_transit_days": FigureWords(
        N_("Days in transit"),
        N_("days"),
        N_("Median days from sending to check-in, of journeys that ended in 30 days."),
        good=-1,
    ),
    "holds_wait": FigureWords(
        N_("Holds' wait"),
        N_("days"),
        N_("Median days from the hold to its filling, of holds filled in 30 days."),
        good=-1,
    ),
    "stale_stock": FigureWords(
        N_("Stale stock"),
        N_("%%"),
        N_(
            "Copies on the shelf for 180 days without a loan ÷ copies on the shelf. ISO 11620 counts a year, over all stock."
        ),
        100,
        1,
        -1,
        "Percentage of Stock Not Used",
    ),
    "holdings_per_head": FigureWords(
        N_("Holdings per head"),
        N_("copies"),
        N_("Copies held ÷ residents that the network file counts at its places."),
        digits=3,
    ),
    "coverage": FigureWords(
        N_("Residents within a quarter of an hour"),
        N_("%%"),
        N_(
            "Residents who live within 870 m of an open place ÷ residents: 15 minutes on foot."
            " Where they live is spread around places."
        ),
        100,
        1,
        1,
    ),
    "units_served": FigureWords(
        N_("Townships and villages served"),
        N_("%%"),
        N_("Units with an open place ÷ units of the network file."),
        100,
        1,
        1,
    ),
    "gini": FigureWords(
        N_("Gini of copies per head"),
        "",
        N_(
            "Gini coefficient of copies held per resident between places, by residents: 0 all alike, 1 all copies at one place."
        ),
        digits=3,
        good=-1,
    ),
    "special_shelves": FigureWords(
        N_("Special groups' shelves"),
        N_("%%"),
        N_("Copies on shelves of special groups' classes ÷ their room by the network file."),
        100,
        1,
        1,
    ),
    "cost_per_move": FigureWords(
        N_("Cost per move"),
        N_("%(currency)s"),
        N_("Cost of driven runs ÷ copies received, in 30 days."),
        digits=2,
        good=-1,
    ),
    "cost_per_loan": FigureWords(
        N_("Cost per loan gained"), N_("%(currency)s"), N_("Cost per move ÷ loans per move."), digits=2, good=-1
    ),
    "co2_per_move": FigureWords(
        N_("CO₂ per move"),
        N_("kg"),
        N_("Kilometres driven × the van's CO₂ a kilometre ÷ copies received, in 30 days."),
        digits=3,
        good=-1,
    ),
    "co2_per_loan": FigureWords(
        N_("CO₂ per loan gained"), N_("kg"), N_("CO₂ per move ÷ loans per move."), digits=3, good=-1
    ),
    "visits_per_head": FigureWords(
        N_("Visits per head"),
        N_("visits a year"),
        N_(
            "Visits that the city counted in 12 months ÷ residents; a place that counted in some months is scaled to 12."
        ),
        digits=2,
        good=1,
        iso="Library Visits per Capita",
    ),
    "satisfaction": FigureWords(
        N_("User satisfaction"),
        N_("of 100"),
        N_("Mean of the city's own surveys in 12 months, by answers."),
        good=1,
        iso="User Satisfaction",
    ),
}
SHARE = FigureWords(N_("Share of copies"), N_("%%"), N_("Copies held in the tier ÷ copies held."), 100, 1)
