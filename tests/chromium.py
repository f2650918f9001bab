"""Pages in a headless Chromium that nothing escapes: no request, no error."""

import contextlib
import shutil

import pytest

NAMES = "chromium chromium-browser google-chrome google-chrome-stable".split()
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
QUIET = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync"
QUIET += " --disable-background-networking --disable-component-update"


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip(
            "NO BROWSER, so this page was not tested: install Chromium (Debian, "
            "Ubuntu: apt install chromium) and run this again."
        )
    with api.sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=CHROMIUM, args=QUIET.split(), headless=True
        )
        yield found
        found.close()


@contextlib.contextmanager
def visits(browser, **usual):
    """Gives a function: open_page(url, script, **settings) -> the page.

    usual: settings of the browser's context, unless a call has others;
    script: runs before those of the page.
    Afterwards nothing may have been asked for but the page, and nothing have failed.
    """
    contexts, requests, problems = [], [], []

    def open_page(url, script=None, **settings):
        context = browser.new_context(**{**usual, **settings})
        contexts.append(context)
        context.on("request", lambda request: requests.append(request.url))
        if script:
            context.add_init_script(script)
        page = context.new_page()
        page.set_default_timeout(60_000)  # a busy machine is slow
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not problems, problems
    asked = {url for url in requests if not url.startswith(("data:", "blob:"))}
    assert len({url.partition("#")[0] for url in asked}) <= 1  # the page itself


def press(page, *keys):
    """Presses keys; returns what has the keyboard then: the element's id, or what it
    stands for."""
    for key in keys:
        page.keyboard.press(key)
    return page.evaluate("(a => a.id || a.genome || a.value)(document.activeElement)")


def download(page, selector, folder):
    """Clicks on something; returns the file that the browser downloads."""
    with page.expect_download() as found:
        page.click(selector)
    target = folder / found.value.suggested_filename
    found.value.save_as(target)
    return target


FITS = """() => {
  for (const details of document.querySelectorAll("details")) details.open = true;
  const shown = [...document.querySelectorAll(
      "button, input[type=text], textarea, summary, .choices label, [role=img]")]
    .filter((e) => e.getClientRects().length);
  const small = (e) => e.getBoundingClientRect().height < 43.5;
  const nameless = (e) => !(e.ariaLabel || e.textContent.trim() || e.labels?.length);
  return [document.documentElement.scrollWidth,
    shown.filter((e) => small(e) || nameless(e)).map((e) => e.outerHTML)];
}"""


def fits(page, width):
    """Whether nothing sticks out of a narrow page, and everything that one can press
    has a name and is large enough for a finger."""
    return page.evaluate(FITS) == [width, []]
