"""The run sheet's code is one that phones read."""

import segno

from rotation.web.pages.sheet import _code

SHORT = "20260302-v1"


def test_a_short_runs_code_is_a_qr_code_where_segno_alone_would_choose_micro_qr():
    assert segno.make(SHORT, error="m").is_micro
    assert not _code(SHORT).is_micro
