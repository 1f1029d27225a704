"""Data larger than the memory: memmaps and rows on a disk are read a batch at a time and never copied whole."""

import subprocess
import sys

import pytest

FIT = """
import resource, sys, warnings
import numpy as np
from xpnet import MLPClassifier, MLPRegressor

class OnDisk:  # what HDF5 and Zarr have
    def __init__(self, rows):
        self.rows, self.shape, self.dtype = rows, rows.shape, rows.dtype

    def __getitem__(self, key):
        return np.array(self.rows[key])

X = np.memmap(sys.argv[1], np.float32, "r", shape=(1 << 20, 256))
assert X.nbytes == 1 << 30
y = np.arange(X.shape[0]) % 2
warnings.simplefilter("ignore")
resource.setrlimit(resource.RLIMIT_DATA, (600 << 20, 600 << 20))
try:
    np.array(X)
except MemoryError:
    print("a copy has no room")
for estimator, data, stops in ((MLPClassifier, X, False), (MLPRegressor, X, True), (MLPClassifier, OnDisk(X), True)):
    net = estimator(hidden_layer_sizes=(16,), batch_size=4096, max_iter=1, early_stopping=stops).fit(data, y)
    print(net.n_iter_, net.predict(data).shape, net.coefs_[0].dtype)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_DATA counts private memory on Linux alone")
def test_a_gigabyte_is_fitted_and_predicted_in_600_megabytes(tmp_path):
    path = tmp_path / "X.dat"
    with open(path, "wb") as file:
        file.truncate(1 << 30)  # zeros, which take no room on the disk
        for start in range(0, 1 << 30, 1 << 26):
            file.seek(start)
            file.write(b"\x00\x00\x80\x3f")  # and a 1 here and there
    done = subprocess.run([sys.executable, "-c", FIT, str(path)], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["a copy has no room", *["1 (1048576,) float32"] * 3]
