"""A phone whose camera sees a label."""

import base64
import io

import barcode
from barcode.writer import SVGWriter

# What the phone sees: a picture in the place of the camera's.
SEES = """
window.see = (address) => new Promise((resolve) => {
  const picture = new Image();
  picture.onload = () => { window.seen = picture; resolve(); };
  picture.src = address;
});
navigator.mediaDevices.getUserMedia = async () => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 960, height: 540 }), drawn = canvas.getContext("2d");
  setInterval(() => {
    drawn.fillStyle = "white"; drawn.fillRect(0, 0, 960, 540);
    drawn.drawImage(window.seen, 180, 120, 600, 300 * Math.min(1, 2 * window.seen.height / window.seen.width));
  }, 50);
  return canvas.captureStream(20);
};
"""


def code_128(code: str) -> str:
    out = io.BytesIO()
    barcode.get("code128", code, writer=SVGWriter()).write(out)
    return "data:image/svg+xml;base64," + base64.b64encode(out.getvalue()).decode()
