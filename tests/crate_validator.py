"""Judges an RO-Crate with rocrate-validator, without a network.

``.venv/crate-validator/bin/python tests/crate_validator.py CRATE CONTEXT``: CONTEXT is a file with
RO-Crate's JSON-LD context, in place of the one on the web. Prints the issues as JSON lines.
"""

from __future__ import annotations

import email.message
import io
import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

import requests
from rocrate_validator import models, services

_KIND = "application/ld+json"
_CONTEXT = Path(sys.argv[2]).read_bytes()


class Answer(io.BytesIO):
    """What urllib hands out."""

    status = code = 200

    def __init__(self, url: str) -> None:
        super().__init__(_CONTEXT)
        self.url = url
        self.headers = email.message.Message()
        self.headers["Content-Type"] = _KIND

    def geturl(self) -> str:
        return self.url

    def info(self) -> email.message.Message:
        return self.headers


def answer_urllib(_self: object, request: Any, *_: Any, **__: Any) -> Answer:
    return Answer(request if isinstance(request, str) else request.full_url)


def answer_requests(_self: object, _method: str, url: str, *_: Any, **__: Any) -> Any:
    answer = requests.Response()
    answer.status_code, answer.url = 200, url
    answer._content = _CONTEXT
    answer.headers["Content-Type"] = _KIND
    return answer


urllib.request.OpenerDirector.open = answer_urllib
requests.Session.request = answer_requests

for profile in ("ro-crate-1.1", "process-run-crate"):
    settings = services.ValidationSettings(
        rocrate_uri=sys.argv[1],
        profile_identifier=profile,
        requirement_severity=models.Severity.RECOMMENDED,
    )
    result = services.validate(settings)
    print(json.dumps({"profile": profile, "checks": len(result.executed_checks)}))
    for issue in result.get_issues():
        print(json.dumps({"severity": issue.severity.name, "message": issue.message}))
