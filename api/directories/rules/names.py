"""Names as people read them: out of a register's CAPITALS, and into one form to compare by.

A rule of thumb, not a dictionary: it lowers what is surely a word and leaves in capitals what is
likely an abbreviation. A name that already has a small letter is left as its owner wrote it.
"""

import re
import unicodedata
from typing import Final

# Abbreviations with a vowel in them, which by their letters alone could be words.
_HAVE_VOWELS = """
    ADHD AFC AFM AGSB AIDS AOG BAME BAPS BME BSL CAB CE CIC CIO CISV DASH DOFE EPRA FPTA GMCVO
    HCA HIV ICW IOW JMI LGBT LGBTQ LGBTQIA NAS NASUWT NATO NI NSPCC PE PHAB PICU PSA PTA PTFA
    QBE RAF RAFA RAOB RCCG RDA RNIB RNLI RSA RSPB RSPCA SAS SCIO SOS SPUC STEM TA UFM UK UN
    UNICEF USA UWT WAGGGS WEA WI YHA YMCA YWCA
"""
_TITLES = "ST LTD MR MRS DR FR SR JR REVD BROS PT MT"
_JOINING = (
    "a an and as at by de der des di du for from in into la le of on or the to upon with y yr"
)

_ABBREVIATIONS: Final = frozenset(_HAVE_VOWELS.split())
_ROMAN: Final = frozenset({"II", "III", "IV", "VI", "VII", "VIII", "IX", "XI", "XII"})
_NOT_ABBREVIATIONS: Final = frozenset(_TITLES.split())
_SMALL: Final = frozenset(_JOINING.split())

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_DOTTED = re.compile(r"(?:[^\W\d_]\.){2,}(?:[^\W\d_](?![^\W_]))?")
_ORDINAL = re.compile(r"(\d+)(ST|ND|RD|TH|'S|\u2019S|S)", re.IGNORECASE)
_MISTYPED_ORDINAL = re.compile(r"\b(\d+)(St|Nd|Rd|Th)\b")
_INITIALS = re.compile(r"\(([^\W\d_]{2,6})\)")
_VOWEL = re.compile("[AEIOUY]")
_MAC = re.compile("MC[A-Z]{3,}")
_APOSTROPHES = re.compile("['`\u2018\u2019\u02bc]")
_NOT_COMPARED = re.compile(r"[\W_]+")


def readable_name(name: str) -> str:
    """Return ``name`` fit to be read: "THE ST ANN'S PTA (UK)" becomes "The St Ann's PTA (UK)".

    Changes only names without a single small letter, and "1St" in any.
    """
    if name.upper() != name:
        return _MISTYPED_ORDINAL.sub(lambda found: found[0].lower(), name)
    kept = [found.span() for found in _DOTTED.finditer(name)] + _initials_of_what_precedes(name)
    words = list(_WORD.finditer(name))
    pieces: list[str] = []
    at = 0
    for place, word in enumerate(words):
        pieces.append(name[at : word.start()])
        at = word.end()
        if any(begin <= word.start() and word.end() <= end for begin, end in kept):
            pieces.append(word[0])
            continue
        pieces.append(_one_word(word[0], opens=_opens(name, words, place)))
    pieces.append(name[at:])
    return "".join(pieces)


def name_to_compare(name: str) -> str:
    """Return the form two spellings of one name share: no case, accents, points or "&".

    Letters and figures of any script, single spaces; empty when the name has neither.
    """
    plain = unicodedata.normalize("NFKD", name).casefold().replace("&", " and ")
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return " ".join(_NOT_COMPARED.sub(" ", _APOSTROPHES.sub("", plain)).split())


def _opens(name: str, words: list[re.Match[str]], place: int) -> bool:
    """Say whether a word opens the name or a part of it, and so has a capital even if small."""
    if place == 0:
        return True
    between = name[words[place - 1].end() : words[place].start()]
    return any(sign in between for sign in '(:"\u201c/') or " - " in between


def _one_word(word: str, *, opens: bool) -> str:
    if len(word) == 1:
        return "a" if word == "A" and not opens else word
    if (found := _ORDINAL.fullmatch(word)) is not None:
        return found[1] + found[2].lower()
    if any(letter.isdigit() for letter in word):
        return _with_figures(word)
    if _stays(word):
        return word
    small = word.lower()
    if small in _SMALL and not opens:
        return small
    if "'" in word or "\u2019" in word:
        return _with_apostrophe(word)
    return _with_capital(word)


def _stays(word: str) -> bool:
    if word in _NOT_ABBREVIATIONS:
        return False
    if word in _ABBREVIATIONS or word in _ROMAN:
        return True
    return word.isascii() and word.isalpha() and not _VOWEL.search(word)


def _with_figures(word: str) -> str:
    """U3A and BD4 stay; HEADSTART4BABIES becomes Headstart4Babies."""
    runs = re.findall(r"\d+|\D+", word)
    if all(len(run) <= 3 for run in runs):
        return word
    return "".join(run.capitalize() for run in runs)


def _with_apostrophe(word: str) -> str:
    """WOMEN'S becomes Women's, O'BRIEN O'Brien: a capital follows one single letter only."""
    head, mark, tail = re.split("(['\u2019])", word, maxsplit=1)
    rest = tail.capitalize() if len(head) == 1 and len(tail) > 1 else tail.lower()
    return _with_capital(head) + mark + rest


def _with_capital(word: str) -> str:
    """SMITH becomes Smith, MCDONALD McDonald."""
    return "Mc" + word[2:].capitalize() if _MAC.fullmatch(word) else word.capitalize()


def _initials_of_what_precedes(name: str) -> list[tuple[int, int]]:
    """Return the spans of words in brackets made of the first letters of the words before."""
    spans: list[tuple[int, int]] = []
    for found in _INITIALS.finditer(name):
        before = _WORD.findall(name[: found.start()])
        every = "".join(word[0] for word in before)
        without_small = "".join(word[0] for word in before if word.lower() not in _SMALL)
        for letters in (every, without_small):
            if letters.endswith(found[1]):
                spans.append(found.span())
                break
    return spans
