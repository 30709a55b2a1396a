import subprocess
import sys

CODE = """
import sys, keras
heavy = ("matplotlib", "PIL", "scipy", "sklearn", "tensorflow", "jax", "torch")
before = {m for m in heavy if m in sys.modules}  # What Keras itself imports is not ours to leave out.
import keras_asm.evaluation, keras_asm.landmarks, keras_asm.metrics, keras_asm.visualization
print(sorted({m for m in heavy if m in sys.modules} - before))
"""


def test_importing_draws_in_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
