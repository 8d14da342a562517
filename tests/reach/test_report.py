"""The report: one page that holds together, whose numbers are all in the JSON, and that says what it could not do."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import h5py
import pytest
from reach_analysis.cli import main
from reach_analysis.report.papers import (
    BETTER,
    DIFFERS,
    OPEN,
    REPLICATES,
    Claim,
    Facts,
    check,
    citations,
    claims,
    judge,
)
from reach_analysis.studies.section import Cell, Column, Fact, interval, number, p_text, table
from reach_analysis.synthetic.emg import EmgSettings
from reach_analysis.verbs import STUDIES
from synthetic.emg import write_emg
from synthetic.reach import ReachSettings, write_reaches
from synthetic.walk import WalkSettings, write_walks

QUICK = (
    "studies={pca:{resamples:0,layers:[latent_mean,decoder/layer_2]},similarity:{layers:[latent_mean],draws:39},"
    "synergies:{largest:3,folds:3},errors:{resamples:100},emg:{resamples:100,signals:[act]},"
    "spectra:{resamples:100,low_hz:50},comparison:{resamples:100},coupling:{permutations:19,samples:3,sizes:[2,5],"
    "joints:[elbow]},forecast:{permutations:19,surrogates:0,resamples:100,folds:3,"
    "E:[2],tau:[-1],nonlinear:false}}"
)
WITHOUT_MUSCLES = "studies={errors:{resamples:100},gait:{resamples:100},spectra:{resamples:100}}"
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class Page(HTMLParser):
    """What the tests look at in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not {"style", "pre"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def attributes(self, name: str) -> list[str]:
        return [attributes[name] for _, attributes in self.tags if name in attributes]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two controllers of the same reaches, their EMG, and a walk."""
    lab = tmp_path_factory.mktemp("lab")
    write_reaches(lab / "joint_only.h5", ReachSettings(n_trials=6, chatter=0.3, seed=1))
    truth = write_reaches(lab / "physics_aware.h5", ReachSettings(n_trials=6, seed=1))
    write_emg(lab, truth.activation, {"biceps": "biceps_long", "triceps": "triceps_lateral"}, EmgSettings())
    write_walks(lab / "walk.h5", WalkSettings(n_clips=5, duration_s=3.0, hazard_per_s=0.3, seed=2))
    with h5py.File(lab / "walk.h5", "r+") as file:
        names: Any = file["clip_name"]
        names[0] = "<script>alert(1)</script>"  # names in files are no part of the page's language
    for name in ("joint_only", "physics_aware"):
        with h5py.File(lab / f"{name}.h5", "r+") as file:
            file.attrs["model_name"] = "mouse_arm"  # so that the claims about it are looked at
    return lab


def pair_arguments(folder: Path) -> list[str]:
    return [
        f"rollouts={{joint_only:{folder}/joint_only.h5,physics_aware:{folder}/physics_aware.h5}}",
        f"emg={{biceps:{folder}/emg_biceps.csv,triceps:{folder}/emg_triceps.csv}}",
        f"trials={folder}/trials.csv",
        QUICK,
    ]


@pytest.fixture(scope="module")
def pair(folder: Path) -> Path:
    assert main(["report", *pair_arguments(folder), f"out={folder}/pair"]) == 0
    return folder / "pair"


@pytest.fixture(scope="module")
def walk(folder: Path) -> Path:
    assert main(["report", f"rollouts={folder}/walk.h5", WITHOUT_MUSCLES, f"out={folder}/walk"]) == 0
    return folder / "walk"


def page_of(report: Path) -> Page:
    return Page((report / "report.html").read_text(encoding="utf-8"))


def numbers_of(report: Path) -> dict[str, Any]:
    return json.loads((report / "report.json").read_text(encoding="utf-8"))


def every_number(value: Any) -> set[float]:
    """All numbers in a JSON, keys that are numbers among them."""
    if isinstance(value, dict):
        keys = {float(key) for key in value if re.fullmatch(r"-?[\d.]+", key)}
        return keys.union(*(every_number(entry) for entry in value.values()))
    if isinstance(value, list):
        return set[float]().union(*(every_number(entry) for entry in value))
    return {float(value)} if isinstance(value, int | float) else set()


@pytest.mark.parametrize("name", [pytest.param("pair", marks=pytest.mark.slow), "walk"])
def test_the_page_asks_nothing_of_the_network(name: str, request: pytest.FixtureRequest) -> None:
    report = request.getfixturevalue(name)
    text = (report / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    for name in ("href", "xlink:href", "srcset", "action"):
        assert all(value.startswith("#") for value in page.attributes(name))
    assert all((report / unquote(value)).is_file() for value in page.attributes("src"))
    assert "url(" not in text
    assert "@import" not in text
    assert not re.findall(r"https?://", text)


@pytest.mark.slow
def test_ids_are_unique_and_every_link_resolves(pair: Path) -> None:
    text = (pair / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    wanted = {v[1:] for name in ("href", "xlink:href") for v in page.attributes(name) if v.startswith("#")}
    wanted |= set(page.attributes("aria-labelledby"))
    assert wanted <= set(ids)
    sections = [attributes["id"] for tag, attributes in page.tags if tag == "section"]
    linked = [attributes["href"][1:] for tag, attributes in page.tags if tag == "a" and "aria-label" not in attributes]
    assert (
        linked == sections == ["inputs", *(key for key, row in STUDIES.items() if not row.extra), "papers", "reading"]
    )


@pytest.mark.slow
def test_every_figure_is_in_the_page_and_beside_it_with_a_caption_that_says_how_many(pair: Path) -> None:
    text = (pair / "report.html").read_text(encoding="utf-8")
    drawn = [attributes for tag, attributes in Page(text).tags if tag == "img"]
    assert len(text.encode()) < 3e6
    files = {path.suffix: 0 for path in (pair / "figures").iterdir()}
    for path in (pair / "figures").iterdir():
        files[path.suffix] += 1
        assert path.stat().st_size > 1000
    assert files == {".svg": len(drawn), ".png": len(drawn)}
    for image in drawn:
        root = ElementTree.fromstring((pair / unquote(image["src"])).read_bytes())
        assert float(root.attrib["width"].removesuffix("pt")) == pytest.approx(0.75 * float(image["width"]), abs=0.5)
        assert len(list(root.iter())) > 20
        assert image["loading"] == "lazy"
    captions = re.findall(r"<figcaption[^>]*>(.*?)</figcaption>", text, re.DOTALL)
    assert len(captions) == len(drawn)
    assert all(re.search(r"n = \d+|\d+ (trials|episodes)|Single trials", caption) for caption in captions)
    assert not re.search(r"\bnan\b", page_of(pair).text, re.IGNORECASE)


@pytest.mark.parametrize("name", [pytest.param("pair", marks=pytest.mark.slow), "walk"])
def test_every_number_in_a_table_stands_in_the_json(name: str, request: pytest.FixtureRequest) -> None:
    report = request.getfixturevalue(name)
    known = every_number(numbers_of(report))
    shown = {float(value) for cell in page_of(report).attributes("data-values") for value in cell.split()}
    assert len(shown) > 20
    assert shown <= known


@pytest.mark.slow
def test_the_report_finds_what_was_put_in(pair: Path) -> None:
    page, found = page_of(pair), numbers_of(pair)
    first, *_ = found["findings"]
    assert first in page.text.replace("  ", " ")
    assert any("high-frequency power fell by 9" in sentence for sentence in found["findings"])  # the chatter
    verdicts = {row["id"]: row for row in found["papers"]}
    assert verdicts["a-chatter-pair"]["verdict"] == REPLICATES
    assert verdicts["a-intention"]["ours"]["value"] == pytest.approx(100.0)  # three sources in four dimensions
    assert verdicts["a-mae-biceps-aware"]["ours"]["value"] < 0.15
    assert verdicts["a-throughput"]["verdict"] == OPEN
    assert not verdicts["b-rat-tracking"]["about_this_body"]
    sections = found["sections"]
    assert "no runs of a sweep" in sections["sweep"]["absent"].lower()
    assert "no contacts are stored" in sections["gait"]["absent"].lower()
    assert "/" not in sections["gait"]["absent"].replace("contact/", "")  # folders are nobody's business
    assert [part["condition"] for part in sections["pca"]["parts"]] == ["joint_only", "physics_aware"]
    assert [part["condition"] for part in sections["forecast"]["parts"]] == ["physics_aware"]
    assert {entry["name"] for entry in found["inputs"]} >= {"joint_only.h5", "emg_biceps.csv", "trials.csv"}
    assert all(len(entry["sha256"]) == 64 and entry["sha256"] in page.text for entry in found["inputs"])
    assert "Synthetic EMG" not in page.text


def test_sections_that_cannot_be_filled_say_why_and_the_others_go_on(walk: Path) -> None:
    page, sections = page_of(walk), numbers_of(walk)["sections"]
    absent = {key for key, section in sections.items() if section["absent"]}
    assert absent == {"comparison", "emg", "pca", "similarity", "synergies", "forecast", "coupling", "sweep"}
    for key in absent:
        assert not re.search(r"\. [A-Z]", sections[key]["absent"]), "one sentence"
        assert sections[key]["absent"] in page.text
    assert sections["gait"]["parts"][0]["numbers"]["cycles"] > 5
    assert any("gait cycles" in sentence for sentence in numbers_of(walk)["findings"])
    assert "The papers print no value about this body." in page.text


@pytest.mark.slow
def test_sections_that_are_named_are_made_and_others_of_their_kind_are_not_shown(folder: Path, tmp_path: Path) -> None:
    quick = QUICK.replace("studies={", "studies={topology:{draws:19,landmarks:30,nulls:[gaussian]},").replace(
        "forecast:{", "replication:{E:[2],tau:[-1],folds:3,targets:[biceps_long]},forecast:{"
    )
    arguments = [f"rollouts={folder}/physics_aware.h5", quick, f"out={tmp_path}"]
    assert main(["report", *arguments, "extras=[topology,replication]"]) == 0
    page, sections = page_of(tmp_path), numbers_of(tmp_path)["sections"]
    keys = [attributes["id"] for tag, attributes in page.tags if tag == "section"]
    named = [name for name, row in STUDIES.items() if not row.extra or name in ("topology", "replication")]
    assert keys == ["inputs", *named, "papers", "reading"]
    rows = {name: sections[name]["parts"][0]["numbers"] for name in ("topology", "replication")}
    assert {row["features"] for row in rows["topology"]} == {"loops"}
    assert "library holds the predicted trial" in {row["departure"] for row in rows["replication"]}
    shown = {float(value) for cell in page.attributes("data-values") for value in cell.split()}
    assert {row["longest"] for row in rows["topology"]} | {row["ours"] for row in rows["replication"]} <= shown


@pytest.mark.slow
def test_the_same_inputs_give_the_same_report(pair: Path, folder: Path) -> None:
    again = folder / "again"
    assert main(["report", *pair_arguments(folder), f"out={again}"]) == 0
    files = sorted(path.relative_to(pair) for path in pair.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    for name in files:
        one, two = (pair / name).read_bytes(), (again / name).read_bytes()
        if name.suffix in (".html", ".json"):
            one, two = (DATE.sub("DATE", text.decode()).encode() for text in (one, two))
        assert one == two, name


@pytest.mark.slow
def test_synthetic_emg_is_said_loudly_and_replicates_nothing(folder: Path) -> None:
    out = folder / "synthetic"
    arguments = [f"rollouts={folder}/physics_aware.h5", "emg=synthetic", QUICK, f"out={out}"]
    assert main(["report", *arguments]) == 0
    text = page_of(out).text
    assert "The EMG on this page is synthetic." in text
    assert text.count("Synthetic EMG.") >= 1 + 3  # the section, and the caption of every figure of it
    for row in numbers_of(out)["papers"]:
        if row["recorded"]:
            assert (row["verdict"], row["ours"]) == (OPEN, None)
            assert "synthetic" in row["why"]


CLAIM = Claim("x", "A", "1", "q", "1", "f", "n", value=10.0, margin=2.0)
BOUND = Claim("x", "A", "1", "q", "1", "f", "n", at_most=1.0)
FLOOR = Claim("x", "A", "1", "q", "1", "f", "n", at_least=1.0)
PRINTED = Claim("x", "A", "1", "q", "1", "f", "n", value=0.82, at_most=0.92)
SAME = Claim("x", "A", "1", "q", "1", "f", "n", value=3.0, margin=0.0)


@pytest.mark.parametrize(
    ("claim", "ours", "verdict"),
    [
        (CLAIM, Fact(10.5, 9.0, 11.9), REPLICATES),
        (CLAIM, Fact(10.5, 9.0, 12.1), OPEN),
        (CLAIM, Fact(13.0, 12.1, 14.0), DIFFERS),
        (CLAIM, Fact(7.0, 6.0, 7.9), DIFFERS),
        (CLAIM, Fact(10.0, 0.0, 20.0), OPEN),
        (CLAIM, Fact(12.0), OPEN),
        (CLAIM, Fact(99.0), OPEN),
        (BOUND, Fact(0.5, 0.4, 1.0), REPLICATES),
        (BOUND, Fact(0.9, 0.8, 1.1), OPEN),
        (BOUND, Fact(1.2, 1.1, 1.3), DIFFERS),
        (FLOOR, Fact(1.2, 1.1, 1.3), REPLICATES),
        (FLOOR, Fact(0.5, 0.4, 0.6), DIFFERS),
        (SAME, Fact(3.0, 3.0, 3.0), REPLICATES),
        (SAME, Fact(4.0, 4.0, 4.0), DIFFERS),
        (PRINTED, Fact(0.85, 0.8, 0.9), REPLICATES),
        (PRINTED, Fact(0.159, 0.15, 0.17), BETTER),
        (PRINTED, Fact(1.0, 0.93, 1.1), DIFFERS),
    ],
)
def test_verdicts_follow_from_value_and_interval(claim: Claim, ours: Fact, verdict: str) -> None:
    assert judge(claim, ours)[0] == verdict
    if not ours.has_interval:
        assert "no interval" in judge(claim, ours)[1]
        assert "end of the sweep" in judge(claim, replace(ours, at_end=True))[1]


def test_claims_are_whole_and_point_at_sections_and_papers_there_are() -> None:
    every = claims()
    assert len({claim.id for claim in every}) == len(every) > 40
    keys = set(STUDIES) | {"training"}
    for claim in every:
        assert sum(bound is not None for bound in (claim.margin, claim.at_most, claim.at_least)) == 1, claim.id
        assert claim.margin is None or claim.value is not None, claim.id
        assert claim.printed, claim.id
        assert claim.needs, claim.id
        assert claim.fact.split("/")[0] in keys, claim.id
        assert claim.paper in citations(), claim.id
        assert claim.role in ("focus", "joint_only", "physics_aware", "pair"), claim.id
    check(Facts({}, {}, ("one",), "one"), "rat", synthetic=False)  # every body of the data is known


def test_claims_take_the_number_of_their_own_controller() -> None:
    known = {
        "errors/overall/total/mm/mean@joint_only": Fact(0.4, 0.3, 0.5),
        "errors/overall/total/mm/mean@physics_aware": Fact(2.0, 1.8, 2.2),
        "comparison/high-frequency power/joint_only>physics_aware": Fact(0.2, 0.1, 0.3),
    }
    facts = Facts(known, {"pca": "No layers are stored."}, ("joint_only", "physics_aware"), "physics_aware")
    found = {one.claim.id: one for one in check(facts, "mouse_arm", synthetic=False)}
    assert (found["a-tracking"].verdict, found["a-tracking"].condition) == (REPLICATES, "joint_only")
    assert found["a-chatter-pair"].verdict == DIFFERS
    assert found["a-intention"].why == "No layers are stored."
    alone = Facts(known, {}, ("one",), "one")
    by_id = {one.claim.id: one for one in check(alone, "mouse_arm", synthetic=False)}
    assert "called joint_only" in by_id["a-tracking"].why
    made_up = check(facts, "mouse_arm", synthetic=False, made_up=True)
    assert {one.verdict for one in made_up if one.here} == {OPEN}
    elsewhere = {one.claim.id: one for one in check(facts, "worm", synthetic=False)}
    assert not elsewhere["a-tracking"].here
    assert elsewhere["a-tracking"].ours is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (1234.5, "1,234"), (0.70512, "0.705"), (-3.14159, "−3.14"), (2e-7, "2.00e−07"), (float("nan"), "–")],
)
def test_numbers_keep_the_digits_that_mean_something(value: float, text: str) -> None:
    assert number(value) == text


def test_intervals_and_p_values_as_text() -> None:
    assert interval(0.7123, 0.68, 0.75) == "0.712 [0.680, 0.750]"
    assert interval(-12.0, -15.5, 3.25) == "−12.0 [−15.5, 3.2]"
    assert interval(5.0, float("nan"), float("nan")) == "5.00"
    assert [p_text(p) for p in (0.0001, 0.0312, 1.0)] == ["< .001", ".031", "1"]


def test_tables_leave_out_columns_that_nothing_fills() -> None:
    rows = [{"a": 1, "b": None, "c": 0.5, "low": 0.4, "high": float("nan")}, {"a": 2, "c": None}]
    made = table("t", [Column("A", "a"), Column("B", "b"), Column("C", "c", "low", "high")], rows)
    assert made.headings == ("A", "C")
    assert made.rows[0][1] == Cell("0.500", (0.5,))
    assert made.rows[1][1].text == "–"
    assert made.words == (False, False)
