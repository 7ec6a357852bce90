"""The picture of the eleven techniques: what is filled, and where it leads."""

from pathlib import Path

import numpy as np
import pytest
import techniques as t
from bs4 import BeautifulSoup

from normcourse.lab import eleven

BOOK = Path(__file__).parents[2] / "book"
RULES = {  # of the activations, place by place, as the tests of the techniques state them
    "Batch norm": lambda place: t.BATCH.statistic(place, eleven.SHAPE),
    "Layer norm": lambda place: t.LAYER.statistic(place, eleven.SHAPE, eleven.SHAPE[1:]),
    "Instance norm": lambda place: t.INSTANCE.statistic(place, eleven.SHAPE),
    "Group norm": lambda place: t.GROUP.statistic(place, eleven.SHAPE, 2),
    "RMSNorm": lambda place: t.RMS.statistic(place, eleven.SHAPE, eleven.SHAPE[1:]),
}
BY_NAME = {technique.name: technique for technique in eleven.TECHNIQUES}
PLACE = np.unravel_index(np.ravel_multi_index(eleven.PICKED, eleven.TABLE), eleven.SHAPE)


def filled(name):
    return eleven.shared(BY_NAME[name])


@pytest.mark.parametrize("name", RULES)
def test_fills_what_shares_a_statistic(name):
    rule = RULES[name]
    expected = [rule(place) == rule(PLACE) for place in np.ndindex(eleven.SHAPE)]
    assert filled(name).ravel().tolist() == expected


@pytest.mark.parametrize("name", ["Min-max scaling", "Standardization"])
def test_fills_the_feature(name):
    expected = np.zeros(eleven.TABLE, bool)
    expected[:, eleven.PICKED[1]] = True
    assert np.array_equal(filled(name), expected)


def test_fills_what_the_others_pool():
    row = filled("Layer norm")
    assert np.array_equal(filled("Weight norm"), row)
    assert filled("Spectral norm").all()
    assert np.array_equal(filled("Switchable norm"), row | filled("Batch norm"))
    near = np.zeros(eleven.SHAPE, bool)
    sample, channel, position = PLACE
    near[sample, channel - 1 : channel + 2, position] = True
    assert np.array_equal(filled("Divisive norm"), near.reshape(eleven.TABLE))


def test_each_card_leads_to_its_chapter():
    html = BeautifulSoup(eleven.Picture()._repr_html_(), "html.parser")
    links = html.select("a")
    assert len(links) == len(eleven.TECHNIQUES) == 11
    for link, technique in zip(links, sorted(eleven.TECHNIQUES, key=where), strict=True):
        assert link.find("b").text == technique.name
        assert (BOOK / link["href"]).is_file()
        assert len(link.select_one(".nc-shared")["d"].split("M")) - 1 == filled(link.b.text).sum()


def where(technique):
    return ["Data", "Activations", "Weights"].index(technique.what)
