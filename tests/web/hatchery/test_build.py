"""The hatchery in a real Chromium: it draws what Keras draws, soon, by mouse, keyboard
and on a phone; the same seed is the same creature for everybody; nothing is sent.
"""

import base64
import os
import re

import hatchery
import numpy as np
import pytest
from chromium import download, fits, press, visits
from hatched import DESK, agree, drawn, names, pyramid, straight
from PIL import Image

from pokeutils.common import files, images
from pokeutils.data import doodles
from pokeutils.data.download import OFFLINE, SourceUnavailable
from pokeutils.studio import restore
from pokeutils.web import gallery
from pokeutils.web.hatchery import build, genome

READY = "html[data-ready]"


@pytest.fixture
def visit(browser, path):
    """visit(hash, **context settings) -> the page, with all nine hatched."""
    with visits(browser, viewport=DESK, reduced_motion="reduce") as open_page:

        def visit(hash="#seed=ada", **settings):
            return hatched(open_page(path.as_uri() + hash, **settings))

        yield visit


def hatched(page, genome=None):
    """Waits until all nine are there, those of `genome`; returns the page."""
    page.wait_for_selector(f'html[data-ready="{genome}"]' if genome else READY)
    return page


def hatch(page, text):
    page.fill("#seed", text)
    page.get_by_role("button", name="Hatch", exact=True).click()


def who(page):
    """The name of the chosen creature."""
    return page.text_content("#who").lower()


def test_it_draws_what_keras_draws(calm, generator):
    assert names(calm) == genome.nest("ada") and calm.title() == "The hatchery"
    for place, wanted in enumerate(straight(generator, genome.nest("ada")), start=1):
        assert agree(drawn(calm, f"#nest .cell:nth-child({place}) canvas"), wanted)
    assert calm.get_attribute("html", "data-backend") == "wasm"
    assert calm.locator("#trouble").is_hidden()


def test_without_webassembly_it_draws_the_same_more_slowly(visit, generator):
    page = visit(script="delete globalThis.WebAssembly")
    assert page.get_attribute("html", "data-backend") == "cpu"
    found = drawn(page, "#nest .cell:nth-child(2) canvas")
    assert agree(found, straight(generator, ["sukeni"])[0])


def test_wrong_sums_and_missing_parts_are_told(visit, browser, path):
    wrong = "addEventListener('DOMContentLoaded', () => { Math.log = () => -3; })"
    page = visit(script=wrong)
    page.wait_for_selector("#trouble:visible")
    assert "computes other pictures" in page.text_content("#trouble")
    with visits(browser, java_script_enabled=False) as open_page:
        text = open_page(path.as_uri()).inner_text("main")
    assert "JavaScript, which is switched off" in text


def test_seeds_in_the_address(visit, generator):
    page = visit(hash="")  # without a seed it finds one itself, and says so
    first = names(page)
    assert page.url.endswith(f"#seed={first[0]}")
    hatch(page, "  Grandma ")
    hatched(page, "grandma")
    assert names(page) == genome.nest("grandma")
    page.get_by_role("button", name="Nine new ones").click()
    page.wait_for_selector("html:not([data-ready=grandma])[data-ready]")
    page.go_back()
    hatched(page, "grandma")
    page.go_back()
    hatched(page, first[0])
    assert names(page) == first

    crossed = "(ada~1*bob*40)~2"
    page.evaluate("location.hash = 'seed=%28ada~1*bob*40%29~2'")
    hatched(page, crossed)
    assert names(page) == genome.nest(crossed)
    assert agree(drawn(page, "#large"), straight(generator, [crossed])[0])


def test_hostile_seeds_stay_text(visit):
    seed = '"><img src=x onerror=document.title=1>'
    page = visit()
    hatch(page, seed)
    page.wait_for_selector("html:not([data-ready=ada])[data-ready]")
    page.click("#keep")
    assert who(page) == seed == names(page)[0]
    assert page.locator("img").count() == 0 and page.title() == "The hatchery"


def test_copied_links_lead_to_the_same_creature(visit):
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    page.locator("#nest .cell").nth(3).click()
    page.click("#link")
    page.get_by_text("Copied.").wait_for()
    link = page.evaluate("navigator.clipboard.readText()")
    page.goto("about:blank")
    page.goto(link)
    hatched(page)
    assert names(page)[0] == genome.nest("ada")[3]
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.click("#link")
    assert link in page.text_content("#status")  # to be copied by hand


def test_mutate_keep_and_walk(visit, generator):
    page = visit(reduced_motion="no-preference")
    page.locator("#nest .cell").nth(1).click()
    page.click("#keep")
    page.click("#mutate")
    hatched(page, "sukeni")
    assert page.url.endswith("#brood=sukeni")
    assert names(page) == genome.brood("sukeni")
    page.locator("#nest .cell").nth(4).click()
    assert page.text_content("#who") == "Sukeni 4"
    page.click("#keep")
    page.reload()
    hatched(page)
    kept = page.locator("#shelf .cell").evaluate_all("all => all.map(c => c.genome)")
    assert kept == ["sukeni", "sukeni~4"]

    page.locator("#nest .cell").nth(2).click()
    page.click("#go")
    assert "Choose another creature" in page.text_content("#status")
    page.locator("#shelf .cell").nth(1).click()  # a kept one is as good
    page.get_by_role("button", name="Pause").click()
    page.locator("#share").fill("40")
    walked = "(sukeni~2*sukeni~4*40)"
    assert agree(drawn(page, "#large"), straight(generator, [walked])[0])
    page.get_by_role("button", name="Take this one").click()
    hatched(page, walked)
    assert names(page)[0] == walked and page.locator("#walk").is_hidden()

    page.locator("#shelf .cell").nth(0).click()
    page.click("#keep")  # lets it go
    assert page.locator("#shelf .cell").count() == 1


def test_the_picture_is_saved_with_its_transparency(visit, generator, tmp_path):
    page = visit()
    file = download(page, "#save", tmp_path)
    assert file.name == "Ada.png"
    image = Image.open(file)
    assert image.mode == "RGBA" and image.size == (512, 512)
    small = np.asarray(image)[16::32, 16::32]
    assert (np.asarray(image) == small.repeat(32, 0).repeat(32, 1)).all()  # crisp
    wanted = straight(generator, ["ada"])[0]
    assert agree(small, wanted) and len(np.unique(wanted[..., 3])) > 20
    solid = wanted[..., 3] > 100  # not premultiplied: no dark fringe
    assert solid.any() and (wanted[..., 3] < 250).any()
    assert np.abs(small[solid].astype(int) - wanted[solid]).max() <= 5


def test_keyboard_only(visit):
    page = visit()

    assert press(page, "Tab") == "seed"
    press(page, "Control+A")
    page.keyboard.type("nmk")  # letters here, not commands
    press(page, "Enter")
    hatched(page, "nmk")
    nine = genome.nest("nmk")
    assert press(page, "Tab", "Tab", "Tab") == nine[0]
    assert press(page, "ArrowDown", "ArrowRight") == nine[4] == who(page)
    press(page, "k")
    assert page.get_attribute("#keep", "aria-pressed") == "true"
    assert press(page, "w", "ArrowRight") == nine[5] and who(page) == nine[4]
    press(page, "Enter")
    assert page.locator("#walk").is_visible()
    assert page.text_content("#play") == "Play"  # nothing moves by itself
    page.focus("#share")
    press(page, "ArrowRight")
    assert page.input_value("#share") == "1"
    page.focus("#play")
    press(page, "Escape")
    assert page.locator("#walk").is_hidden()
    press(page, "m")
    hatched(page, nine[4])
    assert names(page) == genome.brood(nine[4])


def test_narrow(visit):
    page = visit(viewport={"width": 320, "height": 700}, has_touch=True)
    assert page.evaluate("scrollY") == 0  # it opens at its title
    page.locator("#nest .cell").nth(2).tap()
    assert 0 < page.locator("#keep").bounding_box()["y"] < 660
    page.locator("#keep").tap()
    assert fits(page, 320)
    page.set_viewport_size({"width": 390, "height": 800})
    assert fits(page, 390)
    page.evaluate("location.hash = 'seed=' + 'w'.repeat(300)")
    page.wait_for_selector("html[data-ready^=www]")
    assert fits(page, 390)


DROP = """([encoded, type]) => {
  const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
  const event = new DragEvent("drop", {dataTransfer: new DataTransfer(),
    bubbles: true});
  event.dataTransfer.items.add(new File([bytes], "mine.png", {type}));
  document.body.dispatchEvent(event);
}"""


def test_a_picture_becomes_a_sprite(browser, runtime, generator, tmp_path):
    untrained = restore.unet(64, widths=(8, 16))  # which changes nothing
    path = build.write(generator, tmp_path / "a.html", "artwork", runtime, untrained)
    drawing = np.asarray(doodles.draw(7))
    on_white = images.over(images.premultiply(drawing))
    Image.fromarray(on_white).save(tmp_path / "white.png")
    Image.fromarray(drawing).save(tmp_path / "cut.png")
    with visits(browser, viewport=DESK, reduced_motion="reduce") as open_page:
        page = hatched(open_page(path.as_uri() + "#seed=ada"))
        assert page.locator("#redrawn").is_hidden()
        for name in ("white.png", "cut.png"):
            page.set_input_files("#picture", tmp_path / name)
            page.get_by_text(f"{name}, and what became of it.").wait_for()
            given, sprite = drawn(page, "#given"), drawn(page, "#sprite")
            wanted = images.fit(drawing, 64).astype(int)
            assert np.abs(images.premultiply(given) - wanted).mean() < 6, name
            assert set(np.unique(sprite[..., 3])) == {0, 255}
            assert len(np.unique(sprite.reshape(-1, 4), axis=0)) <= restore.COLOURS
            wanted = restore.restore(images.premultiply(given)[None], untrained)[0]
            assert np.abs(images.premultiply(sprite).astype(int) - wanted).mean() < 6
        large = np.asarray(Image.open(download(page, "#save-sprite", tmp_path)))
        assert (large[4::8, 4::8] == sprite).all()

        page.click("#redraw")
        page.get_by_text("Ada, and what became of it.").wait_for()
        assert (drawn(page, "#sprite") != sprite).any()
        encoded = base64.b64encode((tmp_path / "cut.png").read_bytes()).decode()
        page.evaluate(DROP, [encoded, "image/png"])
        page.get_by_text("mine.png, and what became of it.").wait_for()
        assert (drawn(page, "#sprite") == sprite).all()
        page.evaluate(DROP, [base64.b64encode(b"no picture").decode(), "image/png"])
        page.get_by_text("mine.png cannot be redrawn").wait_for()
        page.set_viewport_size({"width": 390, "height": 800})
        assert fits(page, 390)


def test_the_page_holds_no_picture_and_allows_nothing(path):
    text = path.read_text("utf-8")
    assert text.count("sha256-") == text.count("<script>") == 5
    assert "'wasm-unsafe-eval'" in text and "'unsafe-eval'" not in text
    assert not re.search(r"<img|data:image|<link[^>]*(?<!href=\"data:,\")>", text)
    assert "{{" not in text.partition("<script>")[0] and "sourceMapping" not in text
    assert "GAME FREAK inc." in text and "Apache" in text


def test_the_runtime_is_checked_and_fetched_again(runtime, tmp_path, monkeypatch):
    for name, data in runtime.items():
        (tmp_path / name).write_bytes(data)
    assert build.fetch_runtime(tmp_path) == runtime
    (tmp_path / "tf-core.min.js").write_bytes(b"alert(1)")

    def pack(package, folder):
        raise SourceUnavailable(f"No {package.spec}. {OFFLINE}")

    monkeypatch.setattr(build.download, "npm_pack", pack)
    words = f"runtime.*No @tensorflow/tfjs-core@{build.VERSION}. Once"
    with pytest.raises(SourceUnavailable, match=words):
        build.fetch_runtime(tmp_path)


def test_without_a_network_an_older_page_stays(folders, monkeypatch, capsys):
    def unavailable():
        raise SourceUnavailable("No npm.")

    monkeypatch.setattr(build, "fetch_runtime", unavailable)
    page = folders / "outputs" / "hatchery" / "index.html"
    assert hatchery.main(["--if-missing"]) == 1 and not page.exists()
    assert capsys.readouterr().err == "No hatchery: No npm.\n"
    files.write_text(page, "kept")
    assert hatchery.main(["--if-missing"]) == 0  # newer than the generator
    os.utime(page, (0, 0))
    assert hatchery.main(["--if-missing"]) == 1 and page.read_text() == "kept"


@pytest.fixture
def run(folders):
    """A run folder without a generator."""
    run = folders / "outputs" / "runs" / "001-tiny16"
    run.mkdir(parents=True)
    (run / "params.json").write_text(
        '{"data": {"source": "doodles"}, "recipe": {}, "seed": 0}'
    )
    return run


@pytest.mark.parametrize(
    "name, types, reason",
    [
        ("001-tiny16", 18, "a TypedLatent, which a page cannot compute"),
        ("001-tiny16", 0, "a page should not ask for more"),
        ("009-typo", 0, "No run 009-typo; there are: 001-tiny16."),
    ],
)
def test_what_cannot_have_a_page_is_refused_before_anything_is_fetched(
    run, folders, monkeypatch, capsys, name, types, reason
):
    pyramid(types=types).save(run / "generator.keras")
    monkeypatch.setattr(build, "LARGEST_MODEL", 1000)
    monkeypatch.setattr(build, "fetch_runtime", None)
    assert hatchery.main(["--run", name]) == 1
    message = capsys.readouterr().err
    assert message.startswith("No hatchery: ") and reason in message
    assert message.count("\n") == 1
    assert not (folders / "outputs" / "latest").exists()


def test_the_command_writes_a_page(run, folders, runtime, monkeypatch, capsys):
    pyramid().save(run / "generator.keras")
    monkeypatch.setattr(build, "fetch_runtime", lambda: runtime)
    assert hatchery.main(["--run", "001-tiny16"]) == 0
    page = folders / "outputs" / "latest" / "hatchery.html"
    assert "creatures drawn by code" in page.read_text("utf-8")
    assert page.as_uri() in capsys.readouterr().out

    # The gallery links the page beside it, or else that of the pretrained generator.
    def link():
        text = gallery.write(run).read_text("utf-8")
        return re.findall(r'href="([^"]*)">Go to the hatchery', text)

    assert link() == ["hatchery.html"]
    page.unlink()
    assert link() == []
    files.write_text(folders / "outputs" / "hatchery" / "index.html", "")
    assert link() == ["../hatchery/index.html"]
