"""The one way to a web page: a jinja template, a style sheet and a security policy.

Every page extends `base.html` and is a single file, so it opens from a disk, goes by
mail to a friend and sits on any web space. Its policy allows no request, and no script
but the page's own, which it knows by their hashes.
"""

import base64
import hashlib
import pathlib
import re

import jinja2

from pokeutils.data import sources

FOLDER = pathlib.Path(__file__).parent
POKEMON, DRAWN, OTHER = "Pokémon", "drawn", "other"  # whose the pictures are
OWNERS = {
    POKEMON: "Pokémon, their names and their pictures belong to Nintendo, Creatures "
    "Inc., GAME FREAK inc. and The Pokémon Company, who have nothing to do with this "
    "page. What a program makes from their pictures derives from them: it is here to "
    "learn from, not to sell.",
    DRAWN: "The training pictures were drawn by this project's own code.",
    OTHER: "The training pictures, and what was made from them, belong to whoever made "
    "the originals.",
}
ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(FOLDER),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.policies["json.dumps_kwargs"] = {"separators": (",", ":")}


def render(file, source="", /, scripts=(), wasm=False, **values):
    """Returns a page as text.

    file: a template that extends base.html, by its path below pokeutils/web
    source: the picture source that the page is about; its owners are named
    scripts: JavaScript texts that run in this order, after all else is there
    wasm: whether these may compile WebAssembly and read data URIs
    values: what the template asks for; all text is escaped
    Raises jinja2.UndefinedError for a value that is missing, ValueError for a script
    that HTML would cut short.
    """
    scripts = [f"\n{script.strip()}\n" for script in scripts]
    if any(re.search(r"</script|<!--", script, re.IGNORECASE) for script in scripts):
        raise ValueError("A script with </script or <!-- in it cannot go into a page.")
    return ENVIRONMENT.get_template(file).render(
        values,
        scripts=scripts,
        policy=_policy(scripts, wasm),
        whose=whose(source),
        owners=OWNERS[whose(source)],
    )


def _policy(scripts, wasm):
    """Returns the content security policy: data URIs as pictures, these scripts."""
    rules = ["default-src 'none'", "img-src data:", "style-src 'unsafe-inline'"]
    rules += ["form-action 'none'", "base-uri 'none'"]
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
    allowed = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
    if wasm:
        allowed.append("'wasm-unsafe-eval'")
        rules.append("connect-src data:")
    return "; ".join([*rules, f"script-src {' '.join(allowed)}"] if allowed else rules)


def whose(source):
    """Returns POKEMON if any picture of a source is of them, else DRAWN or OTHER."""
    try:
        owner = sources.describe(source).owner
    except ValueError:  # such as a source that only an older run knows
        return OTHER
    if sources.OWNER in owner:
        return POKEMON
    return DRAWN if source == "doodles" else OTHER


def data_uri(data, kind):
    """Returns bytes as an address that holds them; `kind` is such as "image/png"."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
