#!/usr/bin/env bash
# On a machine with an NVIDIA GPU, in under ten minutes and without a network: the GPU tests, and all measurements.
# Writes <device>-<date>.md, .json and .png into bench/results, or into $OUT with the logs.
#
#     bash bench/gpu_report.sh
#
# Needs Python with NumPy, array-api-compat, safetensors, CuPy 14.2 or newer, scikit-learn, pytest, threadpoolctl and
# matplotlib; PyTorch and JAX take part where they are there. A part that fails is reported, and the next one runs; the
# exit status is 0 where all went well.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
exec </dev/null

into=${OUT:-bench/results}
seconds=${GPU_REPORT_SECONDS:-570}
python=${PYTHON:-$(command -v python || command -v python3)}
export MPLBACKEND=Agg PYTHONUNBUFFERED=1 SCIPY_ARRAY_API=1 PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}"
unset XPNET_LOWERINGS XPNET_BACKEND
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

mkdir -p "$into"

left() { echo $((seconds - SECONDS)); }

part() {  # part NAME SECONDS COMMAND...: run the command for so long at most, and write down how it went
    local name=$1 limit=$2 start=$SECONDS status=0
    shift 2
    printf '==> %s, %d s at most\n' "$name" "$limit"
    timeout --kill-after=10 "$limit" "$@" >"$work/$name.log" 2>&1 || status=$?
    [ "$status" -eq 0 ] || failed=1
    printf '%s\t%d\t%d\n' "$name" "$status" $((SECONDS - start)) >>"$work/parts.tsv"
    printf '<== %s: exit status %d after %d s\n' "$name" "$status" $((SECONDS - start))
}

part tests 200 "$python" -m pytest -m gpu --require-gpu -q -p no:cacheprovider
# The last case begins a minute before the end: torch.compile may take that long.
part bench $(($(left) - 15)) "$python" -m pytest bench --backend numpy,cupy --set large -q -p no:cacheprovider \
    --budget $(($(left) - 75)) --json "$work/bench.json"
timeout 60 "$python" bench/report.py "$work/bench.json" --parts "$work" --into "$into" || failed=1
[ -z "${OUT:-}" ] || cp "$work"/*.log "$OUT"
exit "$failed"
