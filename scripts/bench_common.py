"""What the benches share: both sides run with the same threads and the same kernels of OpenBLAS."""

import os
import subprocess

THREADS = os.environ.setdefault("OPENBLAS_NUM_THREADS", str(os.cpu_count()))
os.environ.setdefault("OMP_NUM_THREADS", THREADS)
os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # waiting threads must not disturb the other side


def import_torch(program):
    """PyTorch, or None where it is not installed. Its OpenBLAS takes the kernels that ours chooses: by itself it takes
    the slowest on a processor that it does not know, and a comparison with those would flatter us. Before anything else
    that loads OpenBLAS, as NumPy does."""
    answer = subprocess.run([program, "kernels"], stdout=subprocess.PIPE, text=True, check=True)
    os.environ.setdefault("OPENBLAS_CORETYPE", answer.stdout.strip())
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(int(THREADS))
    return torch
