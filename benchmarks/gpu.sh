#!/usr/bin/env bash
# What one GPU does with this code, in eight minutes at most:
#
#     benchmarks/gpu.sh [FOLDER] [--small]
#
# Needs a Python (PYTHON, else .venv/bin/python, else python3) with torch and the packages named below; no Snakemake, and
# nothing installed from this tree. With diffusers its loops are timed too; with scikit-dimension, gudhi and umap-learn
# the set is measured in full. Tables go to FOLDER (gpu-results), row by row; a part that fails or takes too long costs
# the others nothing, and keeps what it has.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=$root/.venv/bin/python
[ -x "$python" ] || python=python3
python=${PYTHON:-$python}
folder=$root/gpu-results
small=
for word in "$@"; do
    case $word in
    --small) small=--small ;;
    *) folder=$word ;;
    esac
done
mkdir -p "$folder"
export PYTHONPATH="$root/src:$root/benchmarks${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
export TORCHINDUCTOR_CACHE_DIR=${TORCHINDUCTOR_CACHE_DIR:-$folder/compiled} TORCHINDUCTOR_COMPILE_THREADS=3
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1

missing=$("$python" - <<'EOF'
from importlib.util import find_spec
needed = "torch numpy pandas pyarrow scipy sklearn safetensors pydantic typer filelock yaml".split()
print(*[name for name in needed if find_spec(name) is None])
EOF
) || exit 1
if [ -n "$missing" ]; then
    echo "gpu.sh: $python has no $missing" >&2
    exit 1
fi

status=0
run() { # seconds, parts
    local limit=$1 rest=$((460 - SECONDS))
    [ "$rest" -gt 10 ] || rest=10
    [ -n "$small" ] || [ "$limit" -lt "$rest" ] || limit=$rest
    shift
    if ! ${gently:-} timeout -k 5 "$limit" "$python" "$root/benchmarks/gpu.py" "$@" --out "$folder" $small; then
        echo "$*: failed or took more than $limit s"
        status=1
        return 1
    fi
}
alone() { # name of its folder, seconds, parts
    mkdir -p "$TORCHINDUCTOR_CACHE_DIR/lock$1"
    TMPDIR=$TORCHINDUCTOR_CACHE_DIR/lock$1 run "${@:2}"
}
{
    if [ -n "$small" ]; then
        run 900 equality training recorded profile cpu sampling set # compiling takes minutes on a CPU
    else
        # Compiling takes a minute and more, of the processor alone; what needs no exact timing runs meanwhile. Each has
        # a folder of its own for its lock of the GPU.
        pids=()
        for which in 0 1 2 3 4; do
            alone "$which" 130 compile --which "$which" &
            pids+=($!)
        done
        alone set 150 set &
        making=$!
        run 50 equality
        run 60 cpu
        wait "$making" || status=1
        for pid in "${pids[@]}"; do wait "$pid" || status=1; done
        # What has been measured least comes first. Recorded steps hardly use the processor, so the analysis runs beside.
        gently="nice -n 19" run 300 analysis &
        analysing=$!
        run 50 recorded
        run 60 profile
        run 110 compiled
        wait "$analysing" || status=1
        run 50 sampling
        run 130 training
    fi
    rm -rf "$folder/set"
    exit "$status"
} 2>&1 | tee "$folder/summary.txt"
