"""The feeds on a phone, in a real browser: nothing is cut off, and what is away is said in the reader's language."""

from playwright.sync_api import expect
from pymysql.err import OperationalError
from sqlalchemy import select

from rotation.feeds.staying import Outage, in_words, needed_of
from rotation.store import tables as t
from tests.e2e.web.conftest import Open, Served

PHONE = {"width": 360, "height": 740}


def test_feeds_fit_a_phone_and_an_outage_is_said_in_chinese(served: Served, open_as: Open) -> None:
    error = OperationalError(2003, "Can't connect to MySQL server on 'koha-database-of-the-city.example' (timed out)")
    with served.engine.begin() as connection:
        who = connection.scalar(select(t.users.c.name).where(t.users.c.role == "administrator"))
    outage = Outage(served.engine, "koha")
    outage.begin(in_words(error), needed_of(error))
    try:
        page = open_as(str(who), language="zh", size=PHONE)
        page.goto("/feeds")
        expect(page.locator("table.stacked")).to_contain_text("连不上图书馆业务系统的数据库")
        wide = page.evaluate(
            "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1 &&"
            " !e.closest('thead')).map(e => e.outerHTML.slice(0, 80))"
        )
        assert wide == []
    finally:
        outage.end()
