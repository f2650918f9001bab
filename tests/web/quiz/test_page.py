"""The quiz page, taken in a real Chromium: by mouse, keyboard and finger, on a phone
and in the dark. It hides the answers, sends nothing, and what it saves can be counted.
"""

import base64
import io
import json
import re

import numpy as np
import pytest
from chromium import download, fits, press, visits
from PIL import Image

from pokeutils.web.quiz import page as quiz_page
from pokeutils.web.quiz import quiz, scores

HOSTILE = '</script><img src=x onerror="document.title=1">'
DESK = {"width": 1280, "height": 800}


def make(source="doodles"):
    """A quiz of coloured squares: the size of the square tells its kind."""
    random = np.random.default_rng(0)
    groups = []
    for wide in (8, 16, 24):
        pictures = np.full((9, 32, 32, 3), 255, "uint8")
        colours = random.integers(0, 200, (9, 1, 1, 3))
        pictures[:, 2 : 2 + wide, 5 : 5 + wide] = colours
        groups.append(pictures)
    labels = {"real": [f"Creature {i}" for i in range(8)] + [HOSTILE]}
    return quiz.make(*groups, labels=labels, source=source)


@pytest.fixture(scope="module")
def asked():
    return make()


@pytest.fixture(scope="module")
def path(asked, tmp_path_factory):
    return quiz_page.write(asked, tmp_path_factory.mktemp("page") / "quiz.html")


def test_the_source_does_not_say_which_is_which(asked, path):
    text = path.read_text("utf-8")
    body = text.rpartition("</style>")[2].partition("<script>")[0]
    for words in ("Creature", "generated", "groups", "onerror"):
        assert words not in body
    buttons = re.findall(r"(?s)<button type=\"button\"><img.*?</button>", text)
    assert len(buttons) == 27
    without = {re.sub(r"base64,[^\"]+", "", button) for button in buttons}
    assert len(without) == 1  # nothing but the picture differs
    for button, picture in zip(buttons, asked.pictures, strict=True):
        content = base64.b64decode(re.search(r"base64,([^\"]+)", button)[1])
        image = Image.open(io.BytesIO(content))
        assert not image.info and image.mode == "RGB"
        assert np.array_equal(np.asarray(image), picture)
    # The key has one length, whatever the labels, and no word of them.
    assert "Creature" not in quiz.seal(asked)
    assert len(quiz.seal(asked)) == len(quiz.seal(asked._replace(labels=[""] * 27)))


def test_the_page_asks_for_nothing(path):
    text = path.read_text("utf-8")
    assert not re.search(r"(src|href)=\"(?!data:)", text)
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttp|sendBeacon", text)
    assert text.count("sha256-") == text.count("<script>") == 1


def test_real_pokemon_stay_among_people_you_know(tmp_path, path):
    page = quiz_page.write(make("artwork"), tmp_path / "a.html")
    for words in ("Some show real Pokémon", "GAME FREAK inc.", "do not publish it"):
        assert words in " ".join(page.read_text("utf-8").split())
        assert words not in " ".join(path.read_text("utf-8").split())


@pytest.fixture
def visit(browser, path):
    """visit(**context settings) -> page."""
    with visits(browser, viewport=DESK) as open_page:
        yield lambda **settings: open_page(path.as_uri(), **settings)


def begin(page, name="Ada"):
    page.fill("#name", name)
    page.get_by_text("some", exact=True).click()
    page.get_by_role("button", name="Start").click()


def judge(page, wanted):
    """Answers all that is open, panel by panel, by scripted clicks, which are fast."""
    script = "w => { for (const real of w) (real ? yes : no).click(); next.click(); }"
    for start in range(0, len(wanted), 9):
        page.evaluate(script, [bool(x) for x in wanted[start : start + 9]])


def heading(page):
    return page.text_content("#heading")


def test_click_through_and_export(asked, visit, tmp_path):
    page = visit()
    assert page.title() == "Real or not?" and "27 pictures" in page.text_content("main")
    begin(page)
    wanted = np.random.default_rng(1).random(27) < 0.5
    assert heading(page) == "Panel 1 of 3"
    assert page.locator(".panel button:visible").count() == 9
    assert page.get_by_role("button", name="Next panel").is_disabled()
    for panel, label in enumerate(("Next panel", "Next panel", "Finish")):
        for real in wanted[9 * panel : 9 * panel + 9]:
            page.click("#yes" if real else "#no")
        page.get_by_role("button", name=label).click()
    assert heading(page) == "Thank you"

    file = download(page, "#save", tmp_path)
    (answers,), refused = quiz.read_answers([file], [asked])
    assert not refused
    assert file.name == f"answers-{asked.id}-{answers.response[:8]}.json"
    assert answers.judged_real.tolist() == wanted.tolist()
    assert (answers.name, answers.knowledge) == ("Ada", "some")
    assert json.loads(page.input_value("#text")) == json.loads(file.read_text())
    assert file.name in page.text_content("#saved")

    # What the page counts is what Python counts, intervals included.
    counted = scores.score([answers], [asked])
    for row, share in enumerate(counted.shares.values()):
        shown = page.locator(".bars b").nth(row).text_content()
        assert shown == f"{share.judged} of {share.total}"
        whisker = page.locator(".bars u").nth(row)
        left, right = whisker.evaluate("e => [e.style.left, e.style.right]")
        assert float(left[:-1]) == pytest.approx(100 * share.low, abs=0.01)
        assert float(right[:-1]) == pytest.approx(100 * (1 - share.high), abs=0.01)
    wrong = (wanted != (asked.groups == 0)).sum()
    assert page.locator(".truth .wrong").count() == wrong
    assert page.locator(".truth li").count() == 27
    assert "Creature 3" in page.text_content("#truth")
    assert HOSTILE in page.text_content("#truth")  # as text
    assert page.locator("#truth img[src=x]").count() == 0


def test_keyboard_only(visit):
    page = visit()
    assert press(page, "Tab") == "name"
    page.keyboard.type("Rufus")  # r and f are letters here
    assert press(page, "Tab", "Space") == "few"
    assert press(page, "ArrowRight") == "some"
    assert press(page, "Enter") == "heading" and heading(page) == "Panel 1 of 3"

    assert press(page, *"rfrfrfrfr") == "next"
    press(page, "ArrowUp", "R", "Enter")  # from picture 9 to 6, and make it real
    assert heading(page) == "Panel 2 of 3"

    assert press(page, *["Tab"] * 10) == "yes"  # without the letters
    assert press(page, *["Enter"] * 9) == "next"
    press(page, "Enter")
    assert heading(page) == "Panel 3 of 3"

    press(page, "Tab", "Tab", "Enter")  # a picture is chosen by Enter as well
    assert "Picture 20" in page.locator("[aria-current]").get_attribute("aria-label")
    press(page, *"fffffffff", "Enter")
    assert heading(page) == "Thank you" and press(page, "Tab") == "save"
    record = json.loads(page.input_value("#text"))
    assert (record["name"], record["knowledge"]) == ("Rufus", "some")
    first = [True, False, True, False, True, True, True, False, True]
    assert record["judged_real"] == first + [True] * 9 + [False] * 9


@pytest.mark.parametrize("width, height", [(320, 390), (480, 320)])
def test_on_a_small_phone_by_finger(visit, width, height):
    size = {"width": width, "height": height}
    page = visit(viewport=size, has_touch=True, is_mobile=True, device_scale_factor=2)
    assert fits(page, width)
    page.get_by_role("button", name="Start").tap()
    for _ in range(3):
        assert fits(page, width)
        page.evaluate("scrollTo(0, 0)")
        for id in ("#yes", "#no"):  # in reach without scrolling, below the pictures
            box = page.locator(id).bounding_box()
            assert box["y"] + box["height"] <= height
        assert "Keys:" not in page.inner_text("main")
        page.tap("#no")
        judge(page, [True] * 8)
    assert heading(page) == "Thank you" and fits(page, width)


def test_a_reload_loses_nothing_and_clear_forgets(asked, visit, tmp_path):
    page = visit()
    begin(page, name="Grace")
    judge(page, [True] * 12)
    before = page.evaluate("JSON.stringify(localStorage)")
    page.reload()
    assert heading(page) == "Panel 2 of 3"
    assert page.text_content("#progress") == "3 of 9 judged"
    assert page.evaluate("JSON.stringify(localStorage)") == before
    judge(page, [True] * 6)
    judge(page, [True] * 9)
    page.reload()
    assert heading(page) == "Thank you"
    first = download(page, "#save", tmp_path)

    page.get_by_role("button", name="Clear, for the next person").click()
    assert heading(page) == "Real or not?" and page.input_value("#name") == ""
    assert page.evaluate("localStorage.length") == 0
    page.reload()
    begin(page, name="Alan")
    judge(page, [False] * 27)
    page.get_by_role("button", name="Clear, for the next person").click()
    assert heading(page) == "Thank you"  # not saved yet: asks once more
    second = download(page, "#save", tmp_path)
    accepted, refused = quiz.read_answers([first, second], [asked])
    assert [a.name for a in accepted] == ["Grace", "Alan"] and not refused


def test_works_where_nothing_can_be_kept(visit, tmp_path):
    denied = "{ get() { throw new DOMException('denied'); } }"
    page = visit(script=f"Object.defineProperty(window, 'localStorage', {denied})")
    begin(page)
    judge(page, [True] * 27)
    assert download(page, "#save", tmp_path).exists()
    assert "a reload begins anew" in page.text_content("#storage")


def test_by_night_it_is_dark_and_pictures_stay_on_white(visit):
    page = visit(color_scheme="dark")
    begin(page)
    judge(page, [True] * 27)
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert sum(map(int, re.findall(r"\d+", colour)[:3])) / 3 < 60
    paper = "getComputedStyle(document.querySelector('.truth img')).backgroundColor"
    assert page.evaluate(paper) == "rgb(255, 255, 255)"


def test_without_javascript_it_says_so(visit):
    page = visit(java_script_enabled=False)
    assert "switched off" in page.inner_text("main")
