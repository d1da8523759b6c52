"""The tables: what a row says, and what a bar promises."""

import pytest

from benchmarks.comparison import Comparison, Limit
from benchmarks.flops import Cost
from benchmarks.interleave import Samples
from benchmarks.limits import Limits
from benchmarks.report import Bar, BenchReport, markdown, milliseconds, print_report, rows, table

OURS, PEER = Samples("ours", (2.0, 2.0, 4.0)), Samples("peer", (6.0, 6.0, 12.0))
LIMITS = Limits({("f32", 1): 1e9, ("f32", 2): 2e9, ("int8", 1): 4e9, ("int8", 2): 8e9}, {1: 4e9, 2: 6e9})
MACHINE = {
    "cpu": "A CPU", "cores": 2, "features": ["avx2"], "os": "Linux", "load": 0.1, "python": "3.11",
    "packages": {"numpy": "2"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("ms", "text"), [(12345.0, "12.3 s"), (1000.0, "1 s"), (12.345, "12.3 ms"), (0.5, "500 µs"), (0.0001, "0.1 µs")]
)
def test_durations_take_the_unit_that_suits_them(ms, text):
    assert milliseconds(ms) == text


def test_a_row_has_median_spread_ratio_and_for_ours_the_share_of_the_limit():
    assert rows(Comparison("stage", (OURS, PEER), Limit(0.5, "a bound"))) == [
        ("ours", "2 ms", "2 ms to 3.6 ms", "1", "25%"),
        ("peer", "6 ms", "6 ms to 10.8 ms", "3.00x", ""),
    ]


def test_without_a_limit_there_is_no_share():
    assert Comparison("stage", (OURS,)).share() is None
    assert rows(Comparison("stage", (OURS,)))[0][-1] == ""


def test_a_markdown_table():
    assert table(("a", "b"), [("x", "1")]) == "| a | b |\n| --- | ---: |\n| x | 1 |"


@pytest.mark.parametrize(
    ("measured", "most", "met"), [(9, True, True), (11, True, False), (11, False, True), (9, False, False)]
)
def test_a_bar_is_met_or_missed(measured, most, met):
    bar = Bar("hop", measured, 10, "ms", most)
    assert bar.met is met
    promise, verdict = f"at {'most' if most else 'least'} 10 ms", "met" if met else "**missed**"
    assert bar.row() == ("hop", f"{measured} ms", promise, verdict)


def test_a_graph_is_bound_by_products_or_by_its_weights():
    assert LIMITS.compute_s(Cost(2_000_000, 0, 10), "f32") == pytest.approx(0.002)
    assert LIMITS.read_s(Cost(0, 0, 1_000_000), "f32") == pytest.approx(0.001)
    assert LIMITS.compute_s(Cost(2_000_000), "f32", threads=2) == pytest.approx(0.001)


def test_the_layers_in_int8_are_bound_by_int8():
    half = Cost(2_000_000, weights=10_000, int8_flops=1_000_000, int8_weights=4_000)
    assert LIMITS.compute_s(half, "f32") == pytest.approx(0.00125)
    assert LIMITS.read_s(half, "f32") == pytest.approx(7e-6)


def test_the_document_holds_every_figure_and_names_the_machine(capsys):
    latency = {stage: {"p50": 10.0, "p90": 12.0, "p99": 30.0} for stage in ("hop", "encode", "overhead")}
    hop = {"latency_ms": latency, "hops": 48, "decodes": 3, "realtime": 11.0}
    report = BenchReport(
        "make bench", "2026-01-02", MACHINE, "tiny 1", "a clip", "wall", "f32", LIMITS,
        [Comparison("predictor", (OURS, PEER), Limit(0.5, "1 GFLOP"), ("a note",))],
        [Bar("a hop, p50", 10, 25, "ms")], hop,
    )  # fmt: skip
    text = markdown(report)
    for expected in (
        "`make bench` on 2026-01-02", "A CPU, 2 cores (avx2)", "| **ours** | 2 ms | 2 ms to 3.6 ms | 1 | 25% |",
        "| peer | 6 ms |", "| a hop, p50 | 10 ms | at most 25 ms | met |", "* a note", "Limit: 500 µs (1 GFLOP).",
        "| matrix products, f32 | 1 GOP/s | 2 GOP/s |", "| memory | 4.0 GB/s | 6.0 GB/s |", "11.0x",
    ):  # fmt: skip
        assert expected in text
    print_report(report)
    printed = capsys.readouterr().out
    assert "peer" in printed
    assert "3.00x" in printed
