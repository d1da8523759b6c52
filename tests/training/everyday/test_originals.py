"""The list that is committed: facts about originals, complete, and without anything from a test in training."""

from __future__ import annotations

import csv
import lzma
import re
from collections import Counter
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import vljepa_edge.training.everyday as everyday
from vljepa_edge.errors import InputError
from vljepa_edge.training.everyday.originals import Original, originals
from vljepa_edge.training.everyday.sets import RECIPES, SETS, chosen, recipe_sets, terms
from vljepa_edge.training.everyday.texts import FILES

LIST = Path(everyday.__file__).with_name("originals.csv.xz")
ALL = originals(SETS)


def test_each_set_has_as_many_items_as_it_should() -> None:
    assert Counter((item.set, item.split) for item in ALL) == {
        ("coco", "train2017"): 1354, ("coco", "val2017"): 565,
        ("flickr8k", "train"): 6000, ("flickr8k", "dev"): 1000, ("flickr8k", "test"): 1000, ("flickr8k", "none"): 91,
        ("video_droid", "train"): 384, ("video_droid", "test"): 96,
        ("video_bridge", ""): 46, ("video_openvla", ""): 39, ("video_demo", ""): 5,
    }  # fmt: skip
    droid = [item.split for item in ALL if item.set == "video_droid"]
    assert all((split == "test") == (number % 5 == 0) for number, split in enumerate(droid))


def test_an_item_is_named_by_repository_commit_path_and_hash() -> None:
    for item in ALL:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", item.address.repo)
        assert re.fullmatch("[0-9a-f]{40}", item.address.commit)
        assert re.fullmatch("[0-9a-f]{64}", item.address.sha256)
        assert not Path(item.file).is_absolute() and ".." not in Path(item.file).parts
        assert item.licence
    for file in (file for of_set in FILES.values() for file in of_set):
        assert re.fullmatch("[0-9a-f]{40}", file.address.commit)
        assert re.fullmatch("[0-9a-f]{64}", file.address.sha256)


def test_the_list_holds_addresses_and_no_texts() -> None:
    """What a caption is made of, words with spaces between them, is in no column but those that name something."""
    with lzma.open(LIST, "rt", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert list(rows[0]) == ["set", "file", "repo", "commit", "path", "sha256", "split", "licence", "outcome"]
    assert {row["outcome"] for row in rows} == {"", "success", "failure", "partial success"}
    assert len({row["licence"] for row in rows}) < 20
    assert LIST.stat().st_size < 500_000


def key(item: Original) -> tuple[str, str]:
    """Set and photograph: the number of COCO's, the name that Flickr gave Flickr8k's."""
    return item.set, Path(item.file).stem


def test_no_photograph_or_clip_of_a_test_is_in_training() -> None:
    """By the number or name of the photograph and by the hash of the file, over all sets."""
    tests = [item for item in ALL if item.split in ("val2017", "test")]
    others = [item for item in ALL if item.split not in ("val2017", "test")]
    assert len({key(item) for item in ALL}) == len(ALL)
    assert not {key(item) for item in tests} & {key(item) for item in others}
    assert not {item.address.sha256 for item in tests} & {item.address.sha256 for item in others}


def test_an_address_can_be_asked_for_whatever_the_path_has_in_it() -> None:
    for item in ALL:
        url = urlsplit(item.address.url())
        assert (url.scheme, url.netloc, url.query, url.fragment) == ("https", "raw.githubusercontent.com", "", "")
        assert " " not in url.path
        assert unquote(url.path) == f"/{item.address.repo}/{item.address.commit}/{item.address.path}"


def test_one_recipe_leaves_out_what_is_for_research_only() -> None:
    assert set(RECIPES["tiny"]) == {one for one in SETS if one != "video_demo"}
    assert set(RECIPES["tiny"]) - set(RECIPES["tiny-open"]) == {"flickr8k"}
    assert "research" in terms(RECIPES["tiny"]) and "research" not in terms(RECIPES["tiny-open"])
    assert "CC BY-SA 4.0" in terms(RECIPES["tiny-open"])
    with pytest.raises(InputError, match="one of tiny, tiny-open; got 'large'"):
        recipe_sets("large")


def test_terms_count_the_licences_of_photographs() -> None:
    counts = dict(re.findall(r"(\d+) (unknown|CC BY 2\.0|CC BY-NC-ND 2\.0)", terms(["coco"])))
    assert counts == {"1194": "unknown", "134": "CC BY 2.0", "214": "CC BY-NC-ND 2.0"}


def test_sets_are_chosen_by_name() -> None:
    assert [one.name for one in chosen(["flickr8k", "coco"])] == ["coco", "flickr8k"]
    with pytest.raises(InputError, match=r"one of coco, flickr8k, .*; got 'imagenet'"):
        chosen(["imagenet"])
