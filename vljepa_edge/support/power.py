"""What the machine draws, where it has a meter: RAPL of x86 processors, INA3221 sensors of Jetsons. Linux only.

RAPL counts microjoules in `powercap`; since 2020 only root may read it. An INA3221 has voltages in mV and currents in
mA in `hwmon`, under names such as VDD_IN, which is all that a Jetson module takes. Both are for all of the machine.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

SYSFS = Path("/sys")
_PERIOD = 0.1  # seconds between two looks; RAPL's counters last for minutes at least
_ZONE = re.compile(r"intel-rapl:\d+(?::\d+)?")  # of AMD's processors too


class Rail(Protocol):
    """One thing that is metered."""

    name: str

    def joules(self, seconds: float) -> float:
        """Since the last call, or since it was made, which was so many seconds ago. Raises OSError, ValueError."""


class RaplZone:
    """A counter of energy, which begins at 0 again when it is full."""

    def __init__(self, folder: Path, name: str) -> None:
        """Raises OSError where it can't be read, ValueError where it holds no number."""
        self.name = name
        self._file = folder / "energy_uj"
        self._full = _number(folder / "max_energy_range_uj")
        self._last = _number(self._file)

    def joules(self, seconds: float) -> float:
        """See Rail."""
        now = _number(self._file)
        used, self._last = now - self._last, now
        return (used + self._full if used < 0 else used) / 1e6


class Ina3221Channel:
    """A voltage and a current; the power between two looks is taken as the mean of both."""

    def __init__(self, folder: Path, number: int, name: str) -> None:
        """Raises OSError where it can't be read, ValueError where it holds no number."""
        self.name = name
        self._voltage, self._current = folder / f"in{number}_input", folder / f"curr{number}_input"
        self._last = self._watts()

    def joules(self, seconds: float) -> float:
        """See Rail."""
        before, self._last = self._last, self._watts()
        return (before + self._last) / 2 * seconds

    def _watts(self) -> float:
        return _number(self._voltage) * _number(self._current, "-?") / 1e6  # a current near 0 may read below it


def find_rails(sysfs: Path = SYSFS) -> tuple[list[Rail], str]:
    """Every rail that can be read, and why others can't; "" where there are no others."""
    rails: list[Rail] = []
    problems: list[str] = []
    for folder in sorted((sysfs / "class/powercap").glob("intel-rapl:*")):
        if _ZONE.fullmatch(folder.name):
            try:
                rails.append(RaplZone(folder, _zone_name(folder)))
            except (OSError, ValueError) as error:
                problems.append(_problem(folder, error))
    for folder in sorted((sysfs / "class/hwmon").glob("hwmon*")):
        if _text(folder / "name") != "ina3221":
            continue
        for label in sorted(folder.glob("in*_label")):
            match = re.fullmatch(r"in(\d+)_label", label.name)
            # Beside its channels an INA3221 has the sum of shunt voltages, which has no current.
            if match is None or not (folder / f"curr{match[1]}_input").exists():
                continue
            try:
                rails.append(Ina3221Channel(folder, int(match[1]), _text(label) or label.name))
            except (OSError, ValueError) as error:
                problems.append(_problem(folder, error))
    return rails, "; ".join(dict.fromkeys(problems))


class PowerMeter:
    """Reads rails in a thread for as long as it is entered. One that fails on the way is left out."""

    def __init__(self, rails: list[Rail]) -> None:
        self._joules = {rail.name: 0.0 for rail in rails}
        self._rails = rails
        self._seconds = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="power meter", daemon=True)

    def step(self, seconds: float) -> None:
        """Look at all rails, so many seconds after the last look."""
        self._seconds += seconds
        used = _joules(self._rails, seconds)
        self._joules = {name: self._joules[name] + joules for name, joules in used.items()}

    @property
    def watts(self) -> dict[str, float]:
        """The mean power of each rail so far."""
        return {name: joules / self._seconds for name, joules in self._joules.items()} if self._seconds > 0 else {}

    def __enter__(self) -> PowerMeter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        last = time.monotonic()
        while self._rails:
            ended = self._ended.wait(_PERIOD)
            now = time.monotonic()
            self.step(now - last)
            last = now
            if ended:
                return


class EnergyMeter:
    """Reads rails when it is asked: for work that is done in turns, where RAPL counts by the millisecond and an INA3221
    looks as often as it is set to. One that fails on the way is left out."""

    def __init__(self, rails: list[Rail]) -> None:
        self._rails = rails
        self._last = time.monotonic()

    def joules(self) -> dict[str, float]:
        """What each rail has given since the last call, or since the meter was made."""
        now = time.monotonic()
        seconds, self._last = now - self._last, now
        return _joules(self._rails, seconds)


def saved(spent: Mapping[str, float], without: Mapping[str, float]) -> dict[str, float]:
    """Which share of the energy `without` something it saves, by rail; those that gave nothing are left out."""
    return {name: 1 - spent[name] / joules for name, joules in without.items() if joules > 0 and name in spent}


def _joules(rails: list[Rail], seconds: float) -> dict[str, float]:
    """What each rail has given for so many seconds; one that fails is removed."""
    found: dict[str, float] = {}
    for rail in list(rails):
        try:
            found[rail.name] = found.get(rail.name, 0.0) + rail.joules(seconds)
        except (OSError, ValueError):
            rails.remove(rail)
    return found


def _zone_name(folder: Path) -> str:
    """`package-0`, or `package-0 dram` for a part of one."""
    name = _text(folder / "name") or folder.name
    if folder.name.count(":") < 2:
        return name
    parent = folder.parent / folder.name.rpartition(":")[0]
    return f"{_text(parent / 'name') or parent.name} {name}"


def _problem(folder: Path, error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "RAPL can be read by root only" if "rapl" in folder.name else f"{folder.name}: permission denied"
    return f"{folder.name} can't be read"


def _number(file: Path, sign: str = "") -> float:
    """An integer of sysfs, with what pattern of a sign before it. Raises OSError, ValueError."""
    text = file.read_text("ascii", errors="replace").strip()
    if re.fullmatch(rf"{sign}[0-9]{{1,19}}", text) is None:
        raise ValueError(f"{file} holds no such integer")
    return float(text)


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", errors="replace").strip()
    except OSError:
        return ""
