"""URLs as sources: what is one, and how it is told, without what is secret in it."""

from __future__ import annotations

import os
import re
from typing import Any

URL = re.compile(r"[a-z0-9+.-]+(?:::[a-z0-9+.-]+)*://", re.IGNORECASE)
USER = re.compile(r"(?<=://)[^/\s]*@")  # and password
SECRET = re.compile(r"([?&#][^=&\s]*(?:sig|key|token|secret|passw|pwd|auth|credential)[^=&\s]*=)[^&\s]*", re.IGNORECASE)


def is_url(source: Any) -> bool:
    """Whether it is a URL, and no path at which there is something."""
    return isinstance(source, str) and "://" in source and URL.match(source) is not None and not os.path.lexists(source)


def is_web(source: str) -> bool:
    """Whether it is a URL that a browser follows."""
    return source.lower().startswith(("http://", "https://"))


def is_web_folder(url: str) -> bool:
    """Whether it is that of a folder whose files a browser finds."""
    return is_web(url) and url.endswith("/")


def without_secrets(text: str) -> str:
    """A URL, or what is said of some, as it may be told: without users, passwords, and signatures in queries."""
    return SECRET.sub(r"\1...", USER.sub("", text)) if "://" in text else text


def name_within(url: str, name: str) -> str:
    """What messages call a file within a URL."""
    told = without_secrets(url)
    if "::" in url:  # the first part of which names what is in the second
        return f"{told}: {name}"
    return f"{told}{name}" if told.endswith("/") else f"{told}/{name}"
