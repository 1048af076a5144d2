"""Opening hours as people write them: read into days and times, or named as unread."""

import pytest

from rotation.feeds.opening_hours import read

WRITTEN = {
    "周一闭馆 周二至周五 13:00-20:00 周六至周日 9:30-18:00": {
        "tue-fri": ["13:00-20:00"],
        "sat-sun": ["09:30-18:00"],
    },
    "星期二到星期六 8：30～11：30，13：30～17：00；星期日、星期一休息": {"tue-sat": ["08:30-11:30", "13:30-17:00"]},
    "周一至周五上午8:30-11:30 下午1:30-5:00 节假日闭馆": {"mon-fri": ["08:30-11:30", "13:30-17:00"]},
    "每天 08:00-12:0014:00-18:0019:00-21:00": {"mon-sun": ["08:00-12:00", "14:00-18:00", "19:00-21:00"]},
    "周一周三周五10:00-20:00周二周四16:00-20:00周六日9:00-17:00": {
        "mon": ["10:00-20:00"],
        "tue": ["16:00-20:00"],
        "wed": ["10:00-20:00"],
        "thu": ["16:00-20:00"],
        "fri": ["10:00-20:00"],
        "sat-sun": ["09:00-17:00"],
    },
    "周一至周五 8:00-20:00 周末 9:00-18:00（周三、节假日不开放）": {
        "mon-tue": ["08:00-20:00"],
        "thu-fri": ["08:00-20:00"],
        "sat-sun": ["09:00-18:00"],
    },
    "周二至周日白天 9:00-17:00 周二至周四晚上18:00-20:00": {
        "tue-thu": ["09:00-17:00", "18:00-20:00"],
        "fri-sun": ["09:00-17:00"],
    },
    "9:00-18:00": {"mon-sun": ["09:00-18:00"]},
    "周二至周日 8:30-24:00": {"tue-sun": ["08:30-24:00"]},
    "Mon-Fri 9am-5:30pm; Sat 10am-1pm; closed Sunday": {"mon-fri": ["09:00-17:30"], "sat": ["10:00-13:00"]},
    "Tu-Su 09:00-12:00,14:00-18:00; Mo off; PH off": {"tue-sun": ["09:00-12:00", "14:00-18:00"]},
    "周一、三、五 14:00-18:00，周六、日10:00-16:00": {
        "mon": ["14:00-18:00"],
        "wed": ["14:00-18:00"],
        "fri": ["14:00-18:00"],
        "sat-sun": ["10:00-16:00"],
    },
    "星期六、一至三 9:00-12:00": {"mon-wed": ["09:00-12:00"], "sat": ["09:00-12:00"]},
    "周四、一楼 9:00-12:00": {"thu": ["09:00-12:00"]},
    "周三至周日上午9点半至17点15分": {"wed-sun": ["09:30-17:15"]},
    "8时至20时": {"mon-sun": ["08:00-20:00"]},
    "每天（周二除外）10:00-18:00": {"mon": ["10:00-18:00"], "wed-sun": ["10:00-18:00"]},
    "周一至周五24小时开放": {"mon-fri": ["00:00-24:00"]},
    "open 24/7": {"mon-sun": ["00:00-24:00"]},
    "24小时自助借还，阅览室周一至周日9:00-21:00": {"mon-sun": ["09:00-21:00"]},
    "Monday - Thursday 0915-1730": {"mon-thu": ["09:15-17:30"]},
    "Monday, Tuesday and Thursday 9.30-19.00": {"mon-tue": ["09:30-19:00"], "thu": ["09:30-19:00"]},
}
UNREAD = (
    "以现场公告为准",
    "与地铁站开放时间一致",
    "夏令8:30-21:00；冬令9:00-19:30",
    "暂不开放",
    "by appointment",
    "",
    "周一至周五 25:00-26:00",
    "周一 9:00-12:00 11:00-14:00",
)


@pytest.mark.parametrize("written", WRITTEN)
def test_hours_are_read_as_people_write_them(written: str) -> None:
    found = read(written)
    assert found is not None
    assert found.as_network() == WRITTEN[written]


@pytest.mark.parametrize("written", UNREAD)
def test_words_that_name_no_week_are_left_unread(written: str) -> None:
    assert read(written) is None


def test_what_is_left_out_is_noted() -> None:
    found = read("周一至周日 9:00-17:30（夜校开课期间除外）法定节假日闭馆")
    assert found is not None
    assert found.notes == ("left out: 夜校开课期间除外", "closed on public holidays")
