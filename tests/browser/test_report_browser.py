"""The report in a real browser: it renders, asks the network for nothing, answers to hand and
keyboard, and does without scripts.
"""

from __future__ import annotations

import re
from importlib.util import find_spec

import pytest
from report_studies import HOSTILE, analysed, labelled

from relstats.results.text import safe

if find_spec("matplotlib") is None or find_spec("jinja2") is None:
    pytest.skip("reports need the extra `report`", allow_module_level=True)

from relstats.report import report

PAIRS = "table.pairs"
FIRST = "document.querySelector('table.pairs')"


@pytest.fixture(scope="module")
def page(driver, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    return report(analysed(folder / "study.zarr", images=4), folder / "report.html")


@pytest.fixture(scope="module")
def desk(new_browser, page):
    browser = new_browser()
    browser.open(page)
    return browser


@pytest.fixture(autouse=True)
def top(request):
    """Each test on the wide screen begins where the last one may have left it: the page is loaded
    anew.
    """
    if "desk" in request.fixturenames:
        request.getfixturevalue("desk").open(request.getfixturevalue("page"))


def cell(i, j):
    return f"{PAIRS} td[data-i='{i}'][data-j='{j}']"


def shown(browser):
    """Which maps are drawn, as the script says once it has drawn them."""
    return browser.run("return document.getElementById('viewer').dataset.drawn")


def map_colours(browser, canvas):
    return browser.run(
        f"const c = document.getElementById('{canvas}'); return"
        " Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"
    )


def test_it_renders_without_complaint_and_without_the_network(desk, page):
    desk.run("scrollTo(0, document.documentElement.scrollHeight)")
    assert desk.text("h1") == "simulated 2x2"
    broken = desk.run(
        "return Array.from(document.images).filter(i => i.src && i.complete &&"
        " !i.naturalWidth).length"
    )
    assert broken == 0
    assert desk.console() == []
    assert set(desk.requests()) == {page.resolve().as_uri()}


def test_the_policy_holds(desk):
    """Whatever found its way into the page could not call out."""
    desk.run(
        "const i = new Image(); i.src = 'http://127.0.0.1:9/x.png'; document.body.append(i); const"
        " s = document.createElement('script'); s.textContent = 'window.owned = 1';"
        " document.body.append(s)"
    )
    desk.wait("true")
    assert desk.run("return window.owned === undefined")
    refused = desk.console()
    assert any("Content Security Policy" in message for message in refused)
    assert not [url for url in desk.requests() if url.startswith("http")] or len(refused) >= 2


def test_hovering_a_cell_shows_its_two_networks(desk):
    desk.hover(cell(1, 7))
    desk.wait("document.getElementById('viewer').dataset.drawn === '1,7,0'")
    told = desk.text("#chosen")
    assert "maps from imagenet-gender, seed 1, tested on vggface2-gender, seed 1" in told
    assert told.split(":")[0] == desk.text(cell(1, 7))
    assert map_colours(desk, "source") != map_colours(desk, "target")


def test_the_maps_drawn_are_those_of_the_picture(desk):
    desk.click(cell(4, 8))
    desk.wait("document.getElementById('viewer').dataset.drawn === '4,8,0'")
    same = desk.run("""
        const data = JSON.parse(document.getElementById('explorer-data').textContent);
        const n = data.networks[8];
        const c = document.createElement('canvas'); c.width = data.width; c.height = data.height;
        const maps = document.querySelector("img.maps[data-image='0']");
        const left = -n.column * (data.width + data.gap), top = -n.row * (data.height + data.gap);
        c.getContext('2d').drawImage(maps, left, top);
        const of = (k) => Array.from(
            k.getContext('2d').getImageData(0, 0, data.width, data.height).data).join();
        return of(c) === of(document.getElementById('target'));""")
    assert same


def test_the_keyboard_reaches_every_cell(desk):
    desk.run(f"{FIRST}.querySelector('td[tabindex=\"0\"]').focus()")
    before = desk.run("return [document.activeElement.dataset.i, document.activeElement.dataset.j]")
    desk.press("right")
    desk.press("down")
    after = desk.run("return [document.activeElement.dataset.i, document.activeElement.dataset.j]")
    assert [int(b) + 1 for b in before] == [int(a) for a in after]
    desk.wait(f"document.getElementById('viewer').dataset.drawn === '{after[0]},{after[1]},0'")
    assert desk.run(f"return {FIRST}.querySelectorAll('td[tabindex=\"0\"]').length") == 1
    desk.press("tab")
    assert desk.run(f"return !{FIRST}.contains(document.activeElement)")


def test_choosing_an_image_and_networks(desk):
    desk.run(
        "const s = document.getElementById('image'); s.value = '2'; s.dispatchEvent(new"
        " Event('change'))"
    )
    desk.wait("document.getElementById('viewer').dataset.drawn.endsWith(',2')")
    desk.run(
        "const s = document.getElementById('on'); s.value = '9'; s.dispatchEvent(new"
        " Event('change'))"
    )
    desk.wait("document.getElementById('viewer').dataset.drawn.split(',')[1] === '9'")
    assert "tested on vggface2-identity, seed 0" in desk.text("#chosen")


def test_the_filter_hides_networks_of_a_level(desk):
    visible = (
        f"return Array.from({FIRST}.querySelectorAll('tbody td')).filter(c =>"
        " c.offsetParent).length"
    )
    assert desk.run(visible) == 144
    boxes = desk.run(
        "return Array.from(document.querySelectorAll('#filters label')).map(l =>"
        " l.textContent.trim())"
    )
    assert boxes == ["imagenet", "vggface2", "gender", "identity"]
    desk.click("#filters fieldset:nth-of-type(1) label:nth-of-type(1) input")
    assert desk.run(visible) == 36
    assert desk.text("#filters p") == "6 of 12 networks shown"
    names = desk.run(
        "return Array.from(document.getElementById('from').options).map(o => o.textContent)"
    )
    assert len(names) == 6
    assert all(name.startswith("vggface2") for name in names)
    desk.wait("document.getElementById('viewer').dataset.drawn")
    assert "imagenet" not in desk.text("#chosen")
    desk.click("#filters fieldset:nth-of-type(1) label:nth-of-type(1) input")
    assert desk.run(visible) == 144


def test_a_filter_that_leaves_nothing_is_no_error(desk):
    for box in (1, 2):
        desk.click(f"#filters fieldset:nth-of-type(1) label:nth-of-type({box}) input")
    assert desk.text("#filters p") == "0 of 12 networks shown"
    assert desk.console() == []


def test_csv_and_json_are_in_the_page(desk):
    links = desk.run(
        "return Array.from(document.querySelectorAll('a[download]')).map(a => [a.download, a.href])"
    )
    assert len(links) > 10
    assert all(name.endswith(".csv") and uri.startswith("data:text/csv") for name, uri in links)
    assert desk.run(
        "return Array.from(document.querySelectorAll('article script')).every(s =>"
        " JSON.parse(s.textContent).variables)"
    )


def test_it_prints(desk):
    pdf = desk.pdf()
    assert pdf.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 80


def test_on_a_phone_nothing_is_wider_than_the_screen_and_a_tap_works(new_browser, page):
    phone = new_browser(phone=True)
    phone.open(page)
    assert phone.run(
        "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )
    phone.tap(cell(0, 2))
    phone.wait("document.getElementById('viewer').dataset.drawn === '0,2,0'")
    assert phone.console() == []


def test_without_scripts_it_is_a_whole_page(new_browser, page):
    plain = new_browser(scripts=False)
    plain.open(page)
    text = plain.text("main")
    assert "Scripts are off: the matrices, pictures and tables are all here" in text
    assert "Do maps carry over to other models" in text
    assert plain.text(cell(1, 7)).lstrip("-").startswith(".")
    assert "Choose a cell" not in text
    assert "Agreement of maps over pretrain" not in plain.text("#verdict")
    plain.click("details.more summary")
    assert "Agreement of maps over pretrain" in plain.text("#verdict")
    assert plain.console() == []


def test_hostile_labels_do_nothing(new_browser, tmp_path):
    browser = new_browser()
    browser.open(report(labelled(tmp_path / "s.zarr", HOSTILE), tmp_path / "r.html"))
    assert browser.console() == []
    assert not [url for url in browser.requests() if not url.startswith("file:")]
    text = browser.run("return document.body.textContent")
    assert all(safe(label) in text for label in HOSTILE)
    options = browser.run(
        "return Array.from(document.querySelectorAll('#from option')).map(o => o.textContent)"
    )
    assert f"{HOSTILE[1]}, seed s0" in options
