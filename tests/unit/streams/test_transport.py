"""What we set in aiokafka's consumer behind Faust's back is what aiokafka uses."""

import inspect

from aiokafka import AIOKafkaConsumer


async def test_a_consumer_keeps_how_long_a_fetch_waits_where_we_set_it():
    consumer = AIOKafkaConsumer(bootstrap_servers="127.0.0.1:1", fetch_max_wait_ms=1234)
    assert consumer._fetch_max_wait_ms == 1234
    assert "fetch_max_wait_ms=self._fetch_max_wait_ms" in inspect.getsource(AIOKafkaConsumer.start)
