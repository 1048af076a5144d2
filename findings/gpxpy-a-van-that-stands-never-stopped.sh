#!/usr/bin/env bash
# gpxpy 1.6.2: the time that a van stands on one spot is neither moving nor stopped.
#
# Guess: moving time and stopped time add up to the duration of a track without gaps.
# Seen: `get_moving_data` leaves out each pair of points with no distance between them, so five minutes at a branch with the same fix
#   every ten seconds are 0 s of standing; a receiver that wavers by a decimetre gives 300 s. Time on site, worked out so, is
#   nothing for just those receivers that hold a position still while parked.
# Mend: standing time = `get_duration()` less `moving_time`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check gpxpy==1.6.2
"$folder/env/bin/python" - <<'PYTHON'
from datetime import UTC, datetime, timedelta

from gpxpy.gpx import GPX, GPXTrack, GPXTrackPoint, GPXTrackSegment


def track(waver):
    """A van drives for ten minutes and stands for five, with a fix every ten seconds."""
    gpx, segment = GPX(), GPXTrackSegment()
    gpx.tracks.append(GPXTrack())
    gpx.tracks[0].segments.append(segment)
    for step in range(91):
        latitude = 31.2 + 0.001 * min(step, 60) + (waver if step > 60 and step % 2 else 0)
        instant = datetime(2026, 3, 2, 9, tzinfo=UTC) + timedelta(seconds=10 * step)
        segment.points.append(GPXTrackPoint(latitude, 121.4, time=instant))
    return gpx


for waver, stopped in ((0, 0), (1e-6, 300)):
    gpx = track(waver)
    moving = gpx.get_moving_data(raw=True)
    print(f"waver {waver}: duration {gpx.get_duration()}, moving {moving.moving_time}, stopped {moving.stopped_time}")
    assert (gpx.get_duration(), moving.moving_time, moving.stopped_time) == (900, 600, stopped)
PYTHON
