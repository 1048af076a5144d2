#!/usr/bin/env bash
# hanziconv 0.3.2: text that is simplified already is changed, so that titles and authors no longer match themselves.
#
# Guess: `toSimplified` leaves simplified text as it is, as opencc and zhconv do.
# Seen: 鲁迅著 ("by Lu Xun", as each catalogue record ends) becomes 鲁迅着, 瞭望 becomes 了望, 乾隆 becomes 干隆: characters that
#   stand in both scripts are replaced one by one, without their words.
# Mend: opencc (t2s) or zhconv (zh-cn), which know words.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check hanziconv==0.3.2 zhconv==1.4.3 opencc==1.1.9
"$folder/env/bin/python" - <<'PYTHON'
import opencc
import zhconv
from hanziconv import HanziConv

simplify = opencc.OpenCC("t2s").convert
for simplified, spoilt in {"鲁迅著": "鲁迅着", "瞭望": "了望", "乾隆王朝": "干隆王朝"}.items():
    print(simplified, "hanziconv", HanziConv.toSimplified(simplified), "opencc", simplify(simplified))
    assert HanziConv.toSimplified(simplified) == spoilt
    assert simplify(simplified) == zhconv.convert(simplified, "zh-cn") == simplified
PYTHON
