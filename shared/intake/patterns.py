"""The pattern that scanners search with: every SAS and every account key, with the text around it.

A match begins at most 800 characters before a credential (250 in a long line), and ends at most 400 after it, between
words. The account and the container often stand there, and `shared.sas` reads them from the match. Credentials near
each other are one match: a scanner does not search again in what it has matched, so a context that ended in the
middle of the next credential would hide it. For the same reason there is one pattern for both kinds: two would cut
each other's credentials, and a cut token looks like an altered one.

Written for RE2 (github.com/google/re2/wiki/Syntax), which all three scanners use: no lookaround, no repetition above
1,000. There is no capturing group, so that the scanners report the whole match, and `--redact` masks all of it.
"""

NAME = "azure-storage-credential"
DESCRIPTION = "Azure Storage credential (shared access signature or account key) with its surroundings"

_ANY = r"(?:.|\n)"
_END_OF_WORD = r"[\s\"'<>`]"
_REST_OF_WORD = r"[^\s\"'<>`]*"

# Characters of a credential, as they are or escaped: %2B, %252B, \u002B, \/, &#43;, =3D.
_CHARACTER = (
    r"(?:[A-Za-z0-9+/]|%(?:25)*2[BbFf]|\\+u002[BbFf]|\\+x2[BbFf]|\\+/|&(?:amp;)*(?:#43|#47|#x2[BbFf]|plus|sol);)"
)
_PLUS = r"(?:\+|%(?:25)*2[Bb]|\\+u002[Bb]|\\+x2[Bb]|&(?:amp;)*(?:#43|#x2[Bb]|plus);)"
_EQUALS = r"(?:=(?:3D)?|%(?:25)*3[Dd]|\\+u003[Dd]|\\+x3[Dd]|&(?:amp;)*(?:#61|#x3[Dd]|equals);)"
# Between two parts of a credential that is written in several literals or lines.
_JOINT = r"(?:[\"'`][\s+.,&_\\();]*[\"'`]|[=\\`^]?\r?\n[ \t>#*+|-]*)"


def _characters(count: int) -> str:
    return rf"{_CHARACTER}(?:{_JOINT}?{_CHARACTER}){{{count - 1}}}"


# `sig` as a parameter, a member, an argument: sig=, sig%3D, "sig":, --data-urlencode sig==.
_SIGNATURE = (
    rf"(?:\b|26|3[Ff]|\\[nrt])sig[\"'\])]{{0,3}}\s{{0,4}}(?:==|=>|:=|[:,>\[(]|{_EQUALS})[^A-Za-z0-9%\\\n]{{0,8}}"
    rf"{_characters(43)}(?:{_EQUALS}|[^A-Za-z0-9+/_(-]|$)"
)

# Not behind a hyphen, as the sums of package managers are: sha512-….
_KEY_BEGINS = r"(?:^|[^A-Za-z0-9+/-]|%[0-9A-Fa-f]{2}|\\u00[0-9A-Fa-f]{2}|\\[nrt])"
_PADDING = rf"(?:{_EQUALS}){{2}}"
_KEY = rf"{_KEY_BEGINS}{_characters(86)}{_PADDING}"
# "Identifiable keys" of github.com/microsoft/security-utilities: the service's mark at the characters 76 to 79.
_MARK = rf"{_PLUS}{_JOINT}?A{_JOINT}?S{_JOINT}?t"
_MARKED_KEY = rf"{_KEY_BEGINS}{_characters(76)}{_JOINT}?{_MARK}{_JOINT}?{_characters(6)}{_PADDING}"

# Encoded in base64, as in a Kubernetes secret: "sig=" and "AccountKey=" at each of three offsets, and a key alone.
# The scanners decode base64, too, but not short values: the account's name beside a key would stay encoded.
_BASE64 = r"[A-Za-z0-9+/_-]"
_ENCODED_SIGNATURE = rf"(?:c2lnP|[HXn3]NpZz[01]|zaWc9){_BASE64}{{57,}}"
_ENCODED_KEY = (
    rf"(?:(?:QWNjb3VudEtleT[01]|FjY291bnRLZXk9|BY2NvdW50S2V5P){_BASE64}{{110,}}"
    rf"|(?:^|[^A-Za-z0-9+/_-]){_BASE64}{{115}}9PQ(?:==|o=))"
)

# A key without the mark is one of storage if a word near it says so: other 64 bytes in base64 are hashes.
_LABEL = r"(?i:account|storage|azure|\.core\.|key[12]|access_?key)"
_LABELED_KEY = rf"(?:{_LABEL}{_ANY}{{0,600}}?{_KEY}|{_KEY}{_ANY}{{0,200}}?{_LABEL})"

_FIRST = rf"(?:{_SIGNATURE}|{_ENCODED_SIGNATURE}|{_LABELED_KEY}|{_MARKED_KEY}|{_ENCODED_KEY})"
_MORE = rf"(?:{_SIGNATURE}|{_ENCODED_SIGNATURE}|{_KEY}|{_ENCODED_KEY})"

# From the beginning of a line; in a long line from that of a word, or all of a long word. Each place where a match
# may begin costs time, and words begin more often than lines.
_BEFORE = rf"(?:(?:^|\n){_ANY}{{0,800}}?|{_END_OF_WORD}{_ANY}{{0,250}}?|{_REST_OF_WORD})"

REGEX = (
    rf"{_BEFORE}{_FIRST}{_REST_OF_WORD}"
    rf"(?:{_ANY}{{0,1000}}?{_MORE}{_REST_OF_WORD})*"
    rf"(?:{_ANY}{{0,400}}(?:{_END_OF_WORD}|$))?"
)

KEYWORDS = (
    *("sig=", "sig%", "sig\\", 'sig"', "sig'", "sig:", "sig =", "sig&", "sig,", "sig>", "sig]", "sig("),
    *("account", "storage", "azure", ".core.", "key1", "key2", "accesskey", "access_key", "+ast", "2bast"),
    *("c2lnp", "npzz", "zawc9", "qwnjb3vudetlet", "fjy291bnrlzxk9", "by2nvdw50s2v5p"),
)
"""In lower case. One of them is in every text that the pattern matches, but for a mark that is written in parts."""
