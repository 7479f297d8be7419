"""A small way to write a page: elements, everything in them escaped, and the page around them.

A page stands alone: no script, nothing fetched, readable on a small screen and on paper.
"""

from html import escape

# Text and ground of each pair differ at least 7 to 1 (WCAG 2.2, 1.4.6).
INK, PAPER, SKY, DEEP, LEAF, SAND = (
    "#1a1a1a",
    "#ffffff",
    "#eaf3f7",
    "#0a3f57",
    "#14532d",
    "#fdf3e1",
)
PAIRS = ((INK, PAPER), (INK, SKY), (DEEP, PAPER), (LEAF, PAPER), (INK, SAND), (PAPER, DEEP))

_STYLE = f"""
* {{ box-sizing: border-box; }}
html {{ font-size: 112.5%; }}
body {{ margin: 0 auto; max-width: 46rem; padding: 1rem; color: {INK}; background: {PAPER};
  font-family: Verdana, "DejaVu Sans", Arial, sans-serif; line-height: 1.6; }}
.easy {{ font-size: 1.25rem; }}
h1 {{ font-size: 1.9rem; line-height: 1.25; color: {DEEP}; margin: 0 0 .5rem; }}
h2 {{ font-size: 1.35rem; line-height: 1.3; color: {DEEP}; margin: 2.2rem 0 .6rem;
  border-top: .2rem solid {DEEP}; padding-top: .7rem; break-after: avoid; }}
h3 {{ font-size: 1.1rem; margin: 0 0 .4rem; color: {DEEP}; }}
p, ul, ol, dl {{ margin: .5rem 0; overflow-wrap: anywhere; }}
li {{ margin: .35rem 0; }}
.idea {{ display: grid; grid-template-columns: 6.5rem 1fr; gap: 1.2rem; align-items: center;
  margin: 1rem 0; break-inside: avoid; }}
.idea p {{ margin: 0; }}
.idea svg {{ width: 100%; height: auto; display: block; }}
.card {{ background: {SKY}; border-left: .4rem solid {DEEP}; border-radius: .3rem;
  padding: .9rem 1.1rem; margin: 1rem 0; break-inside: avoid; }}
.warm {{ background: {SAND}; }}
blockquote {{ margin: .3rem 0 .8rem; font-size: 1.1em; }}
section {{ break-inside: avoid; }}
.two {{ display: grid; grid-template-columns: 1fr 1fr; gap: 0 1.5rem; }}
.two blockquote {{ margin: 0; }}
dt {{ font-weight: bold; margin-top: .5rem; }}
dd {{ margin: 0; }}
.sum {{ font-weight: bold; color: {LEAF}; white-space: nowrap; }}
table {{ border-collapse: collapse; width: 100%; }}
caption {{ text-align: left; font-weight: bold; padding: .3rem 0; }}
th, td {{ text-align: left; padding: .35rem .5rem .35rem 0; border-bottom: 1px solid {DEEP};
  vertical-align: top; }}
td.pence {{ text-align: right; white-space: nowrap; padding-right: 0; }}
footer {{ margin-top: 2.5rem; font-size: .9rem; border-top: 1px solid {DEEP}; }}
@media (max-width: 30rem) {{
  body {{ padding: .8rem; }}
  h1 {{ font-size: 1.5rem; }}
  .idea {{ grid-template-columns: 4rem 1fr; gap: .8rem; }}
  .two {{ grid-template-columns: 1fr; gap: .8rem; }}
}}
@media print {{
  body {{ max-width: none; padding: 0; font-size: 12pt; }}
  .easy {{ font-size: 15pt; }}
  .card {{ border: 1px solid {INK}; border-left: .4rem solid {INK}; background: {PAPER}; }}
}}
"""


class Html(str):
    """Text that is a page's own and is not escaped again. Only this module makes it from text."""

    __slots__ = ()


def element(name: str, *inside: str, **attributes: str) -> Html:
    """Return an element; whatever is inside and is not Html is escaped. ``class_`` is class."""
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
    )
    return Html(f"<{name}{said}>{join(*inside)}</{name}>")


def join(*parts: str) -> Html:
    """Return parts one after the other, each escaped unless it is Html."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in parts))


def listed(*items: str) -> Html:
    """Return a list with a bullet for each item."""
    return element("ul", *(element("li", item) for item in items))


def pairs(*items: tuple[str, str]) -> Html:
    """Return what is called what, as a list of pairs."""
    return element("dl", *(join(element("dt", name), element("dd", said)) for name, said in items))


def table(caption: str, rows: list[tuple[str, str]]) -> Html:
    """Return sums by name."""
    lines = (
        element("tr", element("th", name, scope="row"), element("td", sum_, class_="pence"))
        for name, sum_ in rows
    )
    return element("table", element("caption", caption), element("tbody", *lines))


def page(title: str, *parts: str, easy: bool = False) -> str:
    """Return a whole page in British English, with its title as its first heading."""
    head = element(
        "head",
        Html('<meta charset="utf-8">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", title),
        element("style", Html(_STYLE)),
    )
    body = element(
        "body",
        element("main", element("h1", title), *parts),
        element(
            "footer",
            element(
                "p",
                "Everybody here is made up. No real money moves. No one who uses support "
                "has tested this page.",
            ),
        ),
        class_="easy" if easy else "plain",
    )
    return f'<!DOCTYPE html>\n<html lang="en-GB">{head}{body}</html>\n'
