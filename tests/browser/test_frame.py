"""Signing in, the frame around every page, and the error pages."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PHONE, OpenAs
from tests.world import PASSWORD, World


@pytest.mark.parametrize("javascript", [True, False])
def test_sign_in_and_out(world: World, open_as: OpenAs, javascript: bool) -> None:
    opened = open_as(None, javascript=javascript)
    page = opened.go("/")
    page.fill("#id_username", "administrator")
    page.fill("#id_password", "wrong")
    page.click("main button")
    assert "correct" in page.inner_text("[role=alert]")
    page.fill("#id_username", "administrator")
    page.fill("#id_password", PASSWORD)
    page.click("main button")
    assert "Asha Builders" in page.inner_text("body")
    page.click("text=Sign out")
    assert page.url.startswith(opened.base + "/accounts/login/")


def test_the_theme_is_remembered(world: World, open_as: OpenAs) -> None:
    page = open_as("root").go("/")
    assert page.get_attribute("html", "data-bs-theme") == "light"
    page.click("[data-theme-switch]")
    assert page.get_attribute("html", "data-bs-theme") == "dark"
    page.reload()
    assert page.get_attribute("html", "data-bs-theme") == "dark"


def test_the_link_of_the_page_is_in_sight(world: World, open_as: OpenAs) -> None:
    page = open_as("root", width=PHONE).go("/backup/log/")
    expect(page.locator("nav [aria-current=page]")).to_have_text("Backup log")
    expect(page.locator("nav [aria-current=page]")).to_be_in_viewport(ratio=1)


def test_frame_looks(world: World, open_as: OpenAs) -> None:
    signed_out = open_as(None, width=PHONE)
    signed_out.go("/accounts/login/")
    signed_out.look("login")
    opened = open_as("root", width=PHONE)
    opened.go("/accounts/password/").click("main button")
    opened.look("change_password")
    opened.allowed.add(404)
    opened.go("/nowhere/")
    opened.look("404")
