#!/usr/bin/env bash
# WeasyPrint 70.0: importing it makes Pillow take half a picture for a whole one, in the whole process.
#
# Guess: a library that writes PDFs leaves other libraries as they are; Pillow raises OSError for a picture that was cut off.
# Seen: `import weasyprint` sets Pillow's ImageFile.LOAD_TRUNCATED_IMAGES. From then on a photo of which a third arrived loads without an
#   error, grey where it is missing, in code that never heard of WeasyPrint.
# Mend: rotation/hands/photos.py sets it back before it looks at a photo.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check weasyprint==70.0 pillow==13.0.0
"$folder/env/bin/python" - <<'PYTHON'
from io import BytesIO

from PIL import Image

whole = BytesIO()
Image.effect_noise((400, 300), 80).save(whole, "JPEG")
part = whole.getvalue()[: len(whole.getvalue()) // 3]


def loads() -> bool:
    try:
        Image.open(BytesIO(part)).load()
    except OSError as error:
        print("refused:", error)
        return False
    print("taken")
    return True


assert not loads()
import weasyprint  # noqa: E402, F401

assert loads()
PYTHON
