"""The table of packages, and what is in them where they are already in the cache (nothing is downloaded here)."""

from __future__ import annotations

import re

import pytest

from vljepa_edge.support.assets import archive_path
from vljepa_edge.training.tiny import assets

in_cache = pytest.mark.skipif(
    not all(archive_path(asset).is_file() for asset in assets.ASSETS), reason="the packages are not in the cache"
)


@pytest.mark.parametrize("asset", assets.ASSETS, ids=lambda asset: asset.name)
def test_every_package_is_pinned_and_licensed(asset: assets.Asset) -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", asset.sha256)
    assert asset.size > 0 and asset.licence and asset.source.startswith("https://") and asset.files
    assert asset.filename.lower().replace("-", "_").startswith(asset.name.replace("-", "_"))
    assert asset.version in re.split("[-_]", asset.filename.replace("%3a", ":"))[1:] or (
        f"_{asset.version}_" in asset.filename.replace("%3a", ":")
    )


@in_cache
def test_imagenet_labels_are_in_the_order_of_the_logits() -> None:
    labels = assets.imagenet_labels()
    assert len(labels) == 1000
    assert {0: "tench", 281: "tabby", 207: "golden retriever", 817: "sports car", 999: "toilet tissue"}.items() <= dict(
        enumerate(labels)
    ).items()


@in_cache
def test_every_part_is_where_its_function_says() -> None:
    assert {"config.json", "tokenizer.json", "model.safetensors"} <= {p.name for p in assets.minilm_dir().iterdir()}
    assert assets.efficientnet_lite0_weights().stat().st_size == 18_826_032
    assert assets.smollm2_gguf().read_bytes()[:4] == b"GGUF"
    assert sum(1 for _ in assets.stamps_dir().rglob("*.png")) > 700
    assert all(any(folder.rglob("*.jpg")) for folder in assets.background_dirs())
    assert all(path.stat().st_size > 100_000 for path in assets.videos().values())
