"""Meters of power, on trees of files as Linux lays them out. No machine of this project has a meter."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vljepa_edge.support.power import EnergyMeter, PowerMeter, find_rails, saved

pytestmark = pytest.mark.alone


def zone(sysfs: Path, name: str, called: str, energy: object, full: object = 262143328850) -> Path:
    folder = sysfs / "class/powercap" / name
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{called}\n")
    (folder / "max_energy_range_uj").write_text(f"{full}\n")
    (folder / "energy_uj").write_text(f"{energy}\n")
    return folder


def jetson(sysfs: Path) -> Path:
    """The INA3221 of an Orin, as JetPack 6 shows it."""
    folder = sysfs / "class/hwmon/hwmon3"
    folder.mkdir(parents=True)
    files = {"name": "ina3221", "in7_label": "sum of shunt voltages", "in7_input": "40"}
    for number, label, volts, amperes in ((1, "VDD_IN", 5000, 1200), (2, "VDD_CPU_GPU_CV", 5000, 400)):
        files |= {f"in{number}_label": label, f"in{number}_input": str(volts), f"curr{number}_input": str(amperes)}
    for file, text in files.items():
        (folder / file).write_text(f"{text}\n")
    other = sysfs / "class/hwmon/hwmon0"
    other.mkdir()
    (other / "name").write_text("nvme\n")
    (other / "in1_label").write_text("not ours\n")
    return folder


def test_rapl_is_the_energy_between_two_looks(tmp_path: Path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    zone(tmp_path, "intel-rapl:0:0", "dram", 500)
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 7)  # the same counter again
    rails, problem = find_rails(tmp_path)
    assert ([rail.name for rail in rails], problem) == (["package-0", "package-0 dram"], "")
    meter = PowerMeter(rails)
    assert meter.watts == {}
    (package / "energy_uj").write_text("21000000\n")
    meter.step(2.0)
    assert meter.watts == {"package-0": 10.0, "package-0 dram": 0.0}


def test_energy_is_told_of_each_piece_of_work_in_turn(tmp_path: Path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    part = zone(tmp_path, "intel-rapl:0:0", "dram", 500)
    meter = EnergyMeter(find_rails(tmp_path)[0])
    (package / "energy_uj").write_text("3000000\n")
    assert meter.joules() == {"package-0": 2.0, "package-0 dram": 0.0}
    assert meter.joules() == {"package-0": 0.0, "package-0 dram": 0.0}
    (part / "energy_uj").unlink()
    (package / "energy_uj").write_text("3500000\n")
    assert meter.joules() == {"package-0": 0.5}
    assert saved({"package-0": 0.5}, {"package-0": 2.0, "package-0 dram": 1.0}) == {"package-0": 0.75}
    assert saved({"package-0": 0.5}, {"package-0": 0.0}) == {}


def test_the_energy_of_a_jetson_is_its_power_over_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jetson(tmp_path)
    monkeypatch.setattr(time, "monotonic", iter([0.0, 1.0, 3.5]).__next__)
    meter = EnergyMeter(find_rails(tmp_path)[0])
    assert meter.joules()["VDD_IN"] == 6.0
    assert meter.joules() == {"VDD_IN": 15.0, "VDD_CPU_GPU_CV": 5.0}


def test_a_counter_that_is_full_begins_again(tmp_path: Path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0", 99_000_000, full=100_000_000)
    meter = PowerMeter(find_rails(tmp_path)[0])
    (package / "energy_uj").write_text("4000000\n")
    meter.step(1.0)
    assert meter.watts == {"package-0": 5.0}


def test_a_jetson_has_volts_and_amperes(tmp_path: Path) -> None:
    folder = jetson(tmp_path)
    rails, problem = find_rails(tmp_path)
    assert ([rail.name for rail in rails], problem) == (["VDD_IN", "VDD_CPU_GPU_CV"], "")
    meter = PowerMeter(rails)
    meter.step(1.0)
    assert meter.watts == pytest.approx({"VDD_IN": 6.0, "VDD_CPU_GPU_CV": 2.0})
    (folder / "curr1_input").write_text("2400\n")
    (folder / "curr2_input").write_text("-8\n")  # near 0 it reads so
    meter.step(1.0)  # 6 W at its beginning, 12 W at its end
    assert meter.watts == pytest.approx({"VDD_IN": (6 + 9) / 2, "VDD_CPU_GPU_CV": (2 + (2 - 0.04) / 2) / 2})


def test_a_machine_without_meters_has_none(tmp_path: Path) -> None:
    assert find_rails(tmp_path) == ([], "")
    assert find_rails(tmp_path / "nosuch") == ([], "")


@given(text=st.one_of(st.text(max_size=30), st.sampled_from(["", "-5", "nan", "1e9", "0x10", "9" * 25, "1 2"])))
def test_what_is_no_count_is_left_out_and_said(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    sysfs = tmp_path_factory.mktemp("sys")
    folder = zone(sysfs, "intel-rapl:0", "package-0", 0)
    (folder / "energy_uj").write_text(text, "utf-8", newline="", errors="replace")
    rails, problem = find_rails(sysfs)
    is_count = text.strip().isascii() and text.strip().isdigit() and len(text.strip()) < 20
    assert (len(rails), problem) == ((1, "") if is_count else (0, "intel-rapl:0 can't be read"))


def test_a_counter_that_may_not_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 1)
    read = Path.read_text

    def refuse(self: Path, *given: object, **more: object) -> str:
        if self.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return read(self, *given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "read_text", refuse)
    assert find_rails(tmp_path) == ([], "RAPL can be read by root only")


def test_a_rail_that_fails_on_the_way_is_left_out(tmp_path: Path) -> None:
    folder = jetson(tmp_path)
    meter = PowerMeter(find_rails(tmp_path)[0])
    meter.step(1.0)
    (folder / "in2_input").unlink()
    meter.step(1.0)
    assert list(meter.watts) == ["VDD_IN"]


def test_it_looks_by_itself_until_it_is_left(tmp_path: Path) -> None:
    jetson(tmp_path)
    with PowerMeter(find_rails(tmp_path)[0]) as meter:
        deadline = time.monotonic() + 10
        while not meter.watts and time.monotonic() < deadline:
            time.sleep(0.01)
    assert meter.watts == pytest.approx({"VDD_IN": 6.0, "VDD_CPU_GPU_CV": 2.0})
    with PowerMeter([]) as nothing:
        pass
    assert nothing.watts == {}
