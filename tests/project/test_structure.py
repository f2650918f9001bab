"""The rules of the layout: what is where, who imports whom, what is pinned, what may be
committed."""

import ast
import json
import re
import subprocess
import sys
import tomllib

import pytest
from project import MODULES, NOTEBOOKS, committed, texts

from pokeutils.common import env

CORE = "gan models layers losses augment sampling".split()
WINGS = "common data recipes training evaluation studio web".split()
LONGEST = 400  # lines of a module

# Modules that open in a moment: they bring neither Keras nor matplotlib.
LIGHT = """
common.env common.device common.files common.images common.plots
data.download data.sources data.doodles data.species data.folders data.kaggle
data.packs data.traits data.scraping.scrape data.scraping.sites data.scraping.polite
training.runs
web.template web.gallery web.hatchery.genome
web.quiz.quiz web.quiz.scores web.quiz.page
""".split()

# Packages that are imported under other names than their own,
NAMES = {"pillow": "PIL", "beautifulsoup4": "bs4", "tensorflow-cpu": "tensorflow"}
# those that come with another, which cannot do without them,
COME_WITH = {
    "h5py": "keras",  # weights in a .keras file
    "ml_dtypes": "keras",  # bfloat16 in NumPy
    "urllib3": "requests",  # its errors come through
    "jupyter_client": "nbclient",  # starts the kernels that this talks to
    "pygments": "nbconvert",  # colours of its pages
    "IPython": "ipykernel",  # a notebook's display()
}
# and those that a person, Colab or Kaggle may have.
OPTIONAL = {"google", "kagglehub", "ipywidgets"}


def test_the_package_opens_on_six_files_and_seven_folders():
    package = env.ROOT / "pokeutils"
    found = {path.name for path in package.iterdir()} - {"__pycache__"}
    assert found == {"__init__.py", *WINGS, *(f"{name}.py" for name in CORE)}


def test_light_modules_bring_no_framework():
    names = ", ".join(f"pokeutils.{name}" for name in LIGHT)
    code = f"import sys, {names}; print(*sys.modules, sep='\\n')"
    command = [sys.executable, "-c", code]
    answer = subprocess.run(command, cwd=env.ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    loaded = set(answer.stdout.split())
    assert "pokeutils.common.plots" in loaded
    assert not loaded & {"tensorflow", "keras", "jax", "torch", "matplotlib"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_modules_say_what_they_are_and_stay_readable(path):
    text = path.read_text("utf-8")
    assert ast.get_docstring(ast.parse(text)), "open with a sentence on what it holds"
    assert len(text.splitlines()) <= LONGEST


def requirements():
    """Returns {list in pyproject.toml: what it asks for}."""
    project = tomllib.loads((env.ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return {"dependencies": project["dependencies"], **project["optional-dependencies"]}


def declared():
    """Returns {list in pyproject.toml: names of the packages in it}."""
    return {
        name: {re.match(r"[\w-]+", wanted)[0] for wanted in list_}
        for name, list_ in requirements().items()
    }


def test_environment_yml_says_what_pyproject_says():
    lists = requirements()
    wanted = sum((lists[n] for n in "dependencies cpu notebooks lab test".split()), [])
    text = (env.ROOT / "environment.yml").read_text("utf-8")
    found = re.findall(r"^ {6}- (.+?) # .+$", text, flags=re.MULTILINE)
    assert sorted(found) == sorted(wanted)
    for line in text.splitlines():  # a reason on every line that asks for something
        if re.match(r" +- (?!pip:)", line):
            assert " # " in line, line
    assert lists["gpu"][0] in text  # the comment that says what to change
    assert re.search(r"- python=(\S+)", text)[1] in ("3.11", "3.12", "3.13")


def imported(*texts):
    """Top names of what is imported in code, but for Python's own library."""
    found = set()
    for text in texts:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names


def code_of(*folders):
    """The code of all files and notebooks in folders of the project."""
    for folder in folders:
        for path in (env.ROOT / folder).rglob("*.py"):
            yield path.read_text("utf-8")
    for path in NOTEBOOKS if "notebooks" in folders else ():
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                yield "".join(cell["source"])


@pytest.mark.parametrize(
    "folders, extra",
    [(["pokeutils"], "test"), (["notebooks", "tools"], "cpu"), (["tests"], "test")],
)
def test_everything_imported_is_declared_or_comes_with_what_is(folders, extra):
    lists = {"dependencies", "cpu", "notebooks", extra}
    known = set().union(*(declared()[name] for name in lists))
    modules = {NAMES.get(name, name) for name in known}
    here = ("tests", "tools", "notebooks")
    own = {path.stem for folder in here for path in (env.ROOT / folder).rglob("*.py")}
    own |= {"pokeutils", "benchmarks", "reference"}
    for module in imported(*code_of(*folders)) - modules - own - OPTIONAL:
        owner = COME_WITH.get(module)
        assert owner in known, f"{module} is imported, but not in pyproject.toml"


def test_no_registry_host_is_named():
    hosts = ["pypi" + ".org", "python" + "hosted", "npm" + "js.", "deb" + ".debian"]
    found = [(path.name, h) for path, text in texts() for h in hosts if h in text]
    assert not found


def test_what_is_committed_is_small_and_has_no_picture_outside_the_gallery():
    kinds = {".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".npy", ".npz", ".zip"}
    kinds |= {".keras", ".h5", ".pkl", ".tgz"}
    gallery, pretrained = (env.ROOT / "outputs" / n for n in ("gallery", "pretrained"))
    total = 0
    for path in committed():
        total += path.stat().st_size
        limit = 12e6 if pretrained in path.parents else 1.2e6
        assert path.stat().st_size <= limit, path
        allowed = {gallery, pretrained} & set(path.parents)
        assert allowed or path.suffix.lower() not in kinds, path
    assert total < 40e6


def test_licence_and_notice_say_whose_it_is():
    assert "MIT License" in (env.ROOT / "LICENSE").read_text("utf-8")
    notice = (env.ROOT / "NOTICE").read_text("utf-8")
    for owner in ("Nintendo", "Creatures Inc.", "GAME FREAK inc.", "Apache-2.0"):
        assert owner in notice
    assert re.search(r"not\s+affiliated", notice)
