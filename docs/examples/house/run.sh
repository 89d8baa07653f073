#!/usr/bin/env bash
# Customizes one model of each tier, evaluates all, and keeps the results here:
#   bash docs/examples/house/run.sh NANO-V1.gguf NANO-V2.gguf SMALL-V1.gguf
# What was trained and answered before is kept in runs/house-example, and not done again.
set -euo pipefail

[ $# -eq 3 ] || { sed -n '3p' "$0" | cut -c5- >&2; exit 2; }
nano_v1=$(realpath "$1") nano_v2=$(realpath "$2") small_v1=$(realpath "$3")
cd "$(dirname "$0")/../../.."
here=docs/examples/house work=runs/house-example
[ -d .venv ] && PATH=$PWD/.venv/bin:$PATH
export OUTCROP_HOME=$work/home OUTCROP_SETTINGS=$here/settings.toml OMP_NUM_THREADS=1
mkdir -p $work

outcrop evaluate right-answers $work/reference.json
python -m outcrop.training.generators lists --count 4000 > $work/training.jsonl

customized=()
for base in "$nano_v1" "$small_v1"; do
  name=$(basename "$base" .gguf)
  spec=$(sed "s|\"base\": \"[^\"]*\"|\"base\": \"$base\"|; s|example/house-nano-v1\"|example/$name\"|" $here/customize.json)
  if [ "$spec" != "$(cat "$work/$name.json" 2> /dev/null)" ] || [ "$base" -nt "$work/$name.json" ]; then
    rm -rf "${work:?}/$name"
    echo "$spec" > "$work/$name.json"
  fi
  outcrop train "$work/$name.json" < /dev/null
  cp -p "$work/$name/model/model.gguf" "$work/$name-lists.gguf"
  customized+=("$work/$name-lists.gguf")
done

outcrop evaluate reference "$nano_v1" "${customized[0]}" "$nano_v2" "$small_v1" "${customized[1]}" \
  --suite house --out $work/report --yes
cp $work/report/summary.md $work/report/runs.json $here/

# The page itself holds plotly, and is too large to be kept here.
if browser=$(command -v chromium || command -v google-chrome); then
  "$browser" --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1200,2300 --virtual-time-budget=10000 \
    --screenshot=$here/report.png "file://$PWD/$work/report/report.html" 2> /dev/null
fi
