"""TensorRT's measurements of kernels, kept between builds."""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from typing import Any

import tensorrt as trt

from vljepa_edge.engines.tensorrt.store import Platform, write_file
from vljepa_edge.support.cache import cache_dir

_log = logging.getLogger(__name__)


class Timings:
    """Those of one platform. They only make builds shorter, so nothing that befalls them ends one."""

    def __init__(self, platform: Platform) -> None:
        words = re.sub(r"\W+", "-", "-".join(map(str, platform.model_dump().values())))
        self._path = cache_dir() / "tensorrt" / f"{words}.timings"
        self._known = b""
        with suppress(OSError):  # the first build here, or a folder that `keep` warns of
            self._known = self._path.read_bytes()

    def use(self, config: trt.IBuilderConfig) -> None:
        """Start from what is known, or from nothing where TensorRT refuses that."""
        for known in (self._known, b""):
            cache: Any = config.create_timing_cache(known)
            if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
                return

    def keep(self, config: trt.IBuilderConfig) -> None:
        """Store what is known now, in one step."""
        cache: Any = config.get_timing_cache()
        if cache is None:
            return
        self._known = bytes(cache.serialize())
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_file(self._path, self._known)
        except OSError as error:
            _log.warning("the next build is no shorter, as TensorRT's timings can't be kept: %s", error)
