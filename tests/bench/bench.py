"""Every benchmark with its defaults, one after another: ratios of two things measured in turn in one run."""
import pathlib
import subprocess
import sys

for script in sorted(pathlib.Path(__file__).parent.glob("bench_*.py")):
    print(f"== {script.name}", flush=True)
    subprocess.run([sys.executable, str(script)], check=True)
