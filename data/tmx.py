"""Reader of TMX, the exchange format of translation memories (TMX 1.4b specification, LISA OSCAR, 2005)."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers.expat import ErrorString

from datasets import Dataset, IterableDataset

from data import cache
from data.files import CorpusFile
from errors import UserError

XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
CODES = {"bpt", "ept", "it", "ph", "ut"}  # elements that hold mark-up of the original document, not text


def read_tmx(
    files: list[CorpusFile], source_lang: str, target_lang: str, *, streaming: bool
) -> Dataset | IterableDataset:
    """Return the sentence pairs of TMX files as columns src and tgt; a unit without a language has an empty side."""
    unpacked = [(file.unpack(), file.name) for file in files]
    changed = [path.stat().st_mtime_ns for path, _ in unpacked]
    languages = (source_lang, target_lang)  # a tuple: `datasets` would split a list among processes, as it does files
    options = {"files": unpacked, "languages": languages, "stamp": f"{cache.code_stamp()} {changed}"}
    make = IterableDataset.from_generator if streaming else Dataset.from_generator
    return make(read_units, gen_kwargs=options)


def read_units(files: list[tuple[Path, str]], languages: tuple[str, str], stamp: str) -> Iterator[dict[str, str]]:
    """Yield the sentence pairs of TMX files.

    Args:
        files: paths, and names in messages.
        languages: source and target; `en` includes `EN` and `en-GB`.
        stamp: part of the cache key; it changes no pair.

    Raises:
        UserError: if a file is not XML, or no unit has both languages.
    """
    for path, name in files:
        seen: set[str] = set()
        n_pairs = 0
        try:
            for unit in iterate_units(path):
                seen |= unit.keys()
                src, tgt = (text_in(unit, language) for language in languages)
                n_pairs += bool(src and tgt)
                yield {"src": src, "tgt": tgt}
        except ElementTree.ParseError as error:
            line, _ = error.position
            raise UserError(f"{name}, line {line}: not XML ({ErrorString(error.code)})") from None
        if not n_pairs:
            found = ", ".join(sorted(seen)) or "no languages"
            raise UserError(f"{name} has no translation unit in {' and '.join(languages)}, only {found}")


def iterate_units(path: Path) -> Iterator[dict[str, str]]:
    """Yield the text of each translation unit by language, as the file writes it; of two variants the first counts."""
    body = None
    for event, element in ElementTree.iterparse(path, events=("start", "end")):
        if event == "start" and element.tag == "body":
            body = element
        elif event == "end" and element.tag == "tu":
            unit: dict[str, str] = {}
            for variant in element.iter("tuv"):
                segment = variant.find("seg")
                language = variant.get(XML_LANG) or variant.get("lang") or ""  # `lang` is TMX 1.1
                unit.setdefault(language, "" if segment is None else text_of(segment))
            yield unit
            if body is not None:
                body.clear()  # otherwise the tree of the whole file would stay in memory


def text_of(element: ElementTree.Element) -> str:
    """Return the text of a segment, without the codes of the original document."""
    parts = [element.text or ""]
    for child in element:
        if child.tag not in CODES:
            parts.append(text_of(child))
        parts.append(child.tail or "")
    return "".join(parts)


def text_in(unit: dict[str, str], language: str) -> str:
    """Return the text of a unit in a language or one of its regional variants, or an empty string."""
    language = language.lower()
    for tag, text in unit.items():
        tag = tag.lower().replace("_", "-")
        if tag == language or tag.startswith(f"{language}-"):
            return text
    return ""
