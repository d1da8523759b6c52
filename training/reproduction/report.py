"""An experiment's figures beside the paper's, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from vljepa_edge.training.reproduction.experiment import Arm, Experiment, Results, column


def missing(experiment: Experiment, results: Results, seeds: Sequence[int]) -> list[str]:
    """The arms with their seeds that have no result yet."""
    lacking = [(arm.name, [seed for seed in seeds if seed not in results.get(arm.name, {})]) for arm in experiment.arms]
    return [f"{name} (seed {', '.join(map(str, own))})" for name, own in lacking if own]


def as_dict(experiment: Experiment, results: Results, seeds: Sequence[int]) -> dict[str, Any]:
    """As JSON values."""
    verdict = experiment.judge(results)
    return {
        "experiment": experiment.name, "section": experiment.section, "claim": experiment.claim,
        "rule": experiment.rule, "verdict": verdict.outcome, "why": list(verdict.why), "seeds": list(seeds),
        "missing": missing(experiment, results, seeds), "figures": dict(experiment.figures),
        "notes": list(experiment.notes),
        "arms": [
            {"arm": arm.name, "title": arm.title, "paper": dict(arm.paper), "figures": _figures(arm, results)}
            for arm in experiment.arms
        ],
    }  # fmt: skip


def _figures(arm: Arm, results: Results) -> dict[str, dict[str, Any]]:
    """By figure mean, least, most, and the values by seed."""
    seeds = results.get(arm.name, {})
    names = list(dict.fromkeys(name for own in seeds.values() for name in own))
    found = {}
    for name in names:
        values = column(seeds, name)
        by_seed = {str(seed): seeds[seed][name] for seed in sorted(seeds) if name in seeds[seed]}
        found[name] = {"mean": float(values.mean()), "min": float(values.min()), "max": float(values.max()),
                       "by_seed": by_seed}  # fmt: skip
    return found


def head(experiment: Experiment) -> list[str]:
    """Names of the table's columns."""
    papers = [name for name in experiment.figures if any(name in arm.paper for arm in experiment.arms)]
    return ["arm", *experiment.figures, *(f"paper: {name}" for name in papers), "seeds"]


def rows(experiment: Experiment, results: Results) -> Iterator[list[str]]:
    """A row an arm: means with the least and the most of the seeds, and the paper's figures."""
    columns = head(experiment)
    for arm in experiment.arms:
        seeds = results.get(arm.name, {})
        papers = [name.removeprefix("paper: ") for name in columns if name.startswith("paper: ")]
        yield [
            arm.title,
            *(_spread(seeds, name) for name in experiment.figures),
            *(f"{arm.paper[name]:.1f}" if name in arm.paper else "" for name in papers),
            str(len(seeds)),
        ]


def _spread(seeds: Mapping[int, Mapping[str, float]], figure: str) -> str:
    values = column(seeds, figure)
    if not len(values):
        return "-"
    return f"{values.mean():.1f}" + (f" ({values.min():.1f} to {values.max():.1f})" if len(values) > 1 else "")


class Closing(NamedTuple):
    """What stands below the table. why: the figures that decide it, a line each. lacking: empty where all is there."""

    claim: str
    rule: str
    verdict: str
    why: tuple[str, ...]
    lacking: str

    def __str__(self) -> str:
        """A line each, for a terminal."""
        lines = [self.claim, self.rule, self.verdict, *(f"* {line}" for line in self.why), self.lacking]
        return "\n".join(line for line in lines if line)


def closing(experiment: Experiment, results: Results, seeds: Sequence[int]) -> Closing:
    """The claim, the rule, the verdict and why, and what is missing."""
    verdict, lacking = experiment.judge(results), missing(experiment, results, seeds)
    return Closing(
        f"The paper's claim ({experiment.section}): {experiment.claim}",
        f"The rule, set {experiment.rule_set}: {experiment.rule}",
        verdict.line(),
        verdict.why,
        f"Not measured yet: {'; '.join(lacking)}." if lacking else "",
    )


def markdown(experiment: Experiment, results: Results, seeds: Sequence[int], picture: str) -> str:
    """The page of docs/reproduction. picture: the file beside it."""
    columns = head(experiment)
    end = closing(experiment, results, seeds)
    why = "\n".join(f"* {line}" for line in end.why)
    table = [
        f"| {' | '.join(columns)} |", f"|---|{'---:|' * (len(columns) - 1)}",
        *(f"| {' | '.join(row)} |" for row in rows(experiment, results)),
    ]  # fmt: skip
    notes = "\n".join(f"* {note}" for note in experiment.notes)
    meanings = "\n".join(f"* {name}: {what}." for name, what in experiment.figures.items())
    command = f"```bash\nvljepa reproduce {experiment.name} --out docs/reproduction\n```"
    parts = [
        f"# {experiment.name}", end.claim, end.rule, f"**{end.verdict}**", why, end.lacking, command, "\n".join(table),
        meanings, f"![{experiment.name}]({picture})", notes,
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"
