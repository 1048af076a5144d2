"""Natural order, and names in place of ids."""

from rotation.language.catalogues import language
from rotation.language.names import subject_named, van_names
from rotation.language.natural import natural
from tests import web_city


def test_numbers_are_sorted_by_value_and_case_does_not_count():
    assert sorted(["van-10", "Van-2", "van-1"], key=natural) == ["van-1", "Van-2", "van-10"]


def test_a_van_without_a_name_is_called_by_its_hub_and_its_number_there():
    network = web_city.demo()
    van = next(van for van in network.vans if van.id == "van-gudu-1")
    hub = network.place[van.hub].name
    assert van_names(network, language("en"))[van.id] == f"{hub.en}, van 1"
    assert van_names(network, language("zh"))[van.id] == f"{hub.zh} 1 号车"


def test_the_subject_of_a_decision_is_said_in_words():
    network, english = web_city.demo(), language("en")
    assert subject_named(network, english, "day:2026-03-12") == "The whole day, Mar 12, 2026"
    assert subject_named(network, english, "run:20260312-van-gudu-1").endswith("van 1, Mar 12, 2026")
    assert subject_named(network, english, "transfer:t7") == "Transfer t7"
