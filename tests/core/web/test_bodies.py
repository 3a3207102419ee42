"""What a request says of its body, before anybody reads it."""

from __future__ import annotations

import io

import pytest
from django.test import Client

from core.models import User
from muster import SMALL_BODY_BYTES


@pytest.mark.django_db(databases=["default", "jobs", "history"])
@pytest.mark.parametrize("charset", ["utf-7", "unicode_escape", "utf-16", "latin-1"])
def test_what_is_not_in_utf_8_is_refused(charset: str) -> None:
    """Half a surrogate pair, which no database can store, or another name than was written."""
    form = b'--m\r\nContent-Disposition: form-data; name="username"\r\n\r\n+2AA-\\ud800\r\n--m--\r\n'
    kind = f"multipart/form-data; boundary=m; charset={charset}"
    answer = Client().generic("POST", "/accounts/login/", form, kind)
    assert (answer.status_code, "UTF-8" in answer.text) == (415, True)
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    assert client.get("/attendance/?q=%2B2AA-", headers={"Content-Type": f"x/y; charset={charset}"}).status_code == 415


@pytest.mark.django_db(databases=["default", "jobs", "history"])
@pytest.mark.parametrize("charset", ["utf-8", "UTF8", "no such thing"])
def test_utf_8_is_taken_by_any_of_its_names(charset: str) -> None:
    form = '--m\r\nContent-Disposition: form-data; name="username"\r\n\r\nÉ\r\n--m--\r\n'.encode()
    kind = f"multipart/form-data; boundary=m; charset={charset}"
    answer = Client().generic("POST", "/accounts/login/", form, kind)
    assert answer.status_code == 200
    assert 'value="É"' in answer.text


@pytest.mark.django_db(databases=["default", "jobs", "history"])
@pytest.mark.parametrize("path", ["/upload/", "/restore/"])
def test_whoever_is_not_signed_in_any_more_is_told_so_and_led_on(path: str) -> None:
    answer = Client().post(path, {"file": io.BytesIO(b"x" * SMALL_BODY_BYTES)})
    assert answer.status_code == 403
    assert "You are not signed in any more. Nothing was changed." in answer.text
    assert 'href="/accounts/login/"' in answer.text
