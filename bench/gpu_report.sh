#!/usr/bin/env bash
# On a machine with an NVIDIA GPU, in under ten minutes and without a network: the self-check, the GPU tests, and the
# measurements. Writes <device>-<date>.md, .json and .png into bench/results, or into $OUT with the logs.
#
#     bash bench/gpu_report.sh [OPTIONS of python -m pytest bench]
#
# Needs Python with NumPy, array-api-compat, safetensors, CuPy 14.2 or newer, scikit-learn, pytest, pytest-benchmark,
# threadpoolctl and matplotlib; PyTorch and JAX take part if their CUDA builds are there. A part that fails is reported,
# and the next one runs; the exit status is 0 if all went well. Each case is kept as it is measured, so that whatever
# ends the run, $OUT/run-*/bench.json has all cases before it:  python bench/report.py FILE --parts $OUT/run-*
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
exec </dev/null

into=${OUT:-bench/results}
seconds=${GPU_REPORT_SECONDS:-570}
python=${PYTHON:-$(command -v python || command -v python3)}
export MPLBACKEND=Agg PYTHONUNBUFFERED=1 SCIPY_ARRAY_API=1 PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}"
export XPNET_CAPTURE=require
unset XPNET_REPLAY XPNET_BACKEND

if ! why=$("$python" -B -c 'import xpnet; xpnet.get_backend("cupy")' 2>&1); then
    why=${why##*$'\n'}
    echo "No report without a GPU: ${why#*: }." >&2
    exit 2
fi
mkdir -p "$into" && work=$(mktemp -d "$into/run-XXXXXX") || exit
failed=0

left() { echo $((seconds - SECONDS)); }

part() {  # part NAME SECONDS COMMAND...: run the command for so long at most, and write down how it went
    local name=$1 limit=$2 start=$SECONDS status=0
    shift 2
    printf '==> %s, %d s at most\n' "$name" "$limit"
    timeout --kill-after=10 "$limit" "$@" >"$work/$name.log" 2>&1 || status=$?
    [ "$status" -eq 0 ] || failed=1
    [ "$status" -ne 137 ] || [ $((SECONDS - start)) -lt "$limit" ] || status=124  # killed, being out of time
    printf '%s\t%d\t%d\n' "$name" "$status" $((SECONDS - start)) >>"$work/parts.tsv"
    printf '<== %s: exit status %d after %d s\n' "$name" "$status" $((SECONDS - start))
}

part check $(($(left) / 8)) "$python" -m xpnet info --check --backend cupy
part tests $(($(left) * 2 / 5)) "$python" -m pytest -m gpu --require-gpu -v -p no:cacheprovider
# The last case begins a minute before the end: torch.compile may take that long.
part bench $(($(left) - 30)) "$python" -m pytest bench --backend numpy,cupy --set large -q -p no:cacheprovider \
    --budget $(($(left) - 90)) --json "$work/bench.json" "$@"
timeout 30 "$python" bench/report.py "$work/bench.json" --parts "$work" --into "$into" || exit
[ -n "${OUT:-}" ] || rm -r "$work"
exit "$failed"
