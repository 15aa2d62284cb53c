"""Makes a package for Python 3 of the Autobahn|Testsuite, which was written for Python 2.

usage: port.py SDIST INTO

SDIST is the unpacked source distribution; INTO/autobahntestsuite becomes the package. lib2to3 does
the syntax, so Python 3.12 is the newest that will do. What it cannot know is one thing: Python 2's
`str` were octets. In the ported cases they are `str` of which each character is one octet
(latin-1); suite.py turns them into `bytes` where they meet the library and back again.
"""

import pathlib
import re
import shutil
import sys
import warnings

warnings.simplefilter("ignore", DeprecationWarning)
from lib2to3.refactor import RefactoringTool, get_fixers_from_package

# The parts that run cases; the rest makes reports, or tests something else.
FOLDERS = ["case", "testdata"]
FILES = ["_version.py", "caseset.py", "fuzzing.py", "interfaces.py", "report.py"]

# In which file, what, and what stands there now.
CHANGES = [
    # Equal pickles of `str` and `bytes` are not to be had.
    ("case/case.py", "pickle.dumps(obj1) == pickle.dumps(obj2)", "octets.same(obj1, obj2)"),
    ("case/case.py", "import pickle", "from autobahntestsuite import octets"),
    ("fuzzing.py", "import reactor, ssl", "import reactor"),
    ("fuzzing.py", "self.contextFactory = ssl.ClientContextFactory()", "self.contextFactory = None"),
]

# The same in every file: a pattern and what replaces it.
PATTERNS = [
    (r"^import binascii\s*$", "from autobahntestsuite import octets as binascii\n"),
    (r"^import (.*), binascii(.*)$", r"import \1\2\nfrom autobahntestsuite import octets as binascii"),
    (r"^from autobahn\.websocket\.utf8validator import", "from autobahntestsuite.octets import"),
    (r"^from zope\.interface import implements\s*$", ""),
    (r"^\s+implements\(.*\)\s*$", ""),
    # `object` before its own subclass is no order in which Python 3 can look for methods.
    (r"\(object, *(Case\w*)\s*,?\s*\)", r"(\1,)"),
    (r"len\(self\.payload\) / self\.p\.auto", "len(self.payload) // self.p.auto"),
]

OCTETS = '''\
"""Strings of octets, each of them a character: what Python 2's `str` were."""

import binascii
from autobahn.websocket import utf8validator


def to_bytes(octets):
    return octets.encode("latin-1") if isinstance(octets, str) else octets


def to_str(octets):
    return octets.decode("latin-1") if isinstance(octets, (bytes, bytearray)) else octets


def same(one, other):
    return normal(one) == normal(other)


def normal(value):
    return [normal(part) for part in value] if isinstance(value, (list, tuple)) else to_str(value)


def b2a_hex(octets):
    return binascii.hexlify(to_bytes(octets)).decode()


hexlify = b2a_hex


class Utf8Validator(utf8validator.Utf8Validator):
    def validate(self, octets):
        return super().validate(to_bytes(octets))
'''


def main(sdist, into):
    package = into / "autobahntestsuite"
    shutil.rmtree(package, ignore_errors=True)
    source = sdist / "autobahntestsuite"
    for folder in FOLDERS:
        shutil.copytree(source / folder, package / folder)
    for name in FILES:
        shutil.copy(source / name, package)
    (package / "__init__.py").write_text("from autobahntestsuite._version import __version__ as version\n")

    changes = list(CHANGES)
    tool = RefactoringTool(get_fixers_from_package("lib2to3.fixes"))
    for path in sorted(package.rglob("*.py")):
        name = str(path.relative_to(package))
        text = path.read_text(encoding="utf-8").rstrip() + "\n"
        text = escaped(str(tool.refactor_string(text, str(path))))
        for pattern, replacement in PATTERNS:
            text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
        for change in [change for change in changes if change[0] == name and change[1] in text]:
            text = text.replace(*change[1:])
            changes.remove(change)
        path.write_text(text, encoding="utf-8")
    (package / "octets.py").write_text(OCTETS)
    if changes:
        sys.exit(f"this is not the release that port.py knows; not found: {changes}")


def escaped(text):
    """A character beyond ASCII in a literal meant the octets of its UTF-8."""
    return re.sub(r"[^\x00-\x7f]", lambda found: "".join(f"\\x{o:02x}" for o in found[0].encode()), text)


if __name__ == "__main__":
    main(*map(pathlib.Path, sys.argv[1:3]))
