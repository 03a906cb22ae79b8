"""Pickled official files: arrays come through, anything else is refused and never runs."""

import os
import pickle  # noqa: TID251 - writes the files, good and malicious

import numpy as np
import pytest
from scipy import sparse

from facelume.errors import AssetError
from facelume.face_model.licensed.official_pickle import read_pickle, read_pickled_npy


class Runs:
    """Pickles as a call; reading it the usual way would make a folder."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("dtype", ["f4", "f8", "u4", "i8"])
def test_arrays_of_every_protocol_come_back(tmp_path, protocol, dtype):
    path = tmp_path / "model.pkl"
    content = {
        "f": np.arange(12).astype(dtype).reshape(4, 3).T,
        "name": "lbs",
        "one": np.float64(2.5),
        3: [(1, None)],
    }
    path.write_bytes(pickle.dumps(content, protocol))
    read = read_pickle(path)
    assert read["f"].dtype == np.dtype(dtype)
    assert np.array_equal(read["f"], content["f"])
    assert (read["name"], read["one"], read[3]) == ("lbs", 2.5, [(1, None)])


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("kind", [sparse.csc_matrix, sparse.csr_matrix])
def test_sparse_matrices_come_back_dense(tmp_path, protocol, kind):
    dense = np.array([[0, 1.5, 0, 0], [2, 0, 0, 3]])
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({"J_regressor": kind(dense)}, protocol))
    assert np.array_equal(read_pickle(path)["J_regressor"], dense)


def test_names_of_old_numpy_scipy_and_python_2_are_understood(tmp_path):
    dense = np.eye(3)[:2]
    stream = pickle.dumps({"a": np.arange(4.0), "s": sparse.csc_matrix(dense)}, 2)
    old = stream.replace(b"numpy._core", b"numpy.core").replace(b"scipy.sparse._csc\n", b"scipy.sparse.csc\n")
    assert old != stream
    path = tmp_path / "model.pkl"
    path.write_bytes(old)
    assert np.array_equal(read_pickle(path)["s"], dense)


@pytest.mark.parametrize(
    "function",
    [os.mkdir, eval, __import__, pickle.loads, np.load, getattr, np.ndarray, np.fromfile],
    ids=lambda f: f.__name__,
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_malicious_pickle_is_refused_and_does_not_run(tmp_path, function, protocol):
    trace = tmp_path / "trace"
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({"v_template": np.zeros(3), "f": [Runs(function, str(trace))]}, protocol))
    with pytest.raises(AssetError, match=r"model.pkl was not read"):
        read_pickle(path)
    assert not trace.exists()


def test_the_refusal_names_what_was_asked_for(tmp_path):
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(Runs(os.mkdir, str(tmp_path / "trace"))))
    with pytest.raises(AssetError, match=r"posix.mkdir|nt.mkdir"):
        read_pickle(path)


def test_a_malicious_state_of_an_allowed_object_is_refused(tmp_path):
    """BUILD on a stand-in's class, and a call hidden in the state of an array."""
    trace = tmp_path / "trace"
    hidden = pickle.dumps(np.array([Runs(os.mkdir, str(trace))], dtype=object), 2)
    on_class = b"\x80\x02cchumpy.ch\nCh\n}X\x01\x00\x00\x00xK\x01sb."
    path = tmp_path / "model.pkl"
    for stream in (hidden, on_class):
        path.write_bytes(stream)
        with pytest.raises(AssetError):
            read_pickle(path)
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps({"a": np.arange(9)})[:-20]])
def test_a_damaged_pickle_is_refused(tmp_path, content):
    path = tmp_path / "model.pkl"
    path.write_bytes(content)
    with pytest.raises(AssetError, match="download it again"):
        read_pickle(path)


def test_npy_files_plain_or_with_a_dict(tmp_path):
    path = tmp_path / "embedding.npy"
    np.save(path, np.arange(5))
    assert np.array_equal(read_pickled_npy(path), np.arange(5))
    np.save(path, {"index": np.arange(3)}, allow_pickle=True)
    assert np.array_equal(read_pickled_npy(path)["index"], np.arange(3))
    np.save(
        path, np.array({"index": Runs(os.mkdir, str(tmp_path / "trace"))}, dtype=object), allow_pickle=True
    )
    with pytest.raises(AssetError, match="mkdir"):
        read_pickled_npy(path)
    assert not (tmp_path / "trace").exists()
    path.write_bytes(b"nonsense")
    with pytest.raises(AssetError, match=r"not an \.npy file"):
        read_pickled_npy(path)
