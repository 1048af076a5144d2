"""The run's servers, as every other test gets them."""

import psycopg
from kafka import KafkaAdminClient


def test_the_runs_kafka_answers(kafka):
    client = KafkaAdminClient(bootstrap_servers=kafka)
    assert client.describe_cluster()["brokers"]
    client.close()


def test_each_test_gets_a_database_of_its_own(database, new_database):
    with psycopg.connect(database) as connection:
        connection.execute("create table mine (id int)")
    with psycopg.connect(new_database()) as other:
        assert other.execute("select to_regclass('mine')").fetchone() == (None,)
